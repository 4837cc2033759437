"""Elapsed time: the usual cadence, silences, and clocks that are set back.

The model knows time only as differences, told in usual steps: the median of the latest elapsed
times, or what the settings say. A stream without a clock takes one step from record to record.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import numpy as np

from streamlnn.model.compiled import exact
from streamlnn.model.readout import fill
from streamlnn.model.season_search import FEWEST
from streamlnn.model.state import ARRIVAL, GAPS, NEXT_LOOK, PUSHED, SEASON_PUSHED

GAP = 3.0
"""A silence longer than so many usual steps teaches nothing. It is told as a gap when it is also
longer than so many long steps, of which a learned cadence knows the 99 % quantile: on a stream of
LoRaWAN packets, of which every twelfth is late, that tells 5 gaps and not 640. To learn from the
others instead is 1 % better there, and up to a third worse where every twentieth step is long."""

FEW_GAPS = 8
"""Elapsed times that must have been seen before one can be called long."""

# State.clock, float64: coordinates are seconds, or record numbers for a stream by sample; LONG is
# the 99 % quantile of the elapsed times, PACE their mean
CLOCK = 6
LAST, CADENCE, FIXED_CADENCE, BEFORE, LONG, PACE = range(CLOCK)

# counts[ARRIVAL]: what was odd about the time of the newest record
REGULAR, AFTER_SILENCE, AFTER_GAP, CLOCK_SET_BACK = range(4)


@exact
def median(a):
    """Return the upper median by counting, for a handful of numbers."""
    for i in range(a.size):
        below, equal = 0, 0
        for k in range(a.size):
            below += a[k] < a[i]
            equal += a[k] == a[i]
        if below <= a.size // 2 < below + equal:
            return a[i]
    return np.nan


@exact
def _learn_cadence(s, elapsed):
    n = s.counts[GAPS]
    s.gaps[n % s.gaps.size] = elapsed
    s.counts[GAPS] = n + 1
    if s.clock[FIXED_CADENCE] == 0.0 and (n < s.gaps.size or n % s.gaps.size == 0):
        s.clock[CADENCE] = median(s.gaps[: min(n + 1, s.gaps.size)])
    _learn_long(s, elapsed, n)
    _learn_pace(s, elapsed, n)


@exact
def _learn_long(s, elapsed, n):
    """Track the 99 % quantile of elapsed times, from the usual one on: it falls slowly."""
    if n < FEW_GAPS:
        s.clock[LONG] = s.clock[CADENCE]
        return
    rate = max(0.05, 2.0 / (n + 10.0))
    s.clock[LONG] *= np.exp(rate * ((1.0 if elapsed > s.clock[LONG] else 0.0) - 0.01))


@exact
def _learn_pace(s, elapsed, n):
    """Track the mean elapsed time, of which a silence is no more than six usual steps."""
    rate = max(0.01, 1.0 / (n + 1.0))
    s.clock[PACE] += rate * (min(elapsed, 2.0 * GAP * s.clock[CADENCE]) - s.clock[PACE])


@exact
def _silence(s, elapsed, steps):
    """Say whether nothing came for longer than usual, and whether that is worth telling."""
    given = s.clock[FIXED_CADENCE] > 0.0
    if steps <= GAP or not (given or s.counts[GAPS] >= FEW_GAPS):
        return REGULAR
    return AFTER_GAP if given or elapsed > GAP * s.clock[LONG] else AFTER_SILENCE


@exact
def _forget_time(s):
    if s.by_time[0]:
        fill(s.due, s.counts[PUSHED])
        s.counts[SEASON_PUSHED] = 0
        s.counts[NEXT_LOOK] = min(s.counts[NEXT_LOOK], FEWEST)


@exact
def take_time(s, time):
    """Return the elapsed time in usual steps, and mark what is odd about it."""
    last, cadence = s.clock[LAST], s.clock[CADENCE]
    s.counts[ARRIVAL] = REGULAR
    s.clock[LAST] = time
    if np.isnan(time) or np.isnan(last):
        return 1.0
    if time < last:
        s.counts[ARRIVAL] = CLOCK_SET_BACK
        _forget_time(s)
        return 1.0
    if time == last:
        return 0.0
    steps = min((time - last) / cadence, 1e6) if cadence > 0.0 else 1.0
    s.counts[ARRIVAL] = _silence(s, time - last, steps)
    _learn_cadence(s, time - last)
    return steps
