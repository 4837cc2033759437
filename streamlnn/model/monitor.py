"""Anomaly and drift: when they begin, when they end, and what to tell about them.

The monitor looks at one number per target and record, the error of the shortest horizon in
scales, and keeps a few plain numbers per target (`State.monitor`):

- how often an error so big comes, from running 90 and 99 % quantiles of the errors and a power
  tail beyond them: the anomaly score is one minus that;
- an anomaly starts when that share falls below 1e-4 *and* the error exceeds by a fifth a slowly
  fading maximum of the errors before, so that what keeps happening stops being news; it ends when
  errors have been usual for 8 records, or after 128: a change of level becomes the new normal;
  64 records of rest follow;
- drift starts when the mean error of the latest 64 or so is twice the usual one and 6 standard
  errors above it, and ends when the two have met again, or after 2,000 records.

Nothing starts while the model is warming or after a silence of over three usual steps. The monitor
only tells: what it says changes nothing in the model, because resetting at detected drift made
forecasts worse.
"""


# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import AFTER_GAP, CADENCE, CLOCK_SET_BACK
from streamlnn.model.clock import BEFORE as BEFORE_NOW
from streamlnn.model.compiled import exact
from streamlnn.model.records import Event, EventType, Phase
from streamlnn.model.state import ARRIVAL, NEWS, PENDING, SEQ, State

Watch = NDArray[np.float64]


# State.monitor, per target
WATCHED = 24
(
    ERRORS,
    SIZE,
    Q90,
    Q99,
    PEAK,
    FAST,
    SLOW,
    ROOT,
    SCORE,
    SIGN,
    ACTIVE,
    CALM,
    REST,
    SINCE_SEQ,
    SINCE_TIME,
    DRIFTING,
    DRIFT_SEQ,
    DRIFT_TIME,
    ANOMALY_TOLD,
    DRIFT_TOLD,
    LATEST,
    LATEST_Y,
    LATEST_YHAT,
    LATEST_HALF,
) = range(WATCHED)
NOTHING, STARTED, ENDED = range(3)


@exact
def tail(m, size):
    """How often an error is at least so big: linear below the 90 % quantile, a power above."""
    q90 = max(m[Q90], 1e-9)
    if size <= q90:
        return 1.0 - 0.9 * size / q90
    steepness = 2.302585 / np.log(max(m[Q99] / q90, 1.3))
    return 0.1 * (size / q90) ** -steepness


@exact
def _learn_tail(m, size):
    n = m[ERRORS]
    m[ERRORS] = n + 1.0
    if n == 0.0:
        m[Q90], m[Q99], m[PEAK] = 1.7, 2.6, 2.6
    fast, slow = max(0.02, 1.0 / (n + 10.0)), max(0.05, 2.0 / (n + 10.0))
    m[Q90] *= np.exp(fast * ((1.0 if size > m[Q90] else 0.0) - 0.1))
    m[Q99] *= np.exp(slow * ((1.0 if size > m[Q99] else 0.0) - 0.01))
    m[Q90] = max(m[Q90], 0.1)
    m[Q99] = max(m[Q99], 1.3 * m[Q90])
    m[PEAK] = max(m[PEAK] * (1.0 - 1.0 / 2000.0), min(size, 2.0 * m[PEAK]), m[Q99])


@exact
def _watch_anomaly(m, size, sign, p, seq, time, quiet):
    m[ANOMALY_TOLD] = NOTHING
    m[REST] = max(0.0, m[REST] - 1.0)
    if m[ACTIVE] > 0.0:
        m[CALM] = m[CALM] + 1.0 if p > 0.05 else 0.0
        if m[CALM] >= 8.0 or seq - m[SINCE_SEQ] >= 128.0:
            m[ACTIVE], m[SIGN], m[REST], m[ANOMALY_TOLD] = 0.0, 0.0, 64.0, ENDED
    elif not quiet and p < 1e-4 and size > 1.2 * m[PEAK] and m[REST] == 0.0:
        m[ACTIVE], m[SIGN], m[CALM], m[ANOMALY_TOLD] = 1.0, sign, 0.0, STARTED
        m[SINCE_SEQ], m[SINCE_TIME] = seq, time


@exact
def _watch_drift(m, error, seq, time, quiet):
    """Compare the latest errors with the usual ones."""
    n = m[ERRORS]
    error = min(error, 5.0 * m[SLOW]) if n > 8.0 else error
    rate = max(1.0 / n, 0.001)
    m[FAST] += max(1.0 / n, 1.0 / 64.0) * (error - m[FAST])
    m[SLOW] += rate * (error - m[SLOW])
    m[ROOT] = np.hypot(np.sqrt(1.0 - rate) * m[ROOT], np.sqrt(rate) * error)
    spread = np.sqrt(max(m[ROOT] - m[SLOW], 0.0)) * np.sqrt((m[ROOT] + m[SLOW]) / 127.0)
    m[DRIFT_TOLD] = NOTHING
    if m[DRIFTING] > 0.0:
        if m[FAST] < 1.3 * m[SLOW] or seq - m[DRIFT_SEQ] >= 2000.0:
            m[DRIFTING], m[DRIFT_TOLD] = 0.0, ENDED
    elif not quiet and n > 200.0 and m[FAST] > m[SLOW] + 6.0 * spread and m[FAST] > 2.0 * m[SLOW]:
        m[DRIFTING], m[DRIFT_TOLD] = 1.0, STARTED
        m[DRIFT_SEQ], m[DRIFT_TIME] = seq, time


@exact
def watch(m, error, least, seq, time, quiet):
    """Judge one error of the shortest horizon; `quiet` while nothing may begin.

    Its size is told in usual errors, which count as no smaller than `least`.
    """
    usual = max(m[SIZE] if m[ERRORS] > 0.0 else abs(error), least)
    size = abs(error) / usual
    p = tail(m, size) if m[ERRORS] > 0.0 else 1.0
    m[SCORE] = 1.0 - p
    _watch_anomaly(m, size, np.sign(error), p, seq, time, quiet)
    _learn_tail(m, size)
    _watch_drift(m, abs(error), seq, time, quiet)
    m[SIZE] += max(1.0 / m[ERRORS], 0.002) * (min(abs(error), 5.0 * usual) - m[SIZE])


_PHASES: dict[int, Phase] = {STARTED: "start", ENDED: "end"}


def events(state: State, time: float | None) -> list[Event]:
    """Return what the newest record made begin or end."""
    found = _arrival(state, time)
    if state.counts[NEWS]:
        for t in range(state.targets.size):
            found += _of_target(state, t, time)
    return found


def _arrival(state: State, time: float | None) -> list[Event]:
    """Return what was odd about the newest time: it is over when it is known."""
    arrival = state.counts[ARRIVAL]
    if arrival not in (AFTER_GAP, CLOCK_SET_BACK):
        return []
    seq, before = _seq(state), float(state.clock[BEFORE_NOW])
    assert time is not None
    if arrival == CLOCK_SET_BACK:
        text = f"The sender's clock was set back by {before - time:.6g} s."
        return [Event("clock", "end", time, time, seq, "warning", text)]
    usual = float(state.clock[CADENCE])
    text = f"Nothing came for {time - before:.6g} s; a record usually comes every {usual:.4g} s."
    return [Event("gap", "end", time, before, seq - 1, "info", text)]


def _seq(state: State) -> int:
    return int(state.counts[SEQ] + state.counts[PENDING]) - 1


def _of_target(state: State, t: int, time: float | None) -> list[Event]:
    m, found = state.monitor[t], []
    if m[ANOMALY_TOLD]:
        found.append(_anomaly(m, t, time))
    if m[DRIFT_TOLD]:
        found.append(_drift(m, t, time))
    return found


def _anomaly(m: Watch, t: int, time: float | None) -> Event:
    phase = _PHASES[int(m[ANOMALY_TOLD])]
    y, yhat, half = map(float, m[[LATEST_Y, LATEST_YHAT, LATEST_HALF]])
    since = m[SINCE_SEQ], m[SINCE_TIME]
    side = "above" if y > yhat else "below"
    text = f"The value {y:.6g} is far {side} the {yhat:.6g} that was forecast."
    if phase == "end":
        text = f"At {y:.6g} values are as forecast again, or have become the new normal."
    values = (y, yhat, yhat - half, yhat + half)
    return _event("anomaly", phase, t, time, since, text, float(m[SCORE]), values)


def _drift(m: Watch, t: int, time: float | None) -> Event:
    phase = _PHASES[int(m[DRIFT_TOLD])]
    since = m[DRIFT_SEQ], m[DRIFT_TIME]
    text = "Lately the errors are more than twice the usual ones."
    if phase == "end":
        text = "The errors are back to what has become usual."
    return _event("drift", phase, t, time, since, text)


def _event(
    kind: EventType,
    phase: Phase,
    target: int,
    time: float | None,
    since: tuple[float, float],
    text: str,
    score: float = np.nan,
    values: tuple[float, float, float, float] = (np.nan, np.nan, np.nan, np.nan),
) -> Event:
    began = None if time is None else float(since[1])
    seq = int(since[0])
    return Event(kind, phase, time, began, seq, "warning", text, target, score, *values)
