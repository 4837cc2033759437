"""The network of an `OnlineESN`: its arrays, and what happens to them with each record.

What a record teaches is split in two. `_observe` corrects the weights with the targets that fell
due, advances the reservoir and forecasts; `_absorb` takes the new features into the covariance,
which costs most and concerns later records only. One record and a whole recording go through the
same machine code, so their numbers agree bit for bit.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.experimental import structref
from numpy.typing import NDArray

from streamlnn.model import readout
from streamlnn.model.compiled import entry, exact, inlined, unowned
from streamlnn.model.handle import HandleType, register
from streamlnn.model.readout import (
    REFRESH_EVERY,
    copy,
    correct,
    dot,
    refresh,
    refresh_weight,
    relax,
)
from streamlnn.model.reservoir import follow, hear_inputs, hear_others, leak, open_gate
from streamlnn.model.squash import squash

Array = NDArray[Any]

# counts: SEEN records stepped, PENDING 1 while the newest features have not been absorbed
COUNTS = 2
SEEN, PENDING = range(COUNTS)


class Network(NamedTuple):
    """All that an `OnlineESN` knows, as plain arrays, and room to work in.

    d inputs, T targets, H horizons, N units of K connections, n features, C slots for features
    whose targets have not all come. `f` marks arrays of the network's dtype.
    """

    # fixed by the settings
    horizons: Array  # (H,) int64, in samples
    targets: Array  # (T,) int64, indices of inputs
    manner: Array  # (2,) forgetting, ridge
    liquid: Array  # (1,) bool
    taps: Array  # (N, K) int64: which unit each connection comes from
    links: Array  # f (N, K)
    W_in: Array  # f (d, N)
    bias: Array  # f (N,)
    tau: Array  # f (N,) in samples
    half: Array  # f (N,) tanh(1 / 2 tau): the leak of one sample
    gate_links: Array  # f (N, K)
    gate_in: Array  # f (d, N)
    gate_bias: Array  # f (N,)
    # learned
    counts: Array  # (COUNTS,) int64
    heard: Array  # f (d,) newest values, the last known one where one is missing
    window: Array  # f (lags * d,) newest first
    x: Array  # f (N,) reservoir
    drive: Array  # f (N,) what each unit will hear, the next values left out
    gate: Array  # f (N,) likewise its gate
    U: Array  # f covariance factor, see `readout`
    D: Array  # f (n,)
    weights: Array  # f (H, T, n)
    waiting_x: Array  # f (C, n)
    waiting_gain: Array  # f (C, n)
    refresh_gain: Array  # f (C / 4 + 2, n)
    yhat: Array  # (H, T)
    said: Array  # f (H, T) what the readouts say of the features whose targets come next
    # room to work in
    u: Array  # (d,) the newest record, NaN where missing


ROOM = ("u",)
"""Arrays that hold nothing from one record to the next."""


@register
class _NetworkHandleType(HandleType):
    """How numba sees a `NetworkHandle`."""


class NetworkHandle(structref.StructRefProxy):
    """One reference to all arrays of a `Network`; whoever holds it holds the network, too."""

    __slots__ = ()


structref.define_constructor(NetworkHandle, _NetworkHandleType, list(Network._fields))
structref.define_boxing(_NetworkHandleType, NetworkHandle)


# ------------------------------------------------------------------------------------- one record


@inlined
def _learn(s, h, slot):
    """Teach the readout of one horizon the targets of the features in `slot`."""
    for t in range(s.targets.size):
        y = s.u[s.targets[t]]
        if np.isfinite(y):
            error = y - s.said[h, t]
            correct(s.weights[h, t], s.waiting_x[slot], s.waiting_gain[slot], error, 1)


@inlined
def _relax(s, h, turn):
    gain = s.refresh_gain[turn % s.refresh_gain.shape[0]]
    for t in range(s.targets.size):
        relax(s.weights[h, t], turn % gain.size, gain)


@inlined
def _due_slot(s, h, newest):
    slot = newest - s.horizons[h]
    return slot if slot >= 0 else slot + s.waiting_x.shape[0]


@inlined
def _settle(s, h, newest):
    """Let one horizon learn from what fell due, in the order in which the covariance took it."""
    due = s.counts[SEEN] - s.horizons[h]
    if due < 0:
        return
    _learn(s, h, _due_slot(s, h, newest))
    if due % REFRESH_EVERY == 0:
        _relax(s, h, due // REFRESH_EVERY)


@inlined
def _advance(s):
    hear_inputs(s.heard, s.W_in, s.drive)
    squash(s.drive)
    if s.liquid[0]:
        hear_inputs(s.heard, s.gate_in, s.gate)
        open_gate(s.gate)
        leak(s.x, s.drive, s.gate, s.tau, 1.0)
    else:
        follow(s.x, s.drive, s.half)


@inlined
def _listen(s):
    """Take the newest values into the window of lags."""
    d, window = s.u.size, s.window
    for i in range(d):
        if np.isfinite(s.u[i]):
            s.heard[i] = s.u[i]
    for k in range(window.size - 1, d - 1, -1):
        window[k] = window[k - d]
    copy(s.heard[: min(d, window.size)], window)


@inlined
def _make_features(s, features):
    lags = s.window.size
    features[0] = 1
    copy(s.window, features[1:])
    copy(s.x, features[1 + lags :])


@exact
def _observe(s):
    newest = s.counts[SEEN] % s.waiting_x.shape[0]
    _listen(s)
    _advance(s)
    features = s.waiting_x[newest]
    _make_features(s, features)
    # one horizon after the other: its weights stay in the nearest cache
    for h in range(s.horizons.size):
        _settle(s, h, newest)
        for t in range(s.targets.size):
            s.yhat[h, t] = dot(s.weights[h, t], features)
    s.counts[PENDING] = 1


@inlined
def _hear_ahead(s):
    """Sum up what the units will hear when the next values come, the values left out."""
    hear_others(s.x, s.taps, s.links, s.bias, s.drive)
    if s.liquid[0]:
        hear_others(s.x, s.taps, s.gate_links, s.gate_bias, s.gate)


@inlined
def _say_ahead(s):
    """Note what the readouts say of features whose targets come with the next record."""
    newest = s.counts[SEEN] % s.waiting_x.shape[0]
    for h in range(s.horizons.size):
        features = s.waiting_x[_due_slot(s, h, newest)]
        for t in range(s.targets.size):
            s.said[h, t] = dot(s.weights[h, t], features)


@exact
def _refresh(s, turn):
    weight = refresh_weight(s.manner[0], s.manner[1], s.D.size)
    refresh(s.U, s.D, turn % s.D.size, weight, s.refresh_gain[turn % s.refresh_gain.shape[0]])


@exact
def _absorb(s):
    if s.counts[PENDING] == 0:
        return
    seen = s.counts[SEEN]
    newest = seen % s.waiting_x.shape[0]
    readout.absorb(s.U, s.D, s.waiting_x[newest], s.manner[0], s.waiting_gain[newest])
    if seen % REFRESH_EVERY == 0:
        _refresh(s, seen // REFRESH_EVERY)
    _hear_ahead(s)
    s.counts[SEEN] = seen + 1
    s.counts[PENDING] = 0
    _say_ahead(s)


@entry
def bind(network):
    """Return the handle of a network's arrays."""
    return NetworkHandle(*unowned(network))


@entry
def step(s, u):
    """Forecast from a record and learn from it: `observe` and `absorb` in one call."""
    if s.u.size == 1:
        s.u[0] = u
    _absorb(s)
    _observe(s)
    _absorb(s)


@entry
def observe(s, u):
    """Forecast from a record.

    The record is `u` where there is one input, which is faster, and in `s.u` otherwise.
    """
    if s.u.size == 1:
        s.u[0] = u
    _absorb(s)
    _observe(s)


@entry
def absorb(s):
    """Take the newest features into the covariance, if that has not been done."""
    _absorb(s)


@entry
def replay(s, inputs, out):
    """Step through inputs (n, d) and write the forecasts into out (n, H, T)."""
    for i in range(inputs.shape[0]):
        copy(inputs[i], s.u)
        _absorb(s)
        _observe(s)
        _absorb(s)
        out[i] = s.yhat
