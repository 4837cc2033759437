"""Running location and scale of every field; increments.

A model that is to need no tuning must not care about units. For each field, from the values as
they come, in float64:

- `MEAN` and `SPREAD`, running mean and standard deviation: they make the level (y - mean) / spread,
  within +-5, that the linear readouts look at;
- `SETTLED_MEAN` and `SETTLED_SPREAD`, the same at a moment: what the random units hear. Taken while
  the stream is young, and later only when the running ones have left them by a factor or a distance
  of 2. What comes out of a tanh cannot be rescaled, and a readout that learned it on one scale is
  wrong on another: with the running ones the error on the Lorenz system is twice as large;
- `STEP`, the running root mean square of the change from one record to the next: it is the unit of
  the lags and of what the readouts learn, the change from now to then. In that unit a model whose
  weights are 0 says "as now", and a linear relation stays what it is when the scale moves;
- `SMOOTHED`, the mean of the latest `SMOOTHED_OVER` values: an expert of its own;
- `LOW` and `HIGH`, the range seen: answers stay within it and half of it beyond;
- `OBSERVED`, the last value that came, heard or not: what a forecast has to be better than.

They forget at the rate max(1/n, 1/1000). One value at most doubles the square of a scale, and moves
the mean as little: after a spike of a million sigma the model is not blind, and a sensor that wakes
up is followed within tens of records. A scale never falls below a millionth of the largest it was:
a stuck sensor does not lead to a division by nothing.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import exact, inlined

LAGS = 24
"""Past values of its own that the autoregressions of a target look at."""

LARGEST, SMALLEST = 1e300, 1e-307
"""A greater magnitude counts as missing: differences of two such values would overflow. A smaller
one counts as 0: numbers that small take a processor many times as long."""

# State.scales, per field
SCALES = 23
(
    MEAN,
    SPREAD,
    STEP,
    BIGGEST_SPREAD,
    BIGGEST_STEP,
    LOW,
    HIGH,
    SEEN,
    STEPS,
    FRESH,
    SETTLED_MEAN,
    SETTLED_SPREAD,
    RESETTLED,
    SMOOTHED,
    USUAL_CHANGE,
    JUMPS,
    JUMP,
    JUMP_FROM,
    JUMP_TO,
    CAME_BACK,
    STAYED,
    REPEATED,
    OBSERVED,
) = range(SCALES)

SMOOTHED_OVER = 20.0

STANDS_STILL = 100.0
"""A value that has come so often in a row teaches no scale: the sensor may be stuck, and wakes to
what it was."""

# scale[RESETTLED]: what the newest value did to the settled level
KEPT, LEARNED, MOVED = range(3)

SETTLING = 256
"""Values within which the settled level is learned: it is taken at 2, 4, 8 and so on up to here."""


def initial_scaling(fields: int, targets: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of scales and recent values before the first record."""
    return {
        "scales": np.zeros((fields, SCALES)),
        "values": np.full(fields, np.nan),
        "history": np.zeros((fields, LAGS)),
        "before": np.full(targets, np.nan),
    }


@exact
def _bounded(deviation, size, rate, count):
    """Return what a value may deviate by: once a scale is something, its square doubles at most."""
    if count <= 8 or size == 0.0:
        return deviation
    limit = size / np.sqrt(rate)
    return min(max(deviation, -limit), limit)


@exact
def _running(size, deviation, count):
    """Return a running root mean square."""
    rate = max(1.0 / count, 0.001)
    deviation = _bounded(deviation, size, rate, count)
    return np.hypot(np.sqrt(1.0 - rate) * size, np.sqrt(rate) * deviation)


@exact
def _floored(size, biggest):
    return max(size, 1e-6 * biggest)


@exact
def update_scale(scale, value, last):
    """Let the running location and scales of one field see an observed value."""
    first = scale[SEEN] == 0.0
    same = value == last and not first
    scale[REPEATED] = scale[REPEATED] + 1.0 if same else 0.0
    if scale[REPEATED] > STANDS_STILL:
        return
    scale[SEEN] += 1.0
    scale[MEAN] = value if first else scale[MEAN]
    scale[SMOOTHED] = value if first else scale[SMOOTHED]
    scale[LOW] = value if first else min(scale[LOW], value)
    scale[HIGH] = value if first else max(scale[HIGH], value)
    rate = max(1.0 / scale[SEEN], 0.001)
    away = _bounded(value - scale[MEAN], scale[SPREAD], rate, scale[SEEN])
    scale[MEAN] += away * rate
    scale[SMOOTHED] += (value - scale[SMOOTHED]) * max(rate, 1.0 / SMOOTHED_OVER)
    spread = _running(scale[SPREAD], value - scale[MEAN], scale[SEEN])
    scale[BIGGEST_SPREAD] = max(scale[BIGGEST_SPREAD], spread)
    scale[SPREAD] = _floored(spread, scale[BIGGEST_SPREAD])
    if scale[FRESH] > 0.0:
        scale[STEPS] += 1.0
        step = _running(scale[STEP], value - last, scale[STEPS])
        scale[BIGGEST_STEP] = max(scale[BIGGEST_STEP], step)
        scale[STEP] = _floored(step, scale[BIGGEST_STEP])


@inlined
def _is_power_of_two(n):
    return n > 1 and n & (n - 1) == 0


@exact
def settle_level(scale):
    """Take the running location and spread for the random units, if it is time to."""
    seen = int(scale[SEEN])
    learning = seen <= SETTLING and _is_power_of_two(seen)
    spread, settled = scale[SPREAD], scale[SETTLED_SPREAD]
    moved = spread > 2.0 * settled or 2.0 * spread < settled
    moved |= abs(scale[MEAN] - scale[SETTLED_MEAN]) > 2.0 * settled
    if learning or moved:
        scale[RESETTLED] = LEARNED if learning else MOVED
        scale[SETTLED_MEAN], scale[SETTLED_SPREAD] = scale[MEAN], spread


@exact
def step_scale(scale):
    """Root mean square of the change from one record to the next; 1 while nothing ever changed."""
    return scale[STEP] if scale[STEP] > 0.0 else 1.0


@inlined
def _standardised(value, mean, spread):
    return min(max((value - mean) / spread, -5.0), 5.0) if spread > 0.0 else 0.0


@exact
def level(scale, value):
    """Standardised value, within +-5."""
    return _standardised(value, scale[MEAN], scale[SPREAD])


@exact
def settled_level(scale, value):
    """Value standardised by the settled level, within +-5: what the random units hear."""
    return _standardised(value, scale[SETTLED_MEAN], scale[SETTLED_SPREAD])
