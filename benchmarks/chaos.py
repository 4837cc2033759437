"""Made signals of the reservoir literature: ours beside ReservoirPy at its best settings.

One pass, predict, score, learn; NRMSE after the first 1,000 samples, against what came, noise and
all. Ours is `Forecaster(horizons=...)` with nothing set. ReservoirPy's echo state network of 300
units is shown twice: with one setting for all series, and at the best of a search for each series
and horizon, made with hindsight: see `esn.Search`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click
import numpy as np

from benchmarks import esn, signals
from benchmarks.common import (
    Array,
    best_in_bold,
    figure,
    geometric_mean,
    markdown,
    nrmse,
    paired,
    quick_option,
)
from streamlnn import Forecaster
from streamlnn.evaluation import baselines

LENGTH = 8_000
NOISE = 0.05
METHODS = ("ours", "persistence", "AR(24)-RLS")
PEERS = ("ReservoirPy, one setting", "ReservoirPy, best")
HEADER = ["series", "h", *METHODS, *PEERS, "its leak, input, radius, alpha, forgetting"]
QUICK = esn.Search(
    prefix=1_500, finalists=1, units=100, reservoirs=esn.RESERVOIRS[::9], readouts=esn.READOUTS[2:4]
)


@dataclass(frozen=True, slots=True)
class Series:
    """A signal (n, fields), the last field of which is forecast, and how far ahead."""

    name: str
    values: Array
    horizons: Sequence[int]

    @property
    def y(self) -> Array:
        """The field that is forecast, (n,)."""
        return np.ascontiguousarray(self.values[:, -1])


def all_series(n: int = LENGTH) -> Iterator[Series]:
    """Yield every signal, without noise and with it."""
    signal = {
        "Mackey-Glass 17": (signals.mackey_glass(n)[:, None], (1, 6, 12, 84)),
        "Lorenz x": (signals.lorenz(n)[:, None], (1, 6, 12)),
        "NARMA10": (signals.narma10(n), (1,)),
    }
    for name, (values, horizons) in signal.items():
        yield Series(name, values, horizons)
        yield Series(f"{name}, 5 % noise", signals.with_noise(values, NOISE), horizons)


def ours(series: Series) -> Array:
    """Return our forecasts, (n, horizons), from all the fields."""
    fields = series.values.shape[1]
    model = Forecaster(horizons=list(series.horizons), fields=fields, targets=[fields - 1])
    return model.replay(None, series.values).yhat


def measured(series: Series) -> list[list[float]]:
    """Return the NRMSE of each of `METHODS`, one list for each horizon."""
    y, horizons = series.y, series.horizons
    answers = [
        ours(series),
        baselines.persistence(y, horizons),
        baselines.autoregression(y, horizons),
    ]
    return [
        nrmse(*paired(y, [answer[:, k] for answer in answers], h, esn.SETTLED)).tolist()
        for k, h in enumerate(horizons)
    ]


def rows(series: Series, search: esn.Search | None) -> Iterator[tuple[list[float], list[str]]]:
    """Yield, for each horizon, the errors of all methods, and the row that tells them."""
    peers, chosen = _searched(series, search)
    for errors, peer, h, settings in zip(
        measured(series), peers, series.horizons, chosen, strict=True
    ):
        told = best_in_bold([*errors, *peer])
        yield [*errors, *peer], [series.name, str(h), *told, settings]


def _searched(
    series: Series, search: esn.Search | None
) -> tuple[list[tuple[float, float]], list[str]]:
    """Return, for each horizon, both errors of ReservoirPy and the settings of the better one."""
    if search is None:
        return [(np.nan, np.nan)] * len(series.horizons), ["-"] * len(series.horizons)
    told = (series.values, series.y, series.horizons)
    untuned, best = search.untuned(*told), search.best(*told)
    pairs = [(one, lowest) for one, (lowest, _) in zip(untuned, best, strict=True)]
    return pairs, [str(settings) for _, settings in best]


def table(search: esn.Search | None, n: int = LENGTH) -> str:
    """Return the table, and below it how we stand to the others."""
    made = [row for series in all_series(n) for row in rows(series, search)]
    errors = np.array([row[0] for row in made])
    return f"{markdown(HEADER, [row[1] for row in made])}\n\n{summary(errors)}"


def summary(errors: Array) -> str:
    """Return the ratios of ours, the first column of `errors`, to the others, in words."""
    to_ar, to_one, to_best = (
        figure(geometric_mean(errors[:, 0] / errors[:, k])) for k in (2, 3, 4)
    )
    lowest = np.nanmin(errors, axis=1) == errors[:, 0]
    return (
        f"Geometric mean of ours / AR(24)-RLS {to_ar}, of ours / ReservoirPy with one setting for "
        f"all ({esn.UNTUNED}) {to_one}, at its best {to_best}; ours is the lowest in "
        f"{lowest.sum()} of {len(errors)} cells. On NARMA10 AR(24)-RLS knows y only, the others "
        "u and y."
    )


@click.command(help=__doc__)
@quick_option
@click.option("--esn/--no-esn", "peer", default=True, help="Search and run ReservoirPy (minutes).")
def main(quick: bool, peer: bool) -> None:
    """Print the table."""
    search = (QUICK if quick else esn.Search()) if peer else None
    click.echo(table(search, 2_000 if quick else LENGTH))


if __name__ == "__main__":
    main()
