"""Whole recordings, all channels, 1 to 48 steps ahead: ours beside what papers have published.

The protocol is that of FSNet (Pham et al., ICLR 2023) and those who followed it: the first part
of the rows gives every channel's mean and standard deviation, the last part is the test; a window
slides over it by one row, and the next H rows of all channels are forecast from what lies before.
The score is the mean over windows, steps and channels of the squared error in those standard
deviations. Their models learn the *whole* window right after forecasting it, H - 1 of whose rows
have not come yet: with H = 24 and 48 such figures hold a part of the answer. Nothing here does
that: a value is learned from when it has come. At H = 1 there is no leak, and all compare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.common import Array, data_option, figure, markdown, quick_option, read
from streamlnn import Forecaster
from streamlnn.evaluation import baselines

HORIZONS = (1, 24, 48)
STEPS = range(1, max(HORIZONS) + 1)
NAMES = ("ETTm1", "WTH")
LEAK = " (l)"
OTHER = " (o)"

Scores = list[tuple[float, float]]
"""MSE and MAE, one pair for each of `HORIZONS`."""


@dataclass(frozen=True, slots=True)
class Task:
    """Standardised values (n, channels), their times, the first row of the test, the season."""

    time: Array
    values: Array
    first: int
    season: int


@dataclass(frozen=True, slots=True)
class Published:
    """Mean squared errors of `HORIZONS` on each of `NAMES`; none where there are none."""

    method: str
    source: str
    ettm: tuple[float, float, float] | None = None
    wth: tuple[float, float, float] | None = None
    mark: str = LEAK


_ONENET = "Zhang et al., NeurIPS 2023 (arXiv 2309.12659), table 2"
_DSOF = "Lau et al., ICLR 2025, tables 2 and 3"
PUBLISHED = (
    Published("OnlineTCN", _ONENET, (0.214, 0.258, 0.283), (0.206, 0.308, 0.302)),
    Published("ER", _ONENET, (0.086, 0.202, 0.220), (0.180, 0.293, 0.297)),
    Published("DER++", _ONENET, (0.083, 0.196, 0.208), (0.174, 0.287, 0.294)),
    Published("FSNet", _ONENET, (0.085, 0.115, 0.127), (0.162, 0.188, 0.223)),
    Published("PatchTST, online", _ONENET, (0.083, 0.427, 0.553), (0.162, 0.372, 0.465)),
    Published("OneNet", _ONENET, (0.082, 0.098, 0.108), (0.156, 0.175, 0.200)),
    Published("LSTD", "AAAI 2025, table 1", (0.081, 0.102, 0.115), (0.153, 0.136, 0.157)),
    Published("DLinear, not online", _DSOF, (0.112, 0.628, 0.818), mark=OTHER),
    Published("DLinear + DSOF", _DSOF, (0.105, 0.525, 0.695), mark=OTHER),
    Published("OneNet + DSOF", _DSOF, (0.096, 0.418, 0.554), mark=OTHER),
    Published("PatchTST + DSOF", _DSOF, (0.108, 0.582, 0.805), mark=OTHER),
)

NOTES = """
Cells: MSE / MAE; papers give MSE only. ETTm1: the first 14,400 rows, as in FSNet's code.
(l) learns from values that have not come yet, by H - 1 steps: not a forecast, and no win or loss
against it means anything. "The label just learned" shows what the leak is worth: under that
protocol the row before the target is known at every H.
(o) learns from nothing too early, but on other rows (57,600 of ETTm1, which are not at hand)."""


def tasks(folder: Path, quick: bool = False) -> list[Task]:
    """Return the tasks of `NAMES`, standardised by the rows that the papers train on.

    Rows: ETTm1 2,880 to train, 720 to validate, 10,800 to test; WTH 20, 5 and 75 in a hundred.
    """
    ett = read("ETTm1_prefix.csv", folder).head(4_400 if quick else 14_400)
    wth = read("WTH.csv", folder).head(4_000 if quick else None)
    n = len(wth.values)
    return [
        _standardised(ett.time, ett.values, 2_880, 3_600, 96),
        _standardised(wth.time, wth.values, int(0.2 * n), n // 4, 24),
    ]


def _standardised(time: Array | None, values: Array, train: int, first: int, season: int) -> Task:
    assert time is not None
    mean, deviation = values[:train].mean(axis=0), values[:train].std(axis=0)
    return Task(time, (values - mean) / deviation, first, season)


def scores(values: Array, forecasts: Array, first: int) -> Scores:
    """Return MSE and MAE of each of `HORIZONS` over windows, steps and channels.

    `values` (n, channels), `forecasts` (n, steps, channels): row t is what was said at t of
    t + 1, t + 2, ... The first window begins at row `first`, the last one ends with the rows.
    """
    return [_window_scores(values, forecasts[:, :steps], first) for steps in HORIZONS]


def _window_scores(values: Array, forecasts: Array, first: int) -> tuple[float, float]:
    steps = forecasts.shape[1]
    issued = np.arange(first - 1, len(values) - steps)
    squared = absolute = 0.0
    for step in range(steps):
        error = forecasts[issued, step] - values[issued + step + 1]
        squared += float((error**2).mean())
        absolute += float(np.abs(error).mean())
    return squared / steps, absolute / steps


def ours(task: Task, seasons: Sequence[int] = ()) -> Array:
    """Return the forecasts of one `Forecaster` over all channels, (n, steps, channels)."""
    channels = task.values.shape[1]
    model = Forecaster(horizons=list(STEPS), fields=channels, seasons=list(seasons))
    return model.replay(task.time, task.values).yhat


def each_channel(task: Task, method: Callable[[Array], Array]) -> Array:
    """Return the forecasts of a method that knows one channel, (n, steps, channels)."""
    return np.stack([method(np.ascontiguousarray(y)) for y in task.values.T], axis=2)


def label_just_learned(y: Array) -> Array:
    """Return, for t + h, the value at t + h - 1: what a model that learned too early knows."""
    out = baselines.persistence(y, STEPS)
    for h in STEPS:
        out[: y.size - h + 1, h - 1] = y[h - 1 :]
    return out


def measured(task: Task) -> Iterator[tuple[str, Scores]]:
    """Yield the name and the scores of every method that is run here."""
    channel_methods: dict[str, Callable[[Array], Array]] = {
        "persistence": lambda y: baselines.persistence(y, STEPS),
        "seasonal naive": lambda y: baselines.seasonal_naive(y, STEPS, task.season),
        "AR(24)-RLS": lambda y: baselines.autoregression(y, STEPS),
        f"the label just learned{LEAK}": label_just_learned,
    }
    yield "**ours**", scores(task.values, ours(task), task.first)
    yield "**ours**, season told", scores(task.values, ours(task, [task.season]), task.first)
    for name, method in channel_methods.items():
        yield name, scores(task.values, each_channel(task, method), task.first)


def table(folder: Path, quick: bool = False) -> str:
    """Return the table: what was measured first, then what papers say."""
    found = [dict(measured(task)) for task in tasks(folder, quick)]
    rows = [
        [name, *(_cell(pair) for scored in found for pair in scored[name]), "measured"]
        for name in found[0]
    ]
    rows += [_published(one) for one in PUBLISHED]
    header = ["method", *(f"{name} H={h}" for name in NAMES for h in HORIZONS), "source"]
    return markdown(header, rows)


def _cell(pair: tuple[float, float]) -> str:
    return " / ".join(figure(number) for number in pair)


def _published(one: Published) -> list[str]:
    cells = [*(one.ettm or [None] * 3), *(one.wth or [None] * 3)]
    return [one.method, *(_marked(one.mark, i % 3, n) for i, n in enumerate(cells)), one.source]


def _marked(mark: str, column: int, number: float | None) -> str:
    if number is None:
        return "-"
    harmless = mark == LEAK and HORIZONS[column] == 1
    return f"{figure(number)}{'' if harmless else mark}"


@click.command(help=__doc__)
@data_option
@quick_option
def main(data: Path, quick: bool) -> None:
    """Print the table."""
    click.echo(table(data, quick))
    click.echo(NOTES)


if __name__ == "__main__":
    main()
