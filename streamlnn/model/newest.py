"""The newest forecast of a saved model: what it said last, from its arrays alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import LAST
from streamlnn.model.records import Forecast
from streamlnn.model.state import SEQ, STATUS


def newest(arrays: Mapping[str, NDArray[Any]]) -> Forecast:
    """Return the forecast that the model with these saved arrays made last, without its events.

    It must have stepped a record: `counts[SEQ]` is 1 or more.

    >>> from streamlnn import Forecaster
    >>> model = Forecaster([1, 12])
    >>> told = model.step(None, 20.0)
    >>> kept = newest(model.state())
    >>> kept.seq == told.seq, bool((kept.yhat == told.yhat).all())
    (True, True)
    """
    counts, last = arrays["counts"], float(arrays["clock"][LAST])
    told, found = arrays["forecast"], arrays["condition"]
    shape = told.shape[1:] if told.shape[2] > 1 else told.shape[1:2]
    doing = [counts[STATUS], counts[SEQ] - 1]
    row = np.concatenate([told.ravel(), found.ravel(), doing])
    return Forecast(None if np.isnan(last) else last, (), shape, row)
