"""All that a forecaster knows, as plain arrays; and the one reference that compiled code takes.

A `State` is the whole model: what is saved, copied, compared and moved is its arrays. They lie in
one block of memory, apart from the fixed random units, which all models of the same settings share.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.experimental import structref
from numpy.typing import NDArray

from streamlnn.model.compiled import entry, unowned
from streamlnn.model.handle import HandleType, register

# counts: SEQ records stepped, PUSHED forecasts issued, GAPS elapsed times seen, THINNED forecasts
# that no horizon waits for any more, SEASON_PUSHED past values kept, ARRIVAL what was odd about
# the newest time, NEWS targets with an event to tell, STATUS, PENDING 1 while the newest features
# have not been absorbed, NEXT_LOOK past values kept when seasons are looked for next, 0: never,
# STOPPED 1 when compiled code came back to have something done
COUNTS = 11
SEQ, PUSHED, GAPS, THINNED, SEASON_PUSHED, ARRIVAL, NEWS, STATUS = range(8)
PENDING, NEXT_LOOK, STOPPED = range(8, COUNTS)

# counts[STATUS]
WARMING, OK, IN_DRIFT = range(3)

# forecast, per horizon and target
TOLD = 5
YHAT, LOWER, UPPER, COVERED, SKILL = range(TOLD)

# condition, per target
CONDITIONS = 4
Y, ANOMALY_SCORE, ANOMALY_SIGN, ANOMALY_ACTIVE = range(CONDITIONS)

SHARED = ("taps", "W", "W_in", "bias", "tau", "W_gate", "gate_in", "gate_bias", "V", "V_bias")
"""Arrays that never change and are the same in all models of the same settings."""


class State(NamedTuple):
    """All that a forecaster knows, as plain arrays.

    F fields, T targets, H horizons, S seasons. M joint features, J joint readouts of N weights in
    all; A own features of a target, R own readouts of B weights in all; a readout looks at the
    first so many features of its kind. E experts, G mixtures, Q trackers, C slots for forecasts
    not yet settled, K past values for the seasons, P pairs of modes. `f` marks arrays of the
    model's dtype; the others are float64 or int64.
    """

    # fixed by the settings
    by_time: NDArray[Any]  # (1,) bool: horizons and seasons are seconds
    horizons: NDArray[Any]  # (H,)
    targets: NDArray[Any]  # (T,) indices of fields
    alpha: NDArray[Any]  # (1,) share of values allowed outside the band
    joint_sizes: NDArray[Any]  # (J,) int64: how many joint features each readout looks at
    joint_settings: NDArray[Any]  # (J, 2) forgetting, ridge
    own_sizes: NDArray[Any]  # (R,) int64
    own_settings: NDArray[Any]  # (R, 2)
    plasticity: NDArray[Any]  # (1,) learning rate of the intrinsic plasticity, 0: off
    taps: NDArray[Any]  # (units, fan_in) int64: which unit each connection comes from
    W: NDArray[Any]  # f (units, fan_in)
    W_in: NDArray[Any]  # f (F, units)
    bias: NDArray[Any]  # f (units,)
    tau: NDArray[Any]  # f (units,) in usual steps
    W_gate: NDArray[Any]  # f (units, fan_in)
    gate_in: NDArray[Any]  # f (F, units)
    gate_bias: NDArray[Any]  # f (units,)
    V: NDArray[Any]  # f (F * lags, units)
    V_bias: NDArray[Any]  # f (units,)
    # learned
    counts: NDArray[Any]
    clock: NDArray[Any]
    gaps: NDArray[Any]  # (32,) the latest elapsed times
    scales: NDArray[Any]  # (F, SCALES)
    values: NDArray[Any]  # (F,) the newest record as it came, NaN where missing
    history: NDArray[Any]  # (F, LAGS) newest first, missing values filled in
    before: NDArray[Any]  # (T,) the record before the newest, NaN where missing
    x: NDArray[Any]  # f (units,) reservoir
    drive: NDArray[Any]  # f (units,) what each unit will hear, the next values left out
    gate: NDArray[Any]  # f (units,) likewise its gate
    lag_drive: NDArray[Any]  # f (units,) likewise the units on the lags
    ip_gain: NDArray[Any]  # f (units,) intrinsic plasticity
    ip_bias: NDArray[Any]  # f (units,)
    modes: NDArray[Any]  # f (T, 2, P) real and imaginary parts
    features: NDArray[Any]  # f (M,)
    own: NDArray[Any]  # f (T, A)
    U: NDArray[Any]  # f packed factors of the joint readouts, one after the other
    D: NDArray[Any]  # f (N,)
    weights: NDArray[Any]  # f (T, H, N)
    U_own: NDArray[Any]  # f (T, packed)
    D_own: NDArray[Any]  # f (T, B)
    own_weights: NDArray[Any]  # f (T, H, B)
    said: NDArray[Any]  # f (T, H, J + R) what the readouts say of the forecast due next
    said_of: NDArray[Any]  # (H,) int64: which one that is, counted as in `due`
    losses: NDArray[Any]  # (T, H, 2, E)
    regrets: NDArray[Any]  # (T, H, 2, 2 E + 1)
    top_losses: NDArray[Any]  # (T, H, G)
    log_q: NDArray[Any]  # (T, H, Q)
    band_means: NDArray[Any]  # (T, H, Q)
    band_losses: NDArray[Any]  # (T, H, Q)
    scores: NDArray[Any]  # (T, H, SCORES)
    monitor: NDArray[Any]  # (T, WATCHED)
    forecast: NDArray[Any]  # (TOLD, H, T) yhat, lower, upper, coverage, skill
    condition: NDArray[Any]  # (CONDITIONS, T)
    # forecasts that wait for their targets
    due: NDArray[Any]  # (H,) int64: the oldest forecast not settled, counted from the first ever
    stride: NDArray[Any]  # (H,) int64: of so many records, one is learned from
    waiting_at: NDArray[Any]  # (C,) coordinate of issue
    waiting_seq: NDArray[Any]  # (C,) int64
    waiting_base: NDArray[Any]  # (C, T, 3) last value and scale at issue, last observed value
    waiting_experts: NDArray[Any]  # (C, T, H, 1 + G + E) forecast, mixtures, experts
    waiting_bands: NDArray[Any]  # (C, T, H, 1 + Q) half width, trackers, in scales
    waiting_x: NDArray[Any]  # f (C, M)
    waiting_gain: NDArray[Any]  # f (C, N)
    waiting_own: NDArray[Any]  # f (C, T, A)
    waiting_own_gain: NDArray[Any]  # f (C, T, B)
    refresh_gain: NDArray[Any]  # f (C / 4 + 2, N)
    refresh_own_gain: NDArray[Any]  # f (C / 4 + 2, T, B)
    # past values for the seasons
    seasons: NDArray[Any]  # (S,) given or found; 0 while none is known
    season_at: NDArray[Any]  # (K,)
    season_values: NDArray[Any]  # (K, T)
    season_spacing: NDArray[Any]  # (1,)
    season_search: NDArray[Any]  # (T, 5) what is known of seasons that were not given; (0, 5)
    # what is usual: of each season, of the day and of the week
    profiles: NDArray[Any]  # (T, S + 2, parts)
    profile_manner: NDArray[Any]  # (S + 2, MANNER)


@register
class _StateHandleType(HandleType):
    """How numba sees a `Handle`."""


class Handle(structref.StructRefProxy):
    """One reference to all arrays of a `State`.

    Passed around instead of seventy arrays, it makes a call 30 microseconds cheaper and the
    compilation twice as fast. It sees every change in the arrays, but does not keep them alive:
    whoever holds a handle holds the state, too.
    """

    __slots__ = ()


structref.define_constructor(Handle, _StateHandleType, list(State._fields))
structref.define_boxing(_StateHandleType, Handle)


@entry
def bind(state):
    """Return the handle of a state's arrays."""
    return Handle(*unowned(state))


_ALIGNMENT = 64


def in_one_block(state: State, block: NDArray[np.uint8] | None = None) -> State:
    """Return the state with all arrays but the shared ones side by side in one block of memory.

    `block` is (at least `block_size(state)`,) bytes, aligned to 64; a fresh one unless given.
    """
    if block is None:
        block = aligned(block_size(state))
    placed, at = {}, 0
    for name, array in state._asdict().items():
        if name not in SHARED:
            room = block[at : at + array.nbytes].view(array.dtype).reshape(array.shape)
            room[...] = array
            placed[name] = room
            at += _rounded(array.nbytes)
    return state._replace(**placed)


def block_size(state: State) -> int:
    """Bytes that the arrays of a state take in one block, the shared ones left out."""
    items = state._asdict().items()
    return sum(_rounded(array.nbytes) for name, array in items if name not in SHARED)


def aligned(size: int) -> NDArray[np.uint8]:
    """Return `size` zero bytes that begin at a cache line.

    A large block lies on huge pages where the system has them, which numpy asks for in `empty`
    and not in `zeros`: thousands of states are laid out and walked through several times as fast.
    """
    raw = np.empty(size + _ALIGNMENT, np.uint8)
    raw.fill(0)
    start = -raw.ctypes.data % _ALIGNMENT
    return raw[start : start + size]


def _rounded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
