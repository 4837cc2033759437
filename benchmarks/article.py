"""The comparison the article never made: networks trained once, and a stream that then changes.

Mackey-Glass, Lorenz and, if their folder is known, two recordings: 4,000 samples to train on, 800
to validate, 1,200 that are only forecast, then the change and 2,000 more. Errors at 1 and 12
samples ahead are in those of persistence over the same targets, geometric means over the seeds.
Every forecast is made before its target is known. The whole takes some 45 minutes.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy comes

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

import click
import numpy as np

from benchmarks import article_streams, article_training
from benchmarks.article_lessons import HORIZONS, Answer, Task
from benchmarks.article_models import TRAINED, as_printed, trained
from benchmarks.article_ours import GRID, MANY, UNITS, Settings, online, ours
from benchmarks.article_streams import Changing, Split, streams
from benchmarks.article_training import Budget, threads
from benchmarks.common import Array, best_in_bold, figure, geometric_mean, markdown, quick_option
from benchmarks.speed_timing import cpu
from streamlnn.evaluation import baselines

AFTER = 500
PHASES = ("before the change", f"the first {AFTER} behind it", "later")
DIVERGED = 1_000.0
PERSISTENCE, TRAINED_WHOLE = "persistence", "article's, all trained"
WINDOWED = "a window"
SAMPLES = 200
WINDOW = 50
"""What the article's call is shown for one forecast, as it begins each at rest."""

Said = dict[str, Answer]


FULL, GENEROUS = Split(), Budget()


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of everything: the parts of the streams, seeds, budgets, settings of ours."""

    split: Split = FULL
    seeds: Sequence[int] = (0, 1, 2)
    budget: Budget = GENEROUS
    grid: Sequence[Settings] = tuple(GRID)
    units: Sequence[int] = (UNITS, MANY)
    rounds: int = 9


QUICK = Effort(article_streams.QUICK, (0,), article_training.QUICK, GRID[:1], (UNITS,), 1)


@dataclass(frozen=True, slots=True)
class Result:
    """One stream at one seed: what every model said of it."""

    stream: Changing
    said: Said


def results(effort: Effort, folder: Path | None) -> Iterator[Result]:
    """Yield every stream at every seed; of the recorded ones only the networks are others."""
    for seed in effort.seeds:
        for stream in streams(effort.split, seed, folder):
            yield Result(stream, dict(answers(stream, seed, effort)))


def answers(stream: Changing, seed: int, effort: Effort) -> Iterator[tuple[str, Answer]]:
    """Yield what every model, by its name, says of a stream."""
    task = Task.of(stream)
    yield PERSISTENCE, Answer(baselines.persistence(stream.y, HORIZONS))
    for name, make in TRAINED.items():
        yield name, trained(task, make, effort.budget, seed)
    for units in effort.units:
        yield from ours(task, units, seed, effort.grid)
    yield "our Forecaster, online", online(stream)


def errors(stream: Changing, yhat: Array) -> Array:
    """Return the mean absolute errors, (phases, horizons), by when the targets come."""
    split, y = stream.split, stream.y
    ends = (split.known, split.change, split.change + AFTER, y.size)
    found = np.empty((len(PHASES), len(HORIZONS)))
    for k, h in enumerate(HORIZONS):
        e = np.append(np.full(h, np.nan), np.abs(y[h:] - yhat[:-h, k]))
        found[:, k] = [e[a:b].mean() for a, b in pairwise(ends)]
    return found


# -------------------------------------------------------------------------------------- the tables


def tables(done: Sequence[Result], rounds: int) -> Iterator[str]:
    """Yield a table of each phase, and one of what the models take."""
    names, streamed = list(done[0].said), list(dict.fromkeys(r.stream.name for r in done))
    found = np.array([[errors(r.stream, a.yhat) for a in r.said.values()] for r in done])
    found = found.reshape(-1, len(streamed), *found.shape[1:])
    naive = found[:, :, names.index(PERSISTENCE)]
    ratios = found / naive[:, :, None]
    for k, phase in enumerate(PHASES):
        yield f"MAE {phase}, of persistence's"
        yield markdown(*_phase(streamed, names, ratios[..., k, :], naive[..., k, :]))
    yield "What it takes: weights, training, microseconds a sample one at a time"
    yield markdown(*costs(done, ratios, per_sample(_ones(done[-1].said), rounds)))


def _phase(
    streamed: list[str], names: list[str], ratios: Array, naive: Array
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows from ratios (seeds, streams, models, horizons)."""
    header = ["", *(f"{name}, {h}" for name in streamed for h in HORIZONS), "all"]
    means = _means(ratios).transpose(1, 0, 2).reshape(len(names), -1)
    means = np.column_stack([means, [geometric_mean(row) for row in means]])
    columns = [told(column) for column in means.T]
    rows = [[name, *cells] for name, *cells in zip(names, *columns, strict=True)]
    level = [figure(one) for one in naive.mean(axis=0).ravel()]
    return header, [*rows, ["persistence's MAE", *level, "-"]]


def _means(ratios: Array) -> Array:
    """Return the geometric means over the first axis."""
    return np.asarray(np.exp(np.log(ratios).mean(axis=0)))


def told(column: Array) -> list[str]:
    """Return the figures, the lowest in bold; of what broke its size alone.

    >>> told(np.array([0.5, 1e12]))
    ['**0.500**', '> 1000']
    """
    cells = best_in_bold(column.tolist())
    return ["> 1000" if e > DIVERGED else cell for e, cell in zip(column, cells, strict=True)]


def costs(
    done: Sequence[Result], ratios: Array, micros: dict[str, float]
) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of what the models take, and how far apart their seeds are."""
    header = ["", "weights", "trained", "training s", "ended by", "us a sample", "seeds differ by"]
    names = list(done[0].said)
    apart = (ratios.max(axis=0) / ratios.min(axis=0)).max(axis=(0, 2, 3))
    rows = [
        _cost(done, name, micros.get(name, np.nan), f"{times:.2f}x")
        for name, times in zip(names, apart, strict=True)
    ]
    begin = f"the same, called as printed on {WINDOW} samples"
    rows.insert(names.index(TRAINED_WHOLE) + 1, [begin, *"----", figure(micros[WINDOWED]), "-"])
    return header, rows


def _ones(said: Said) -> dict[str, Callable[[], object]]:
    """Return what takes one more sample, by model, and the article's call on a window, at rest."""
    ones = {name: answer.one for name, answer in said.items() if answer.one is not None}
    carried = ones[TRAINED_WHOLE]
    net, x, _ = carried.args  # type: ignore[attr-defined]
    return {**ones, WINDOWED: partial(as_printed, net, x.expand(1, WINDOW, 1))}


def _cost(done: Sequence[Result], name: str, micros: float, apart: str) -> list[str]:
    every = [r.said[name] for r in done]
    ends = [one.ended for one in every]
    ended = [f"{end} {ends.count(end)}" for end in dict.fromkeys(ends)]
    seconds = f"{median(one.seconds for one in every):.1f}"
    counts = [f"{n:,}" if n else "-" for n in (every[0].weights, every[0].trained)]
    words = ends[0] if len(ended) == 1 else ", ".join(ended)
    return [name, *counts, seconds, words, figure(micros), apart]


def per_sample(ones: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median microseconds that each takes, of interleaved rounds."""
    took: dict[str, list[float]] = {name: [] for name in ones}
    for _ in range(rounds):
        for name, one in ones.items():
            took[name].append(cpu(partial(_times, one), SAMPLES))
    return {name: median(each) for name, each in took.items()}


def _times(one: Callable[[], object]) -> None:
    for _ in range(SAMPLES):
        one()


@click.command(help=__doc__)
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="STREAMLNN_DATA",
    help="Folder of the recordings; else the environment variable STREAMLNN_DATA names it.",
)
@quick_option
def main(data: Path | None, quick: bool) -> None:
    """Print the tables."""
    threads(1)
    effort, done = QUICK if quick else Effort(), []
    for result in results(effort, data):
        click.echo(f"{result.stream.name}: {result.stream.change}", err=True)
        done.append(result)
    click.echo("\n\n".join(tables(done, effort.rounds)))


if __name__ == "__main__":
    main()
