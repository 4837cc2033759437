"""The experts: so many ways to forecast, each asked about every target and horizon.

No single way wins everywhere, so several answer, and `mixture` decides who is heard:

- persistence: as now; and smoothing: as the mean of the latest values;
- the joint readout on all features of the stream, the reservoir among them; where a stream has
  several fields, also one on the linear part of them alone;
- readouts on the target's own past: autoregressions on 24 lags that forget within 100, 500 and
  5,000 records, and one on lags and modes that forgets within 2,000;
- for each season, given or found, for the day and for the week: what is usual then, and the last
  value with the usual change from now to then (`profiles`). Where that is unknown they say nothing.

Each readout predicts the change from the newest value in units of the usual change, from weights
that start at 0: a young one says "as now". Every answer is kept near the range seen.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from streamlnn.model.compiled import exact, inlined
from streamlnn.model.features import joint_parts, own_parts
from streamlnn.model.profiles import usual_values
from streamlnn.model.readout import (
    REFRESH_EVERY,
    absorb,
    begin,
    column_start,
    copy,
    dot,
    drop_tiny,
    drop_tiny_column,
    refresh,
    refresh_weight,
    relax,
)
from streamlnn.model.scaling import HIGH, LOW, SMOOTHED, step_scale
from streamlnn.model.settings import Settings
from streamlnn.model.state import PUSHED, SEQ

PERSISTENCE, SMOOTHING, FIRST_READOUT = range(3)


class Learner(NamedTuple):
    """One readout: its name, how many features it looks at, and how it forgets.

    `forgetting` is the share of weight kept per record, `ridge` the strength of the pull towards
    "as now".
    """

    name: str
    size: int
    forgetting: float
    ridge: float


def joint_learners(settings: Settings) -> list[Learner]:
    """Return the readouts on the joint features, the full one first."""
    T, H = len(settings.target_fields), len(settings.horizons)
    linear, full = joint_parts(settings.fields, T, H, settings.season_slots, settings.units)
    learners = [Learner("reservoir", full, 0.9995, 0.001)]
    if settings.fields > 1:
        learners.append(Learner("all fields", linear, 0.9999, 1.0))
    return learners


def own_learners(settings: Settings) -> list[Learner]:
    """Return the readouts on each target's own features."""
    lags, linear, modes = own_parts(len(settings.horizons), settings.season_slots)
    return [
        Learner("autoregression 100", lags, 0.99, 0.1),
        Learner("autoregression 500", linear, 0.998, 0.1),
        Learner("autoregression 5000", linear, 0.9998, 0.1),
        Learner("modes 2000", modes, 0.9995, 0.1),
    ]


def expert_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the experts in the order in which they answer."""
    readouts = [learner.name for learner in joint_learners(settings) + own_learners(settings)]
    seasons = [f"season {season}" for season in settings.seasons] or ["found season"]
    profiles = [
        f"{what} of {season}"
        for season in (*seasons, "day", "week")
        for what in ("usual value", "usual change")
    ]
    return ("persistence", "smoothing", *readouts, *profiles)


# ----------------------------------------------------------------------------------------- asking


@inlined
def _bounded(s, field, value):
    """Keep an answer near the range seen."""
    half = (s.scales[field, HIGH] - s.scales[field, LOW]) / 2.0
    low, high = s.scales[field, LOW] - half, s.scales[field, HIGH] + half
    return min(max(value, low), high) if not np.isnan(value) else value


@inlined
def _ask_readouts(weights, x, sizes, last, scale, answers):
    start = 0
    for r in range(sizes.size):
        end = start + sizes[r]
        change = scale * dot(weights[start:end], x[: sizes[r]])
        answers[r] = last + (change if np.isfinite(change) else 0.0)
        start = end


@exact
def ask_experts(s, t, h, answers):
    """Write what every expert says of target t at horizon h into answers (E,); NaN: nothing."""
    field = s.targets[t]
    last, scale = s.history[field, 0], step_scale(s.scales[field])
    answers[PERSISTENCE], answers[SMOOTHING] = last, s.scales[field, SMOOTHED]
    k = FIRST_READOUT
    _ask_readouts(s.weights[t, h], s.features, s.joint_sizes, last, scale, answers[k:])
    k += s.joint_sizes.size
    _ask_readouts(s.own_weights[t, h], s.own[t], s.own_sizes, last, scale, answers[k:])
    k += s.own_sizes.size
    for i in range(s.profile_manner.shape[0]):
        now, then = usual_values(s, t, s.horizons[h], i)
        answers[k + 2 * i], answers[k + 2 * i + 1] = then, last + (then - now)
    for i in range(answers.size):
        answers[i] = _bounded(s, field, answers[i])


# ----------------------------------------------------------------------------- before it is known


@inlined
def _say_group(weights, x, sizes, said):
    start = 0
    for r in range(sizes.size):
        end = start + sizes[r]
        said[r] = dot(weights[start:end], x[: sizes[r]])
        start = end


@exact
def say(s, h):
    """Note what the readouts of one horizon now say of the oldest forecast that waits for it."""
    slot, J = s.due[h] % s.waiting_at.size, s.joint_sizes.size
    for t in range(s.targets.size):
        _say_group(s.weights[t, h], s.waiting_x[slot], s.joint_sizes, s.said[t, h, :J])
        _say_group(s.own_weights[t, h], s.waiting_own[slot, t], s.own_sizes, s.said[t, h, J:])
    s.said_of[h] = s.due[h]


@exact
def say_ahead(s):
    """Do so for every horizon before the value comes that they are held against."""
    for h in range(s.horizons.size):
        if s.said_of[h] != s.due[h] and s.due[h] < s.counts[PUSHED]:
            say(s, h)


# -------------------------------------------------------------------------------------- absorbing


@inlined
def _absorb_group(U, D, x, sizes, settings, gain):
    start, packed = 0, 0
    for r in range(sizes.size):
        n = sizes[r]
        end, last = start + n, packed + column_start(n)
        absorb(U[packed:last], D[start:end], x[:n], settings[r, 0], gain[start:end])
        drop_tiny(gain[start:end])
        start, packed = end, last


@inlined
def _refresh_group(U, D, sizes, settings, turn, gain):
    start, packed = 0, 0
    for r in range(sizes.size):
        n = sizes[r]
        end, last = start + n, packed + column_start(n)
        weight = refresh_weight(settings[r, 0], settings[r, 1], n)
        refresh(U[packed:last], D[start:end], turn % n, weight, gain[start:end])
        drop_tiny(gain[start:end])
        drop_tiny_column(U[packed:last], turn % n)
        start, packed = end, last


@exact
def begin_anew(s):
    """Let the readout on the random units learn from here on: they hear on another scale now."""
    n = s.joint_sizes[0]
    begin(s.U[: column_start(n)], s.D[:n], s.joint_settings[0, 1])
    s.weights[:, :, :n] = 0
    s.said[:, :, 0] = 0
    s.waiting_gain[:, :n] = 0
    s.refresh_gain[:, :n] = 0


@exact
def absorb_all(s, slot):
    """Take the newest features into the covariances; their gains wait beside them."""
    copy(s.features, s.waiting_x[slot])
    _absorb_group(s.U, s.D, s.features, s.joint_sizes, s.joint_settings, s.waiting_gain[slot])
    for t in range(s.targets.size):
        copy(s.own[t], s.waiting_own[slot, t])
        gain = s.waiting_own_gain[slot, t]
        _absorb_group(s.U_own[t], s.D_own[t], s.own[t], s.own_sizes, s.own_settings, gain)


@exact
def refresh_all(s):
    """Every few records, remind each readout of the prior of one weight, in turn."""
    if s.counts[SEQ] % REFRESH_EVERY != 0:
        return
    turn = s.counts[SEQ] // REFRESH_EVERY
    row = turn % s.refresh_gain.shape[0]
    _refresh_group(s.U, s.D, s.joint_sizes, s.joint_settings, turn, s.refresh_gain[row])
    for t in range(s.targets.size):
        gain = s.refresh_own_gain[row, t]
        _refresh_group(s.U_own[t], s.D_own[t], s.own_sizes, s.own_settings, turn, gain)


@inlined
def _relax_group(weights, sizes, turn, gain):
    start = 0
    for r in range(sizes.size):
        end = start + sizes[r]
        relax(weights[start:end], turn % sizes[r], gain[start:end])
        drop_tiny(weights[start:end])
        start = end


@exact
def relax_all(s, turn, h):
    """Pull the weights of one horizon towards the prior, as the refresh of that turn asks."""
    row = turn % s.refresh_gain.shape[0]
    for t in range(s.targets.size):
        _relax_group(s.weights[t, h], s.joint_sizes, turn, s.refresh_gain[row])
        _relax_group(s.own_weights[t, h], s.own_sizes, turn, s.refresh_own_gain[row, t])
