"""How well a recording was forecast, beside the simple methods: what `streamlnn eval` prints.

Prequential: one pass in order, every forecast is made before its target is learned from. A cell is
one target value that came with a record of index >= `skip`; every method is scored on the same
cells, those where the target is known and every method has an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.evaluation import baselines
from streamlnn.evaluation.played import LOWER, UPPER, YHAT, Played

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one target of one stream at one horizon `h`, over `n` cells.

    `mase` is our mean absolute error over that of persistence at the same horizon; `coverage` is
    the share of values inside the band, which is to hold `level` of them, and `width` the band's
    mean width, in the target's unit. `winkler` is the band's mean interval score, lower is better:
    its width, and for a value outside 2 / (1 - level) times the distance to it on top (Winkler
    1972). `clock` is "time" if `h` is in seconds, else "samples". What does not apply is NaN.
    """

    stream: str
    target: str
    h: float
    n: int
    mae: float
    rmse: float
    mase: float
    coverage: float
    width: float
    mae_persistence: float
    mae_seasonal: float
    mae_ar: float
    level: float = 0.9
    winkler: float = float("nan")
    clock: str = "samples"


def evaluate(played: Played, *, skip: int = 500) -> list[Row]:
    """Return the scores of every target and horizon, ours beside those of the simple methods.

    The seasonal naive method is told the first of the plan's seasons, and says what persistence
    says until it has seen one; without any its score is NaN.
    """
    return [row for m in range(len(played.words.targets)) for row in _rows(played, m, skip)]


def _rows(played: Played, m: int, skip: int) -> list[Row]:
    y, horizons = played.y[:, m], played.words.horizons
    along = (played.at, played.every)
    naive = [
        baselines.persistence(y, horizons),
        baselines.seasonal_naive(y, horizons, played.season, *along),
        baselines.autoregression(y, horizons, *along),
    ]
    return [_row(played, k, m, [told[:, k] for told in naive], skip) for k in range(len(horizons))]


def _row(played: Played, k: int, m: int, naive: list[Array], skip: int) -> Row:
    actual, arrives = played.came_true(k, m)
    told = np.stack([*played.bands[:, :, k, m].T, *naive])
    cells = (arrives >= skip) & np.isfinite(actual) & np.isfinite(told).all(axis=0)
    actual, told = actual[cells], told[:, cells]
    persistence, seasonal, ar = told[3:]
    mae, mae_persistence = _mean(np.abs(actual - told[YHAT])), _mean(np.abs(actual - persistence))
    words = played.words
    return Row(
        words.stream,
        words.targets[m],
        words.horizons[k],
        n=int(cells.sum()),
        mae=mae,
        rmse=float(np.sqrt(_mean((actual - told[YHAT]) ** 2))),
        mase=mae / mae_persistence if mae_persistence > 0.0 else float("nan"),
        coverage=_mean((told[LOWER] <= actual) & (actual <= told[UPPER])),
        width=_mean(told[UPPER] - told[LOWER]),
        mae_persistence=mae_persistence,
        mae_seasonal=_mean(np.abs(actual - seasonal)) if played.season else float("nan"),
        mae_ar=_mean(np.abs(actual - ar)),
        level=words.level,
        winkler=_mean(winkler(actual, told[LOWER], told[UPPER], words.level)),
        clock=words.clock,
    )


def winkler(actual: Array, lower: Array, upper: Array, level: float) -> Array:
    """Return the interval score of each band that was to hold `level` of the values.

    >>> winkler(np.array([0.0, 3.0]), np.array([-1.0, -1.0]), np.array([1.0, 1.0]), 0.9)
    array([ 2., 42.])
    """
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    score: Array = upper - lower + 2.0 / (1.0 - level) * outside
    return score


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")
