"""Time of day and of week, for streams with a clock.

Three harmonics of the day and one of the week, as sines and cosines of the UTC time. A harmonic is
heard only if the readouts can learn it: it takes at least `FINEST` usual steps, and its day or
week no more than `COARSEST`, within which the slower readouts remember. Otherwise it is 0, and the
ridge keeps its weight at 0. A day that takes more than 1,000 steps made forecasts of a minute's
CO2 a fifth worse: the readouts have forgotten the last one by then.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import numpy as np

from streamlnn.model.compiled import exact

HARMONICS = 4
PERIODS = np.array([86400.0, 86400.0 / 2.0, 86400.0 / 3.0, 604800.0])
CALENDAR = 2 * HARMONICS
FINEST, COARSEST = 3.0, 1000.0


@exact
def tell_calendar(time, cadence, out):
    """Write the harmonics at `time` in seconds (NaN: no clock) into out (CALENDAR,)."""
    for k in range(HARMONICS):
        period = PERIODS[k]
        longest = max(period, 86400.0)
        if not (FINEST * cadence <= period and longest <= COARSEST * cadence):
            out[2 * k], out[2 * k + 1] = 0.0, 0.0
            continue
        phase = 2.0 * np.pi * (time % period) / period
        out[2 * k], out[2 * k + 1] = np.cos(phase), np.sin(phase)
