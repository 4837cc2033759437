"""Stuck: a sensor that used to move repeats one value far longer than it ever did before.

What is far depends on the sensor: coarse steps repeat often, a switch for hours. A run of repeats
is stuck when it is longer than 16, than four times the longest run before (which fades slowly),
and than 32 times the mean run: for values that change at random, one chance in a hundred
million at most. A sensor that changed fewer than 64 times, or never, is not judged. The event
begins with the first of the equal values and ends with the first other one. Missing values count
as nothing.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.anomaly import ENDED, STARTED
from streamlnn.model.compiled import exact
from streamlnn.model.drift import AFTER_DRIFT

AFTER_STUCK = AFTER_DRIFT + 12
(
    VALUE,
    KNOWN,
    REPEATS,
    FIRST_SEQ,
    FIRST_TIME,
    RUNS,
    MEAN_RUN,
    LONGEST_RUN,
    IS_STUCK,
    STUCK_SINCE_SEQ,
    STUCK_SINCE_TIME,
    STUCK_TOLD,
) = range(AFTER_DRIFT, AFTER_STUCK)
"""What is kept of a target, behind what `drift` keeps. REPEATS counts those of VALUE, the first
left out."""

FEWEST_RUNS = 64.0
FEWEST, TIMES_LONGEST, TIMES_MEAN = 16.0, 4.0, 32.0
FADING = 1.0 - 1.0 / 2000.0


@exact
def usual_repeats(m):
    """Return how many repeats are nothing to speak of."""
    return max(FEWEST, TIMES_LONGEST * m[LONGEST_RUN], TIMES_MEAN * m[MEAN_RUN])


@exact
def watch_repeats(m, value, seq, time, quiet):
    """Take one value, NaN where missing; return whether the sensor is stuck, or was until now."""
    was_stuck = m[IS_STUCK] > 0.0
    if np.isnan(value):
        return was_stuck
    if m[KNOWN] > 0.0 and value == m[VALUE]:
        m[REPEATS] += 1.0
        if not quiet and not was_stuck:
            _judge(m)
    else:
        _end_run(m)
        m[VALUE], m[KNOWN], m[FIRST_SEQ], m[FIRST_TIME] = value, 1.0, seq, time
    return was_stuck or m[IS_STUCK] > 0.0


@exact
def suspected(m):
    """Say whether the value has repeated for a quarter of what is too long."""
    return m[RUNS] >= FEWEST_RUNS and 4.0 * m[REPEATS] > usual_repeats(m)


@exact
def _judge(m):
    if m[RUNS] >= FEWEST_RUNS and m[REPEATS] > usual_repeats(m):
        m[IS_STUCK], m[STUCK_TOLD] = 1.0, STARTED
        m[STUCK_SINCE_SEQ], m[STUCK_SINCE_TIME] = m[FIRST_SEQ], m[FIRST_TIME]


@exact
def _end_run(m):
    if m[KNOWN] == 0.0:
        return
    m[RUNS] += 1.0
    m[MEAN_RUN] += max(1.0 / m[RUNS], 1.0 / 2000.0) * (m[REPEATS] - m[MEAN_RUN])
    m[LONGEST_RUN] = max(FADING * m[LONGEST_RUN], m[REPEATS])
    m[REPEATS] = 0.0
    if m[IS_STUCK] > 0.0:
        m[IS_STUCK], m[STUCK_TOLD] = 0.0, ENDED
