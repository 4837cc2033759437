"""River's forecasters at five settings, the best of which counts in each cell, with hindsight."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from benchmarks.common import Array
from streamlnn.evaluation.baselines import filled

SCALED_BY = 500
SEASONAL_LAGS, LAGS = 1, 24
SMOOTHING = {
    "HoltWinters .3 .1 .6": (0.3, 0.1, 0.6),
    "HoltWinters .5 .001 .1": (0.5, 0.001, 0.1),
    "HoltWinters .9 .001 .05": (0.9, 0.001, 0.05),
}
RATES = {"SNARIMAX 1e-3": 1e-3, "SNARIMAX 1e-4": 1e-4}


def forecasts(y: Array, horizons: Sequence[int], season: int | None) -> Iterator[tuple[str, Array]]:
    """Yield each setting's name and its forecasts, (n, horizons), NaN before there are any.

    SNARIMAX has 24 lags and one seasonal lag, with stochastic gradient descent at two rates,
    of which 1e-2 would diverge; HoltWinters the smoothing of its documentation and two that are
    slower. The values are scaled by the mean and deviation of the first 500: more than River's
    models can know there, and before anything is scored. A missing value is the last one seen.
    Costs up to 2 ms a value.
    """
    known = filled(y)
    known = np.where(np.isfinite(known), known, np.nanmean(known[:SCALED_BY]))
    mean, deviation = known[:SCALED_BY].mean(), known[:SCALED_BY].std() or 1.0
    for name, model in models(season):
        with np.errstate(all="ignore"):
            scaled = _run(model, (known - mean) / deviation, horizons)
        yield name, mean + deviation * scaled


def models(season: int | None) -> Iterator[tuple[str, Any]]:
    """Yield the name of each setting, and a fresh model of it."""
    for name, rate in RATES.items():
        yield name, _snarimax(rate, season)
    for name, smoothing in SMOOTHING.items():
        yield name, _holt_winters(smoothing, season)


def _snarimax(rate: float, season: int | None) -> Any:
    from river import linear_model, optim, preprocessing, time_series

    regressor = preprocessing.StandardScaler() | linear_model.LinearRegression(optim.SGD(rate))
    seasonal = {"m": season, "sp": SEASONAL_LAGS} if season else {}
    return time_series.SNARIMAX(LAGS, 0, 0, **seasonal, regressor=regressor)


def _holt_winters(smoothing: tuple[float, float, float], season: int | None) -> Any:
    from river import time_series

    make: Any = time_series.HoltWinters
    return make(*smoothing, season) if season else make(*smoothing[:2])


def _run(model: Any, y: Array, horizons: Sequence[int]) -> Array:
    out = np.full((y.size, len(horizons)), np.nan)
    wanted = np.array(horizons) - 1
    for t, value in enumerate(y.tolist()):
        model.learn_one(value)
        with suppress(IndexError):  # HoltWinters has no level before it has seen a season
            out[t] = np.array(model.forecast(max(horizons)), float)[wanted]
    return out
