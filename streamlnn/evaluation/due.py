"""What came true of a forecast, and when that was known: the same answer for every method.

A coordinate is what horizons are measured along: seconds where they are durations, else the number
of the record. Where the clock was set back, what waited for a later time is never known, and
nothing is looked up across it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import GAP

Array = NDArray[Any]

SLACK = 1e-3
"""A record this near, in usual steps, is at the very moment: clocks are not exact."""


def due(y: Array, h: float, at: Array | None = None, every: float = 1.0) -> tuple[Array, Array]:
    """Return what a forecast of each record about h ahead came to, and the record that told.

    `y` (n,) with NaN where missing, `at` (n,) coordinates (None: record numbers), `every` the
    usual step between them. NaN where it was never known; the record is then the one at which the
    wait ended, n if it never did.

    >>> due(np.array([1.0, 2.0, 4.0]), 1)
    (array([ 2.,  4., nan]), array([1, 2, 3]))
    """
    at = numbers(y) if at is None else at
    return looked_up(y, at, at + h, every)


def numbers(y: Array) -> Array:
    """Return the coordinates of a series without a clock.

    >>> numbers(np.array([7.0, 8.0]))
    array([0., 1.])
    """
    return np.arange(len(y), dtype=np.float64)


def looked_up(y: Array, at: Array, wanted: Array, every: float) -> tuple[Array, Array]:
    """Return the series at the coordinates `wanted` (n,), and the record by which each is known.

    Row i is looked up among the records with the clock of record i. Between two records the value
    lies on the straight line, unless they are more than three usual steps apart: then it is NaN,
    as the forecaster would not learn it either. Costs O(n log n).
    """
    values, known = np.full(len(y), np.nan), np.empty(len(y), np.int64)
    cuts = [0, *(np.flatnonzero(np.diff(at) < 0.0) + 1), len(y)]
    for first, end in pairwise(cuts):
        span = slice(first, end)
        values[span], right = _within(y[span], at[span], wanted[span], every)
        known[span] = first + right
    return values, known


def _within(y: Array, at: Array, wanted: Array, every: float) -> tuple[Array, Array]:
    right = np.searchsorted(at, wanted - SLACK * every)
    b = np.minimum(right, len(y) - 1)
    a = np.maximum(b - 1, 0)
    gap = at[b] - at[a]
    share = (wanted - at[a]) / np.where(gap > 0.0, gap, 1.0)
    between = np.where(gap <= GAP * every, y[a] + share * (y[b] - y[a]), np.nan)
    found = np.where(np.abs(at[b] - wanted) <= SLACK * every, y[b], between)
    outside = (right == len(y)) | (wanted < at[0] - SLACK * every)
    return np.where(outside, np.nan, found), right
