"""Bands on recorded series: ours beside two usual kinds of band around the same forecasts.

Targets with index >= 500, 1, 12 and 48 samples ahead; the band is to hold 90 %. "split" is
split-conformal: the 90 % quantile of the latest 500 absolute errors; "Gauss" is 1.64 deviations,
of a mean square with rate max(1/n, 1/500). Both, like ours, know an error once its target has
come. "worst 250" is the lowest share inside among any 250 targets in a row. The Winkler score is
the width plus 20 times what a value was outside by; it and the width are told in split's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import click
import numpy as np

from benchmarks.accuracy import HORIZONS, LEVEL, ours
from benchmarks.common import (
    SKIP,
    Array,
    data_option,
    figure,
    geometric_mean,
    markdown,
    paired,
    quick_option,
)
from benchmarks.series import Series, recorded

WINDOW = 500
LOCAL = 250
KINDS = ("ours", "split", "Gauss")


@dataclass(frozen=True, slots=True)
class Score:
    """How one kind of band did: share inside, the lowest local share, Winkler score, width."""

    coverage: float
    worst: float
    winkler: float
    width: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One series at one horizon: the scores of `KINDS`."""

    series: str
    h: int
    scores: tuple[Score, ...]


def cells(series: Series) -> Iterator[Cell]:
    """Yield the scores at each horizon."""
    said = ours(series, [series.season] if series.season else [])
    for k, h in enumerate(HORIZONS):
        yhat, upper = said.yhat[:, k], said.yhat_upper[:, k]
        known = errors_known(series.y, yhat, h)
        halves = (upper - yhat, split_conformal(known), gaussian(known))
        made = [part for half in halves for part in (yhat - half, yhat + half)]
        actual, issued = paired(series.y, made, h)
        bands = issued.reshape(len(KINDS), 2, -1)
        yield Cell(series.name, h, tuple(score(actual, lower, upper) for lower, upper in bands))


def errors_known(y: Array, yhat: Array, h: int) -> Array:
    """Return the absolute error that becomes known at each t, of the forecast issued at t - h."""
    return np.append(np.full(h, np.nan), np.abs(y[h:] - yhat[:-h]))


def split_conformal(known: Array, window: int = WINDOW, level: float = LEVEL) -> Array:
    """Return the half width at each t: the ceil((n + 1) level)-th of the last n known errors.

    The largest of them while there are too few, and NaN before there is one.

    >>> split_conformal(np.arange(100.0), window=9)[[8, 50]]
    array([ 8., 50.])
    """
    there = np.flatnonzero(np.isfinite(known))
    half = np.full(there.size, np.nan)
    for i in range(there.size):
        last = np.sort(known[there[max(0, i + 1 - window) : i + 1]])
        half[i] = last[min(int(np.ceil((last.size + 1) * level)), last.size) - 1]
    return _held(half, there, known.size)


def gaussian(known: Array, window: int = WINDOW, level: float = LEVEL) -> Array:
    """Return the half width at each t: the normal quantile times a running deviation."""
    there = np.flatnonzero(np.isfinite(known))
    square, half = 0.0, np.empty(there.size)
    for i, error in enumerate(known[there]):
        square += max(1.0 / (i + 1), 1.0 / window) * (error * error - square)
        half[i] = np.sqrt(square)
    return _held(half * NormalDist().inv_cdf(0.5 + level / 2.0), there, known.size)


def _held(values: Array, there: Array, n: int) -> Array:
    """Return (n,) the newest of `values`, which came at the indices `there`; NaN before."""
    newest = np.searchsorted(there, np.arange(n), side="right") - 1
    return np.where(newest >= 0, values[np.maximum(newest, 0)], np.nan)


def score(actual: Array, lower: Array, upper: Array) -> Score:
    """Return the scores of one kind of band."""
    inside = (lower <= actual) & (actual <= upper)
    outside = np.maximum(lower - actual, 0.0) + np.maximum(actual - upper, 0.0)
    width = upper - lower
    winkler = width + 2.0 / (1.0 - LEVEL) * outside
    local = np.convolve(inside, np.ones(LOCAL) / LOCAL, "valid")
    return Score(inside.mean(), local.min(), winkler.mean(), width.mean())


def row(cell: Cell) -> list[str]:
    """Return one row of the table."""
    mine, split, gauss = cell.scores
    shares = [f"{s.coverage:.1%}" for s in cell.scores] + [f"{s.worst:.0%}" for s in cell.scores]
    winkler = [figure(s.winkler / split.winkler) for s in (mine, gauss)]
    width = [figure(s.width / split.width) for s in (mine, gauss)]
    return [cell.series, str(cell.h), *shares, *winkler, *width]


HEADER = [
    "series", "h", *KINDS, *(f"worst {LOCAL}: {kind}" for kind in KINDS),
    "Winkler: ours", "Gauss", "width: ours", "Gauss",
]  # fmt: skip


def summary(found: list[Cell]) -> Iterator[str]:
    """Yield what the cells come to."""
    for i, kind in enumerate(KINDS):
        scores = [cell.scores[i] for cell in found]
        split = [cell.scores[1] for cell in found]
        held, worst = [s.coverage for s in scores], [s.worst for s in scores]
        winkler = geometric_mean(a.winkler / b.winkler for a, b in zip(scores, split, strict=True))
        yield (
            f"{kind}: coverage {min(held):.1%} to {max(held):.1%}; lowest of {LOCAL} in a row "
            f"{min(worst):.0%}, on average {np.mean(worst):.0%}; Winkler score {winkler:.3f} of "
            "split's, geometric mean."
        )


@click.command(help=__doc__)
@data_option
@quick_option
@click.option("--only", default="", help="Only the series whose name holds this.")
def main(data: Path, quick: bool, only: str) -> None:
    """Print the table and what it comes to."""
    chosen = [s.head(4 * SKIP if quick else None) for s in recorded(data, only) if not s.binary]
    found = [cell for series in chosen for cell in cells(series)]
    click.echo(markdown(HEADER, map(row, found)))
    click.echo("\n" + "\n\n".join(summary(found)))


if __name__ == "__main__":
    main()
