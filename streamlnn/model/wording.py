"""What the monitor and the clock found, as events with one sentence for people."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.anomaly import (
    ANOMALY_TOLD,
    CRITICAL,
    ENDED,
    LATEST_HALF,
    LATEST_Y,
    LATEST_YHAT,
    SINCE_SEQ,
    SINCE_TIME,
    STARTED,
    TOP,
    UPDATED,
)
from streamlnn.model.clock import AFTER_GAP, BEFORE, CADENCE, CLOCK_SET_BACK
from streamlnn.model.drift import (
    ABOVE,
    BELOW,
    CAUSE,
    DRIFT_SINCE_SEQ,
    DRIFT_SINCE_TIME,
    DRIFT_TOLD,
    LARGER,
    SMALLER,
)
from streamlnn.model.records import Event, EventType, Phase, Severity
from streamlnn.model.state import ARRIVAL, NEWS, PENDING, SEQ, State, Y
from streamlnn.model.stuck import STUCK_SINCE_SEQ, STUCK_SINCE_TIME, STUCK_TOLD, VALUE
from streamlnn.model.units import spoken

Numbers = NDArray[np.float64]

_PHASES: dict[int, Phase] = {STARTED: "start", UPDATED: "update", ENDED: "end"}
_DRIFTS = {
    LARGER: "Forecasts have been failing by more than they used to.",
    SMALLER: "Forecasts have been failing by less than they used to: the stream has become calmer.",
    ABOVE: "Values have risen further above their level than they used to.",
    BELOW: "Values have fallen further below their level than they used to.",
}


def events(state: State, time: float | None) -> list[Event]:
    """Return what the newest record made begin, get worse or end."""
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
    seq, before = _seq(state), float(state.clock[BEFORE])
    assert time is not None
    if arrival == CLOCK_SET_BACK:
        text = f"The sender's clock was set back by {before - time:.6g} s."
        return [Event("clock", "end", time, time, seq, "warning", text)]
    usual = float(state.clock[CADENCE])
    silent = spoken(time - before)
    text = f"Nothing came for {silent}; a record usually comes every {spoken(usual, 4)}."
    return [Event("gap", "end", time, before, seq - 1, "info", text)]


def _seq(state: State) -> int:
    return int(state.counts[SEQ] + state.counts[PENDING]) - 1


def _of_target(state: State, t: int, time: float | None) -> list[Event]:
    m, found = state.monitor[t], []
    if m[ANOMALY_TOLD]:
        found.append(_anomaly(m, t, time, float(state.condition[Y, t])))
    if m[DRIFT_TOLD]:
        found.append(_drift(m, t, time))
    if m[STUCK_TOLD]:
        found.append(_stuck(m, t, time, _seq(state)))
    return found


def _anomaly(m: Numbers, t: int, time: float | None, newest: float) -> Event:
    phase = _PHASES[int(m[ANOMALY_TOLD])]
    y, yhat, half = map(float, m[[LATEST_Y, LATEST_YHAT, LATEST_HALF]])
    side = "above" if y > yhat else "below"
    where = "The value" if y == newest else "On the straight line between two records, the value"
    size = max(abs(y), abs(yhat), half)
    text = f"{where} {_told(y, size)} is far {side} the {_told(yhat, size)} that was forecast."
    if phase == "end":
        text = f"At {_told(y, size)} values are as forecast again, or have become the new normal."
    severity: Severity = "critical" if m[TOP] >= CRITICAL else "warning"
    score = float(1.0 - np.exp(-m[TOP]))
    since, values = (m[SINCE_SEQ], m[SINCE_TIME]), (y, yhat, yhat - half, yhat + half)
    return _event("anomaly", phase, t, time, since, severity, text, score, values)


def _told(value: float, size: float) -> str:
    """Return a value in as many decimals as 6 digits of what is as large as `size` have.

    >>> _told(-1.9304e-13, 6.25), _told(6.2500001, 6.25), _told(1.9304e-13, 2e-13)
    ('0', '6.25', '1.9304e-13')
    """
    if not 0.0 < size < np.inf:
        return f"{value:.6g}"
    decimals = max(0, 5 - math.floor(math.log10(size)))
    return f"{float(f'{value:.{decimals}f}') + 0.0:.6g}"


def _drift(m: Numbers, t: int, time: float | None) -> Event:
    phase, cause = _PHASES[int(m[DRIFT_TOLD])], int(m[CAUSE])
    text = _DRIFTS[cause]
    if phase == "end":
        text = "What was drift has passed, or has become the new normal."
    severity: Severity = "info" if cause == SMALLER else "warning"
    return _event(
        "drift", phase, t, time, (m[DRIFT_SINCE_SEQ], m[DRIFT_SINCE_TIME]), severity, text
    )


def _stuck(m: Numbers, t: int, time: float | None, seq: int) -> Event:
    phase, y = _PHASES[int(m[STUCK_TOLD])], float(m[VALUE])
    since = m[STUCK_SINCE_SEQ], m[STUCK_SINCE_TIME]
    records = seq - int(since[0])
    text = f"The value has been exactly {y:.6g} for {records + 1} records: is the sensor stuck?"
    if phase == "end":
        text = f"The value moves again, after {records} records."
    return _event("stuck", phase, t, time, since, "warning", text, values=(y, *_NO_VALUES[1:]))


_NO_VALUES = (np.nan, np.nan, np.nan, np.nan)


def _event(
    kind: EventType,
    phase: Phase,
    target: int,
    time: float | None,
    since: tuple[float, float],
    severity: Severity,
    text: str,
    score: float = np.nan,
    values: tuple[float, float, float, float] = _NO_VALUES,
) -> Event:
    began = None if time is None else float(since[1])
    return Event(kind, phase, time, began, int(since[0]), severity, text, target, score, *values)
