"""How forecasts of one target at one horizon went, over time: what a picture shows, as numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.evaluation import baselines
from streamlnn.evaluation.durations import interval
from streamlnn.evaluation.played import LOWER, UPPER, YHAT, Played

Array = NDArray[Any]

WINDOW = (50, 1000)
"""Scored forecasts that a running mean goes over, at least and at most; else a twentieth."""


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The forecasts of n records about one target so far ahead.

    `moment` (n,) is what they are about, see `moments`; `band` (n, 3) yhat, yhat_lower and
    yhat_upper. Of those that could be scored, in the order in which they were: `scored` the moment
    of the record that told, `error` and `naive` the absolute errors, ours and persistence's,
    `inside` whether the band held the value; `window` is how many a running mean goes over.
    """

    moment: Array
    band: Array
    scored: Array
    error: Array
    naive: Array
    inside: Array

    @property
    def window(self) -> int:
        """Scored forecasts that a running mean goes over."""
        least, most = WINDOW
        return min(max(self.error.size // 20, least), most, max(self.error.size, 1))

    def mean(self, values: Array) -> Array:
        """Return the running mean of the scored `values`, one for each full window."""
        total = np.concatenate([[0.0], np.cumsum(values)])
        means: Array = (total[self.window :] - total[: -self.window]) / self.window
        return means

    @property
    def skill(self) -> Array:
        """1 - MAE / MAE of persistence, running; NaN where persistence was always right."""
        ours, naive = self.mean(self.error), self.mean(self.naive)
        return np.where(naive > 0.0, 1.0 - ours / np.where(naive > 0.0, naive, 1.0), np.nan)

    @property
    def ends(self) -> Array:
        """The moments at which the windows of `mean` end."""
        return self.scored[self.window - 1 :]


def course(played: Played, k: int, m: int) -> Course:
    """Return how horizon k of target m went. Every forecast that came true is scored."""
    actual, arrives = played.came_true(k, m)
    band = played.bands[:, :, k, m]
    last = baselines.persistence(played.y[:, m], [0])[:, 0]
    cells = np.isfinite(actual) & np.isfinite(band).all(axis=1)
    y, said = actual[cells], band[cells]
    return Course(
        moment=moments(played, played.at + played.words.horizons[k]),
        band=band,
        scored=moments(played, played.at[arrives[cells]]),
        error=np.abs(y - said[:, YHAT]),
        naive=np.abs(y - last[cells]),
        inside=(said[:, LOWER] <= y) & (y <= said[:, UPPER]),
    )


def moments(played: Played, at: Array) -> Array:
    """Return coordinates as seconds where there is a clock, else as they are.

    Records after the last one are expected a usual interval apart.
    """
    if played.by_time or played.times is None:
        return at
    usual = interval(played.times)
    beyond: Array = np.maximum(at - (len(played.times) - 1), 0.0)
    beyond *= usual if math.isfinite(usual) else 0.0
    return beyond + np.interp(at, np.arange(len(played.times)), played.times)
