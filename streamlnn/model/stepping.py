"""One record: what happens to the state, in order. The whole model on one page.

`observe`: the forecasts that have fallen due are settled, the scales, the reservoir and the
features move on, and the experts are asked: the forecast is there. `absorb`: the features are
taken into the covariances, which costs most and concerns later records only. One record, a whole
recording and one record of many streams go through the same machine code, so their numbers agree
bit for bit.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.anomaly import ACTIVE, LATEST, SCORE, SIGN
from streamlnn.model.clock import AFTER_GAP, AFTER_SILENCE, BEFORE, LAST, REGULAR, take_time
from streamlnn.model.compiled import entry, exact
from streamlnn.model.drift import CAUSE, DRIFTING, SMALLER
from streamlnn.model.experts import absorb_all, ask_experts, begin_anew, refresh_all, say_ahead
from streamlnn.model.features import hear_ahead, make_features, make_own_features, take_value
from streamlnn.model.intervals import band, widths
from streamlnn.model.mixture import MIXTURES, mix
from streamlnn.model.monitor import after_gap, watch
from streamlnn.model.profiles import learn_profiles
from streamlnn.model.readout import copy, fill
from streamlnn.model.scaling import (
    FRESH,
    HIGH,
    LEARNED,
    LOW,
    OBSERVED,
    RESETTLED,
    SEEN,
    SETTLING,
    step_scale,
)
from streamlnn.model.seasons import remember
from streamlnn.model.settling import COVERAGE, ERROR, NAIVE_ERROR, SCORED, WIDER, settle
from streamlnn.model.state import (
    ANOMALY_ACTIVE,
    ANOMALY_SCORE,
    ANOMALY_SIGN,
    ARRIVAL,
    COVERED,
    IN_DRIFT,
    LOWER,
    NEWS,
    NEXT_LOOK,
    OK,
    PENDING,
    PUSHED,
    SEASON_PUSHED,
    SEQ,
    SKILL,
    STATUS,
    STOPPED,
    UPPER,
    WARMING,
    YHAT,
    Y,
)

WARM_AFTER = 32
"""Records, and scored forecasts of the shortest horizon, before a model counts as warm."""

# ------------------------------------------------------------------------------------- forecasting


@exact
def _forecast_one(s, slot, t, h):
    field = s.targets[t]
    issued = s.waiting_experts[slot, t, h]
    ask_experts(s, t, h, issued[1 + MIXTURES :])
    mix(s.losses[t, h], s.regrets[t, h], s.top_losses[t, h], issued)
    bands = s.waiting_bands[slot, t, h]
    bands[0] = band(s.log_q[t, h], s.band_means[t, h], s.band_losses[t, h])
    if h > 0 and s.scores[t, h, SCORED] < WARM_AFTER:
        # Nothing is known of this horizon yet: as wide as a random walk that the last one knows.
        shorter = s.waiting_bands[slot, t, h - 1, 0]
        bands[0] = max(bands[0], shorter * np.sqrt(s.horizons[h] / s.horizons[h - 1]))
    bands[0] *= np.exp(s.scores[t, h, WIDER])
    half = bands[0] * step_scale(s.scales[field])
    seen = s.scales[field, HIGH] - s.scales[field, LOW]
    if s.scores[t, h, SCORED] >= WARM_AFTER and seen > 0.0:
        half = min(half, seen)  # trackers overshoot where labels come hundreds of records late
    if s.scales[field, SEEN] == 0.0:
        issued[0] = np.nan
    s.forecast[YHAT, h, t] = issued[0]
    s.forecast[LOWER, h, t] = issued[0] - half
    s.forecast[UPPER, h, t] = issued[0] + half


@exact
def _issue(s, at):
    """Forecast every target and horizon, and let the forecasts wait for their values."""
    slot = s.counts[PUSHED] % s.waiting_at.size
    s.waiting_at[slot], s.waiting_seq[slot] = at, s.counts[SEQ]
    for t in range(s.targets.size):
        field = s.targets[t]
        seen = s.scales[field, SEEN] > 0.0
        s.waiting_base[slot, t, 0] = s.history[field, 0] if seen else np.nan
        s.waiting_base[slot, t, 1] = step_scale(s.scales[field])
        s.waiting_base[slot, t, 2] = s.scales[field, OBSERVED]
        for h in range(s.horizons.size):
            _forecast_one(s, slot, t, h)
    s.counts[PUSHED] += 1


# ----------------------------------------------------------------------------------------- judging


@exact
def _watch_all(s, time):
    seq, news = s.counts[SEQ], int(s.counts[ARRIVAL] > AFTER_SILENCE)
    quiet = s.counts[ARRIVAL] != REGULAR
    for t in range(s.targets.size):
        m, young = s.monitor[t], s.scores[t, 0, SCORED] < 2 * WARM_AFTER
        least = 0.05 * step_scale(s.scales[s.targets[t]])
        if s.counts[ARRIVAL] == AFTER_GAP:
            after_gap(m)
        news += int(watch(m, s.condition[Y, t], least, seq, time, quiet or young))
        s.condition[ANOMALY_SCORE, t] = m[SCORE]
        s.condition[ANOMALY_SIGN, t] = m[SIGN]
        s.condition[ANOMALY_ACTIVE, t] = m[ACTIVE]
    s.counts[NEWS] = news


@exact
def skill(error, naive):
    """1 - error / naive, also where one or both are 0."""
    if naive == 0.0 and error == 0.0:
        return 0.0
    return 1.0 - error / max(naive, 1e-9 * error)


@exact
def _grade(s):
    """Say how good the forecasts have been lately, and how the model is doing as a whole."""
    scored, drifting = 0.0, False
    for t in range(s.targets.size):
        scored = max(scored, s.scores[t, 0, SCORED])
        drifting |= s.monitor[t, DRIFTING] > 0.0 and s.monitor[t, CAUSE] != SMALLER
        for h in range(s.horizons.size):
            scores = s.scores[t, h]
            if scores[SCORED] > 0.0:
                s.forecast[COVERED, h, t] = scores[COVERAGE]
                s.forecast[SKILL, h, t] = skill(scores[ERROR], scores[NAIVE_ERROR])
    warm = scored >= WARM_AFTER and s.counts[SEQ] >= WARM_AFTER
    s.counts[STATUS] = (IN_DRIFT if drifting else OK) if warm else WARMING


# ----------------------------------------------------------------------------------------- a record


@exact
def _take_values(s, steps):
    for t in range(s.targets.size):
        field = s.targets[t]
        fresh = s.scales[field, FRESH] > 0.0
        s.before[t] = s.history[field, 0] if fresh else np.nan
    resettled = False
    for field in range(s.values.size):
        take_value(s, field, s.values[field], steps)
        resettled |= s.scales[field, RESETTLED] == LEARNED
    if resettled and s.counts[SEQ] < 2 * SETTLING:
        begin_anew(s)
    for t in range(s.targets.size):
        s.condition[Y, t] = s.values[s.targets[t]]


@exact
def _observe(s, time):
    s.clock[BEFORE] = s.clock[LAST]
    steps = take_time(s, time)
    _take_values(s, steps)
    at = time if s.by_time[0] else float(s.counts[SEQ])
    fill(s.monitor[:, LATEST], np.nan)
    settle(s, at)
    _watch_all(s, time)
    _grade(s)
    remember(s, at)
    learn_profiles(s, time, at)
    make_features(s, time, steps)
    make_own_features(s, time, steps)
    _issue(s, at)
    s.counts[PENDING] = 1


@exact
def _keep_widths(s, slot):
    for t in range(s.targets.size):
        for h in range(s.horizons.size):
            widths(s.log_q[t, h], s.band_means[t, h], s.waiting_bands[slot, t, h, 1:])


@exact
def _absorb(s):
    """Do what follows a forecast; it may wait until the next record, not longer."""
    if s.counts[PENDING] == 0:
        return
    slot = (s.counts[PUSHED] - 1) % s.waiting_at.size
    _keep_widths(s, slot)
    absorb_all(s, slot)
    refresh_all(s)
    hear_ahead(s)
    say_ahead(s)
    s.counts[SEQ] += 1
    s.counts[PENDING] = 0


@exact
def _tell(s, row):
    """Write what was forecast and found into a row of output."""
    size = s.forecast.size
    copy(s.forecast.reshape(-1), row[:size])
    copy(s.condition.reshape(-1), row[size : size + s.condition.size])
    row[size + s.condition.size] = s.counts[STATUS]
    row[size + s.condition.size + 1] = s.counts[SEQ]


@exact
def _full(s):
    oldest = s.due[0]
    for h in range(1, s.due.size):
        oldest = min(oldest, s.due[h])
    return s.counts[PUSHED] - oldest >= s.waiting_at.size


@exact
def _look_is_due(s):
    return 0 < s.counts[NEXT_LOOK] <= s.counts[SEASON_PUSHED]


@entry
def observe(s, times, values, rows):
    """Step through records; return how many.

    Fewer than all when there is news to tell, when a look for a season is due, or when no slot is
    left to wait in. The newest features are left to be absorbed.

    times (n,) seconds or NaN, values (n, F), rows (n, row size) to be filled.
    """
    s.counts[NEWS] = 0
    for i in range(times.size):
        _absorb(s)
        if _full(s):
            return i
        copy(values[i], s.values)
        _observe(s, times[i])
        _tell(s, rows[i])
        if s.counts[NEWS] > 0 or _look_is_due(s):
            s.counts[STOPPED] = 1
            return i + 1
    return times.size


@entry
def observe_one(s, time, value, row):
    """Step through one record; return whether there is something to do, as above.

    The record is `value` where there is one field, and in `s.values` otherwise. With no slot left
    to wait in nothing is done, and `counts[STOPPED]` is 0.
    """
    s.counts[NEWS] = 0
    _absorb(s)
    if _full(s):
        return True
    if s.values.size == 1:
        s.values[0] = value
    _observe(s, time)
    _tell(s, row)
    if s.counts[NEWS] > 0 or _look_is_due(s):
        s.counts[STOPPED] = 1
        return True
    return False


@entry
def absorb(s):
    """Take the newest features into the covariances, if that has not been done."""
    _absorb(s)


def warm() -> None:
    """Compile all that a `Forecaster` of the default dtype needs, or load it from the cache.

    Takes 20 to 60 seconds cold and less than a second from the cache.
    """
    from streamlnn.model.forecaster import Forecaster  # it imports this file

    Forecaster([1]).step(None, 0.0)
