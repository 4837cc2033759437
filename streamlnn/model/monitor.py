"""What is odd about a target: anomaly, drift and a stuck sensor, from a few plain numbers.

The monitor looks at the newest value and at the error of the shortest horizon. `anomaly` says how
seldom an error like the newest comes, `drift` whether errors or values have become others than
they used to be, `stuck` whether the value has not moved for far too long; `events` puts it into
words. Nothing starts while the model is warming or after a silence of over three usual
steps; after a gap, or while a sensor seems to be stuck, little is as it was and nothing is
compared with it.

The monitor only tells: what it says changes nothing in the model, because resetting at detected
drift made forecasts worse.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.anomaly import (
    ACTIVE,
    ANOMALY_TOLD,
    LATEST,
    LATEST_YHAT,
    NOTHING,
    SCORE,
    STARTED,
    carried,
    follow_anomaly,
    judge,
    rest,
    usual_error,
)
from streamlnn.model.compiled import exact
from streamlnn.model.drift import (
    DRIFT_TOLD,
    begin_anew,
    compare_error,
    compare_value,
    follow_drift,
)
from streamlnn.model.stuck import AFTER_STUCK, STUCK_TOLD, suspected, watch_repeats
from streamlnn.model.wording import events

__all__ = ["WATCHED", "after_gap", "events", "watch"]

WATCHED = AFTER_STUCK
"""How many numbers `State.monitor` holds of a target."""

MOST = 4.0
"""Usual errors that a value may be off to be taken whole into the means of the values."""


@exact
def watch(m, y, least, seq, time, quiet):
    """Look at a record: its value `y`, NaN where missing, and the error in `m[LATEST]`, if any.

    Errors count as no smaller than `least`; nothing starts while `quiet`. Return whether there is
    something to tell. About 0.15 microseconds.
    """
    m[ANOMALY_TOLD] = m[DRIFT_TOLD] = m[STUCK_TOLD] = NOTHING
    m[SCORE] = 0.0
    if watch_repeats(m, y, seq, time, quiet):
        after_gap(m)
        follow_anomaly(m, 0.0, seq, time, True)
    elif not np.isnan(m[LATEST]):
        _watch_error(m, least, seq, time, quiet or suspected(m))
    return m[ANOMALY_TOLD] + m[DRIFT_TOLD] + m[STUCK_TOLD] != NOTHING


@exact
def after_gap(m):
    """Forget where the values were: they may be anywhere now."""
    rest(m)
    begin_anew(m)


@exact
def _watch_error(m, least, seq, time, quiet):
    error, usual = m[LATEST], usual_error(m, m[LATEST], least)
    follow_anomaly(m, judge(m, error, usual), seq, time, quiet)
    if m[ANOMALY_TOLD] == STARTED:
        begin_anew(m)
    if m[ACTIVE] == 0.0:
        compare_error(m, abs(error), least, carried(m), seq, time)
    off = min(max(error, -MOST * usual), MOST * usual)
    compare_value(m, m[LATEST_YHAT] + off, seq, time)
    follow_drift(m, seq, quiet or m[ACTIVE] > 0.0)
