"""Anomaly and drift: when they begin, when they end, and what to tell about them.

The monitor looks at one number per target and record, the error of the shortest horizon in
scales, and keeps a few plain numbers per target (`kernels.State.monitor`):

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
forecasts worse. The watching is compiled, in the section "monitor" of kernels.py; this file puts
what it found into words.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streamlnn.model import kernels
from streamlnn.model.kernels import State
from streamlnn.model.records import Event, EventType, Phase

Watch = NDArray[np.float64]

_PHASES: dict[int, Phase] = {kernels.STARTED: "start", kernels.ENDED: "end"}


def events(state: State, time: float | None) -> list[Event]:
    """Return what the newest record made begin or end."""
    found = _arrival(state, time)
    if state.counts[kernels.NEWS]:
        for t in range(state.targets.size):
            found += _of_target(state, t, time)
    return found


def _arrival(state: State, time: float | None) -> list[Event]:
    """Return what was odd about the newest time: it is over when it is known."""
    arrival = state.counts[kernels.ARRIVAL]
    if arrival not in (kernels.AFTER_GAP, kernels.CLOCK_SET_BACK):
        return []
    seq, before = int(state.counts[kernels.SEQ]) - 1, float(state.clock[kernels.BEFORE])
    assert time is not None
    if arrival == kernels.CLOCK_SET_BACK:
        text = f"The sender's clock was set back by {before - time:.6g} s."
        return [Event("clock", "end", time, time, seq, "warning", text)]
    usual = float(state.clock[kernels.CADENCE])
    text = f"Nothing came for {time - before:.6g} s; a record usually comes every {usual:.4g} s."
    return [Event("gap", "end", time, before, seq - 1, "info", text)]


def _of_target(state: State, t: int, time: float | None) -> list[Event]:
    m, found = state.monitor[t], []
    if m[kernels.ANOMALY_TOLD]:
        found.append(_anomaly(m, t, time))
    if m[kernels.DRIFT_TOLD]:
        found.append(_drift(m, t, time))
    return found


def _anomaly(m: Watch, t: int, time: float | None) -> Event:
    phase = _PHASES[int(m[kernels.ANOMALY_TOLD])]
    y, yhat, half = map(float, m[[kernels.LATEST_Y, kernels.LATEST_YHAT, kernels.LATEST_HALF]])
    since = m[kernels.SINCE_SEQ], m[kernels.SINCE_TIME]
    side = "above" if y > yhat else "below"
    text = f"The value {y:.6g} is far {side} the {yhat:.6g} that was forecast."
    if phase == "end":
        text = f"At {y:.6g} values are as forecast again, or have become the new normal."
    values = (y, yhat, yhat - half, yhat + half)
    return _event("anomaly", phase, t, time, since, text, float(m[kernels.SCORE]), values)


def _drift(m: Watch, t: int, time: float | None) -> Event:
    phase = _PHASES[int(m[kernels.DRIFT_TOLD])]
    since = m[kernels.DRIFT_SEQ], m[kernels.DRIFT_TIME]
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
