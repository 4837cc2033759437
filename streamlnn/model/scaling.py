"""Running location and scale of every field; increments.

A model that is to need no tuning must not care about units. For each field, from the values as
they come, in float64 (compiled: the section "scaling" of kernels.py, `update_scale`):

- `MEAN` and `SPREAD`, running mean and standard deviation: they make the level (y - mean) / spread,
  within +-5, that the reservoir hears;
- `STEP`, the running root mean square of the change from one record to the next: it is the unit of
  the lags and of what the readouts learn, the change from now to then. In that unit a model whose
  weights are 0 says "as now", and a linear relation stays what it is when the scale moves;
- `LOW` and `HIGH`, the range seen: answers stay within it and half of it beyond.

They forget at the rate max(1/n, 1/1000). One value at most doubles the square of a scale: after a
spike of a million sigma the model is not blind, and a sensor that wakes up is followed within
tens of records. A scale never falls below a millionth of the largest it was: a stuck sensor does
not lead to a division by nothing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.kernels import LAGS, SCALES


def initial_scaling(fields: int, targets: int) -> dict[str, NDArray[Any]]:
    """Return the arrays of scales and recent values before the first record."""
    return {
        "scales": np.zeros((fields, SCALES)),
        "history": np.zeros((fields, LAGS)),
        "before": np.full(targets, np.nan),
    }
