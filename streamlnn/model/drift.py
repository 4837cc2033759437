"""Drift: the errors, or the level of the values, are not what they used to be.

Four things are followed from the record at which they left 0 to the one at which they are back
there: sums of how far errors were larger, and how far they were smaller, than their mean
(Page 1954: each deviation in standard deviations, less a quarter; where errors follow one another
anyway it counts for less), and how far the mean of the latest 32 or so values lies above and below
that of the latest 256, in usual distances between the two. The one sees other noise and other
dynamics, the other a slow drift and a step within the noise.

Drift is told when one of them passes its limit (30, and 6) and one and a half times what it came
to before, a mark that fades slowly: days and nights, or bursts, are news a few times only. It
began where that one left 0. What follows is the new normal: the mean error is learned anew, and
the drift ends when the one that told it is back, or after 2,000 records, and is told anew if it
goes on. What an anomaly has told is no drift: its errors are not compared, and the comparison
begins anew with it, as it does after a gap.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.anomaly import AFTER_ANOMALY, ENDED, STARTED
from streamlnn.model.compiled import exact

CAUSES = 4
LARGER, SMALLER, ABOVE, BELOW = range(CAUSES)
"""What a drift may be."""

EXCURSION = 5
NOW, HIGHEST, NEWS, BEGAN_SEQ, BEGAN_TIME = range(EXCURSION)
"""What is kept of each of the four."""

FOUR = AFTER_ANOMALY
AFTER_DRIFT = FOUR + CAUSES * EXCURSION + 14
(
    SEEN,
    COMPARED,
    MEAN,
    ROOT,
    VALUES,
    FAST,
    SLOW,
    DISTANCE,
    DRIFTING,
    CAUSE,
    DRIFT_SEQ,
    DRIFT_SINCE_SEQ,
    DRIFT_SINCE_TIME,
    DRIFT_TOLD,
) = range(FOUR + CAUSES * EXCURSION, AFTER_DRIFT)
"""What is kept of a target, behind what `anomaly` keeps: the four, and these."""

LIMITS = np.array([30.0, 30.0, 6.0, 6.0])
YOUNG = np.array([256.0, 1000.0, 256.0, 256.0])
"""Errors seen before each of the four is followed. Those of a young model fall by themselves."""

ALLOWANCE = 0.25
NEWER = 1.5
FADING = 1.0 - 1.0 / 4000.0
SHORTEST, LONGEST = 64.0, 2000.0
NEW_NORMAL = 64.0
"""For how many records the mean error counts as learned when a drift has begun."""


@exact
def _at(cause):
    return FOUR + EXCURSION * cause


@exact
def _limit(m, cause):
    return max(LIMITS[cause], NEWER * m[_at(cause) + NEWS])


@exact
def _move(m, cause, value, seq, time):
    """Let one of the four come to `value`."""
    at, limit = _at(cause), _limit(m, cause)
    now = min(value, 2.0 * limit) if m[SEEN] >= YOUNG[cause] else 0.0
    m[at + NEWS] *= FADING
    if m[at + NOW] <= 0.0:
        m[at + BEGAN_SEQ], m[at + BEGAN_TIME] = seq, time
    if now <= 0.0:
        _end(m, cause)
    m[at + NOW], m[at + HIGHEST] = now, max(m[at + HIGHEST], now)


@exact
def _end(m, cause):
    """Remember how far one of the four went; it begins anew."""
    at = _at(cause)
    m[at + NEWS] = max(m[at + NEWS], min(m[at + HIGHEST], NEWER * _limit(m, cause)))
    m[at + NOW] = m[at + HIGHEST] = 0.0


@exact
def compare_error(m, size, least, carried, seq, time):
    """Compare an error's size with the mean; `carried`: its share that was in the one before."""
    spread = np.sqrt(max(m[ROOT] - m[MEAN], 0.0)) * np.sqrt(m[ROOT] + m[MEAN])
    spread = max(spread, 0.2 * m[MEAN], least)
    size = min(size, m[MEAN] + 4.0 * spread) if m[COMPARED] > 8.0 else size
    deviation, fresh = (size - m[MEAN]) / spread, 1.0 - carried * carried
    weight = fresh / (2.0 - fresh)
    larger = m[_at(LARGER) + NOW] + (deviation - ALLOWANCE) * weight
    smaller = m[_at(SMALLER) + NOW] - (deviation + ALLOWANCE) * weight
    _move(m, LARGER, max(0.0, larger), seq, time)
    _move(m, SMALLER, max(0.0, smaller), seq, time)
    _learn_mean(m, size)


@exact
def _learn_mean(m, size):
    m[SEEN] += 1.0
    m[COMPARED] += 1.0
    rate = max(1.0 / m[COMPARED], 0.001)
    m[MEAN] += rate * (size - m[MEAN])
    m[ROOT] = np.hypot(np.sqrt(1.0 - rate) * m[ROOT], np.sqrt(rate) * size)


@exact
def compare_value(m, value, seq, time):
    """Compare the mean of the latest values with that of more of them."""
    m[VALUES] += 1.0
    m[FAST] += max(1.0 / m[VALUES], 1.0 / 32.0) * (value - m[FAST])
    m[SLOW] += max(1.0 / m[VALUES], 1.0 / 256.0) * (value - m[SLOW])
    apart, usual = m[FAST] - m[SLOW], m[DISTANCE]
    distances = apart / usual if usual > 0.0 else 0.0
    _move(m, ABOVE, max(0.0, distances), seq, time)
    _move(m, BELOW, max(0.0, -distances), seq, time)
    if m[VALUES] >= 128.0 and m[DRIFTING] == 0.0:
        _learn_distance(m, abs(apart))


@exact
def _learn_distance(m, apart):
    n = max(m[SEEN] - 127.0, 1.0)
    apart = min(apart, 3.0 * m[DISTANCE]) if n > 64.0 else apart
    m[DISTANCE] += max(1.0 / n, 1.0 / 2000.0) * (apart - m[DISTANCE])


@exact
def begin_anew(m):
    """Forget where the values were and what the four came to; what is usual stays known."""
    m[VALUES] = 0.0
    for cause in range(CAUSES):
        m[_at(cause) + NOW] = m[_at(cause) + HIGHEST] = 0.0


@exact
def follow_drift(m, seq, quiet):
    """Say whether a drift starts or ends; none starts while `quiet`."""
    if m[DRIFTING] > 0.0:
        cause, age = int(m[CAUSE]), seq - m[DRIFT_SEQ]
        if age >= SHORTEST and (m[_at(cause) + NOW] < 1.0 or age >= LONGEST):
            m[DRIFTING], m[DRIFT_TOLD] = 0.0, ENDED
            _end(m, cause)
    elif not quiet:
        for cause in range(CAUSES):
            if m[DRIFTING] == 0.0 and m[_at(cause) + NOW] > _limit(m, cause):
                _start(m, cause, seq)


@exact
def _start(m, cause, seq):
    """Tell a drift; the others of the four forget what it has told."""
    at = _at(cause)
    m[DRIFTING], m[CAUSE], m[DRIFT_SEQ], m[DRIFT_TOLD] = 1.0, cause, seq, STARTED
    m[DRIFT_SINCE_SEQ], m[DRIFT_SINCE_TIME] = m[at + BEGAN_SEQ], m[at + BEGAN_TIME]
    m[COMPARED] = NEW_NORMAL
    for other in range(CAUSES):
        if other != cause:
            m[_at(other) + NOW] = m[_at(other) + HIGHEST] = 0.0
