"""Exploration: the mixture beside each of its experts, and beside the best of them in hindsight.

No expert is told which it will be. For every series and horizon the mean absolute error of the
forecast is divided by that of the one expert that turned out best there; each expert is set beside
it in the same way. A mixture that always knew the best one expert would have 1; below 1 it does
better than any choice of one, because which one is best changes with time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.claims_streams import clean_signals, switching
from benchmarks.common import Array, best_in_bold, figure, geometric_mean, mae, paired
from benchmarks.series import Series, recorded
from streamlnn import Forecaster

HORIZONS = (1, 12, 48)


@dataclass(frozen=True, slots=True)
class Cell:
    """One series at one horizon: the error of the mixture and of every expert, by name."""

    series: str
    h: int
    mixture: float
    experts: dict[str, float]

    @property
    def best(self) -> str:
        """The expert that turned out best."""
        return min(self.experts, key=self.experts.__getitem__)

    @property
    def ratio(self) -> float:
        """The mixture's error over that of the expert that turned out best."""
        return self.mixture / self.experts[self.best]


def made(length: int, seed: int) -> Iterator[Series]:
    """Yield the switching streams and the clean signals with 10 % noise, as series."""
    random = np.random.default_rng([seed, 300])
    for stream in switching(length, seed):
        yield Series(stream.name, None, stream.y)
    for name, y in clean_signals(4 * length, seed).items():
        yield Series(f"{name}, 10 % noise", None, y + 0.1 * random.standard_normal(y.size))


def all_series(folder: Path | None, length: int, head: int | None) -> Iterator[Series]:
    """Yield the recorded series of numbers, if their folder is known, and the made ones."""
    if folder is not None:
        yield from (series.head(head) for series in recorded(folder) if not series.binary)
    yield from made(length, 0)


def stepped(model: Forecaster, series: Series) -> tuple[Array, Array]:
    """Return the forecasts (n, horizons) and what every expert said, (n, horizons, experts)."""
    times = [None] * series.y.size if series.time is None else series.time.tolist()
    said, opinions = [], []
    for time, y in zip(times, series.y.tolist(), strict=True):
        said.append(model.step(time, y).yhat)
        opinions.append(model.opinions())
    return np.stack(said), np.stack(opinions)


def cells(series: Series) -> Iterator[Cell]:
    """Yield the errors at each horizon."""
    model = Forecaster(list(HORIZONS), seasons=[series.season] if series.season else [])
    said, opinions = stepped(model, series)
    for k, h in enumerate(HORIZONS):
        answers = _answers(model.experts, opinions[:, k])
        errors = mae(*paired(series.y, [said[:, k], *answers.values()], h)).tolist()
        yield Cell(series.name, h, errors[0], dict(zip(answers, errors[1:], strict=True)))


def _answers(names: Sequence[str], opinions: Array) -> dict[str, Array]:
    """Return what each expert said, (n,), by name; those that never said anything are left out.

    Where an expert had nothing to say, the first of them answers for it: persistence.
    """
    said = np.where(np.isnan(opinions), opinions[:, :1], opinions)
    spoke = np.isfinite(opinions).any(axis=0)
    told = [re.sub(r"(found )?season.*", "season", name) for name in names]
    return {name: said[:, k] for k, name in enumerate(told) if spoke[k]}


def table(found: list[Cell]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: each expert's error in those of the best, and the mixture's."""
    names = _all_names(found)
    rows = [_row(cell, names) for cell in found]
    means = [geometric_mean(cell.ratio for cell in found), *(_mean(found, n) for n in names)]
    rows.append(["all, geometric mean", "", "", *best_in_bold(means)])
    return ["series", "h", "best expert's MAE", "mixture", *names], rows


def summary(found: list[Cell]) -> Iterator[str]:
    """Yield what the cells come to."""
    worst = max(found, key=lambda cell: cell.ratio)
    better = sum(cell.ratio <= 1.0 for cell in found)
    yield (
        f"The mixture is at {geometric_mean(cell.ratio for cell in found):.3f} of the best expert "
        f"in hindsight, geometric mean over {len(found)} cells; better than it in {better}; at "
        f"worst {worst.ratio:.3f}: {worst.series}, h = {worst.h}."
    )
    counts = {n: sum(cell.best == n for cell in found) for n in _all_names(found)}
    yield "Best in hindsight: " + ", ".join(f"{n} {count}" for n, count in counts.items()) + "."


def _all_names(found: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(name for cell in found for name in cell.experts))


def _mean(found: list[Cell], name: str) -> float:
    """Of the cells that have such an expert."""
    return geometric_mean(c.experts[name] / c.experts[c.best] for c in found if name in c.experts)


def _row(cell: Cell, names: list[str]) -> list[str]:
    best = cell.experts[cell.best]
    shares = [cell.experts.get(name, np.nan) / best for name in names]
    return [cell.series, str(cell.h), figure(best), *best_in_bold([cell.ratio, *shares])]
