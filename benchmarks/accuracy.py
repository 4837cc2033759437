"""Recorded series: ours beside persistence, the seasonal value, AR(24)-RLS and, if asked, River.

One pass over a series that nobody has seen, the same settings for all: predict, score, learn.
Targets with index >= 500 are scored, 1, 12 and 48 samples ahead; all methods in the same cells.
The season, where there is one, is told to all; "untold" is ours left to find it. AR(24)-RLS is
recursive least squares on 24 lags, one filter a horizon, forgetting 0.999. River is the best of
five settings in each cell, chosen with hindsight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks import river_peers
from benchmarks.common import (
    Array,
    best_in_bold,
    data_option,
    figure,
    geometric_mean,
    mae,
    markdown,
    mse,
    paired,
    quick_option,
    rmse,
)
from benchmarks.series import Series, recorded
from streamlnn import Forecaster
from streamlnn.evaluation import baselines
from streamlnn.model.forecaster import Replay

HORIZONS = [1, 12, 48]
LEVEL = 0.9
WORSE = 1.08
METHODS = ("ours", "untold", "persistence", "seasonal", "AR(24)", "River")
METRICS = {"mae": mae, "mase": mae, "rmse": rmse, "brier": mse}
FEWER = 0.05
"""River's settings that answer for so much less than the scored range are left out."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One series at one horizon: the errors of `METHODS` (NaN: none), and our band's coverage."""

    series: str
    h: int
    errors: Array
    coverage: float
    metric: str

    @property
    def told(self) -> Array:
        """The errors as the metric tells them: MASE is in those of persistence."""
        return self.errors / self.errors[2] if self.metric == "mase" else self.errors

    def ratio(self, method: int = 0) -> float:
        """Return our error (or that of a method) over the lowest of the others'."""
        return float(self.errors[method] / np.nanmin(self.errors[2:]))


def cells(series: Series, metric: str = "mae", river: bool = False) -> list[Cell]:
    """Return the scores of all methods at each of `HORIZONS`."""
    told = ours(series, [series.season] if series.season else [])
    untold = ours(series, []).yhat if series.season else None
    answers = {
        "ours": told.yhat,
        "untold": untold,
        "persistence": baselines.persistence(series.y, HORIZONS),
        "seasonal": series.seasonal(HORIZONS),
        "AR(24)": baselines.autoregression(series.y, HORIZONS),
    }
    peers = dict(river_peers.forecasts(series.y, HORIZONS, series.season)) if river else {}
    used = {name: answer for name, answer in answers.items() if answer is not None}
    metric = "brier" if series.binary else metric
    return [
        Cell(
            series.name,
            h,
            _errors(series.y, {n: a[:, k] for n, a in used.items()}, peers, k, metric),
            coverage(series.y, told, k),
            metric,
        )
        for k, h in enumerate(HORIZONS)
    ]


def ours(series: Series, seasons: list[int]) -> Replay:
    """Return what a `Forecaster` with nothing set says of the series, season or not."""
    model = Forecaster(horizons=HORIZONS, seasons=seasons, level=LEVEL)
    return model.replay(series.time, series.y)


def _errors(
    y: Array, answers: dict[str, Array], peers: dict[str, Array], k: int, metric: str
) -> Array:
    actual, issued = paired(y, list(answers.values()), HORIZONS[k])
    found = dict(zip(answers, METRICS[metric](actual, issued).tolist(), strict=True))
    scored = [_river(y, peer[:, k], HORIZONS[k], metric, actual.size) for peer in peers.values()]
    found["River"] = min(scored, default=float("nan"))
    return np.array([found.get(name, np.nan) for name in METHODS])


def _river(y: Array, peer: Array, h: int, metric: str, n: int) -> float:
    """Return the error of one of River's settings; infinite where it diverged or came too late."""
    with np.errstate(over="ignore"):
        actual, issued = paired(y, [peer], h)
        error = float(METRICS[metric](actual, issued)[0])
    return error if actual.size >= (1.0 - FEWER) * n else float("inf")


def coverage(y: Array, replay: Replay, k: int) -> float:
    """Return the share of values that fell into our band."""
    actual, (lower, upper) = paired(
        y, [replay.yhat_lower[:, k], replay.yhat_upper[:, k]], HORIZONS[k]
    )
    return float(((lower <= actual) & (actual <= upper)).mean())


def table(found: list[Cell]) -> str:
    """Return one table of cells."""
    rows = (
        [cell.series, cell.h, *best_in_bold(cell.told.tolist()), f"{cell.coverage:.1%}"]
        for cell in found
    )
    return markdown(["series", "h", *METHODS, f"in {LEVEL:.0%} band"], rows)


def summary(found: list[Cell]) -> Iterator[str]:
    """Yield what the cells come to: for ours, and for ours without the season told."""
    untold = [_untold(cell) for cell in found]
    yield "\n".join(_sentence("Ours", found))
    yield "\n".join(_sentence("Ours, season untold", untold))
    held = [cell.coverage for cell in found]
    yield f"Coverage of the {LEVEL:.0%} band: {min(held):.1%} to {max(held):.1%}."


def _untold(cell: Cell) -> Cell:
    errors = cell.errors.copy()
    errors[0] = errors[1] if np.isfinite(errors[1]) else errors[0]
    return Cell(cell.series, cell.h, errors, cell.coverage, cell.metric)


def _sentence(who: str, found: list[Cell]) -> Iterator[str]:
    to_ar = geometric_mean(cell.errors[0] / cell.errors[4] for cell in found)
    to_best = geometric_mean(cell.ratio() for cell in found)
    best = sum(cell.ratio() <= 1.0 for cell in found)
    beyond = [cell for cell in found if cell.ratio() > WORSE]
    yield f"{who}: best in {best} of {len(found)} cells; geometric mean of ours / AR(24)"
    yield f"{figure(to_ar, 4)}, of ours / the best of the others {figure(to_best, 4)};"
    yield f"beyond {WORSE} of it: {'; '.join(map(_named, beyond)) or 'none'}."


def _named(cell: Cell) -> str:
    return f"{cell.series} h={cell.h} ({figure(cell.ratio())})"


@click.command(help=__doc__)
@data_option
@quick_option
@click.option("--metric", type=click.Choice(["mae", "mase", "rmse"]), default="mae")
@click.option("--river", is_flag=True, help="Run River's five settings too (some 20 minutes).")
@click.option("--only", default="", help="Only the series whose name holds this.")
def main(data: Path, quick: bool, metric: str, river: bool, only: str) -> None:
    """Print the table, the binary series apart, and what it comes to."""
    chosen = [series.head(2_000 if quick else None) for series in recorded(data, only)]
    found = [cell for series in chosen for cell in cells(series, metric, river)]
    binary = [cell for cell in found if cell.metric == "brier"]
    others = [cell for cell in found if cell.metric != "brier"]
    for title, part in ((metric.upper(), others), ("Brier score", binary)):
        if part:
            click.echo(f"{title}, the lowest in bold\n\n{table(part)}\n")
            click.echo("\n\n".join(summary(part)) + "\n")


if __name__ == "__main__":
    main()
