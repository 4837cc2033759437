"""Forecasts that fall due: scored as issued, then everything learns from them.

For each: the mixture's losses, the intervals' trackers, the running scores, and the readouts, which
correct their weights with the gain that the features earned when they were seen. Nothing learns
from a target before the forecast of it was scored. On a stream with durations a target between two
records is read on the straight line between them, and after a silence there is none.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.anomaly import LATEST, LATEST_HALF, LATEST_Y, LATEST_YHAT
from streamlnn.model.clock import BEFORE, CADENCE, REGULAR
from streamlnn.model.compiled import exact, inlined
from streamlnn.model.experts import relax_all, say
from streamlnn.model.intervals import track, widened
from streamlnn.model.jumps import HELD
from streamlnn.model.mixture import judge
from streamlnn.model.readout import REFRESH_EVERY, correct
from streamlnn.model.scaling import JUMP, step_scale
from streamlnn.model.state import ARRIVAL, PUSHED

# State.scores, per target and horizon
SCORES = 7
SCORED, COVERAGE, ERROR, NAIVE_ERROR, CHANGE, WIDER, LOG_CHANGE = range(SCORES)

WILD = 8.0
"""A change counts as no larger than so many times the usual one over its horizon."""

LEAST_CHANGE = 0.05
"""In scales: a sensor that mostly rests has a typical change all the same."""


@inlined
def _correct_group(weights, x, gain, sizes, said, change, repeats):
    start = 0
    for r in range(sizes.size):
        end, error = start + sizes[r], change - said[r]
        correct(weights[start:end], x[: sizes[r]], gain[start:end], error, repeats)
        start = end


@inlined
def _learn(s, slot, t, h, y):
    """Teach the readouts the change from the time of issue, freed of wild outliers.

    Returns the typical change so far, the geometric mean: a burst hardly moves it.
    """
    base, size = s.waiting_base[slot, t, 0], s.waiting_base[slot, t, 1]
    scores, repeats = s.scores[t, h], s.stride[h]
    usual = scores[CHANGE]
    limit = min(WILD * max(1.0, usual), 1e6)
    change = min(max((y - base) / size, -limit), limit)
    rate = max(1.0 / (scores[SCORED] + 1.0), 0.001)
    scores[CHANGE] = np.sqrt(usual * usual + rate * (change * change - usual * usual))
    typical = np.exp(scores[LOG_CHANGE])
    scores[LOG_CHANGE] += rate * (np.log(max(abs(change), LEAST_CHANGE)) - scores[LOG_CHANGE])
    x, gain, said = s.waiting_x[slot], s.waiting_gain[slot], s.said[t, h]
    _correct_group(s.weights[t, h], x, gain, s.joint_sizes, said, change, repeats)
    x, gain, said = s.waiting_own[slot, t], s.waiting_own_gain[slot, t], said[s.joint_sizes.size :]
    _correct_group(s.own_weights[t, h], x, gain, s.own_sizes, said, change, repeats)
    return typical


@inlined
def _score(s, slot, t, h, y, half):
    """Let the running scores see the forecast as it was issued."""
    scores = s.scores[t, h]
    yhat = s.waiting_experts[slot, t, h, 0]
    rate = max(1.0 / (scores[SCORED] + 1.0), 0.002)
    inside = 1.0 if abs(y - yhat) <= half else 0.0
    scores[COVERAGE] += rate * (inside - scores[COVERAGE])
    scores[WIDER] = widened(scores[WIDER], inside, s.alpha[0])
    scores[ERROR] += rate * (abs(y - yhat) - scores[ERROR])
    scores[NAIVE_ERROR] += rate * (abs(y - s.waiting_base[slot, t, 2]) - scores[NAIVE_ERROR])
    scores[SCORED] += 1.0


@exact
def _settle_target(s, slot, t, h, y):
    issued = s.waiting_experts[slot, t, h]
    bands = s.waiting_bands[slot, t, h]
    size = max(s.waiting_base[slot, t, 1], step_scale(s.scales[s.targets[t]]))
    if s.scales[s.targets[t], JUMP] != HELD:
        typical = _learn(s, slot, t, h, y)
        judge(s.losses[t, h], s.regrets[t, h], s.top_losses[t, h], issued, y, size, typical)
    score = min(abs(y - issued[0]) / size, 1e6)
    count = s.scores[t, h, SCORED]
    log_q, means, losses = s.log_q[t, h], s.band_means[t, h], s.band_losses[t, h]
    track(log_q, means, losses, bands, score, s.alpha[0], count, s.counts[PUSHED] - s.due[h])
    half = bands[0] * s.waiting_base[slot, t, 1]
    _score(s, slot, t, h, y, half)
    if h == 0:
        m = s.monitor[t]
        m[LATEST], m[LATEST_Y], m[LATEST_YHAT], m[LATEST_HALF] = y - issued[0], y, issued[0], half


@exact
def _relax(s, seq, h):
    if seq % REFRESH_EVERY == 0 and s.stride[h] == 1:
        relax_all(s, seq // REFRESH_EVERY, h)


@exact
def _arrived(s, t, due, now, bridged):
    """Target t at coordinate `due`, between the newest record and the one before it."""
    y = s.values[s.targets[t]]
    if not s.by_time[0] or now - due <= 1e-3 * s.clock[CADENCE]:
        return y
    if not bridged:
        return np.nan
    share = (due - s.clock[BEFORE]) / (now - s.clock[BEFORE])
    return s.before[t] + share * (y - s.before[t])


@exact
def settle(s, now):
    """Settle every forecast that has fallen due, oldest first, one horizon after the other."""
    slots = s.waiting_at.size
    slack = 1e-3 * s.clock[CADENCE] if s.by_time[0] else 0.0
    bridged = s.counts[ARRIVAL] == REGULAR
    for h in range(s.horizons.size):
        while s.due[h] < s.counts[PUSHED]:
            slot = s.due[h] % slots
            due = s.waiting_at[slot] + s.horizons[h]
            if due > now + slack:
                break
            if s.said_of[h] != s.due[h]:
                say(s, h)
            s.due[h] += 1
            if s.waiting_seq[slot] % s.stride[h] != 0:
                continue
            for t in range(s.targets.size):
                y = _arrived(s, t, due, now, bridged)
                if not np.isnan(y) and not np.isnan(s.waiting_base[slot, t, 0]):
                    _settle_target(s, slot, t, h, y)
            _relax(s, s.waiting_seq[slot], h)
