"""The errors that ours and ReservoirPy make, to be read beside what they cost.

NRMSE after the first 1,000 samples. Both are told with settings that are the same everywhere, and
at their best, chosen knowing the outcome: ReservoirPy's by a search of many, ours among three
ridges, and for the default forecaster not at all. Each of ReservoirPy's horizons learns as soon as
its target has come (`esn.forecasts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import esn, signals
from benchmarks.common import (
    Array,
    best_in_bold,
    figure,
    geometric_mean,
    markdown,
    nrmse,
    paired,
)
from benchmarks.series import recorded
from benchmarks.speed_peers import settings
from streamlnn import Forecaster, OnlineESN
from streamlnn.evaluation.baselines import filled

HORIZONS = list(range(1, 13))
STREAM = [1, 12, 48]
RIDGES = (1e-8, 1e-6, 1e-4)
NOISE = 0.05
MOST = 20_000
"""Of a recording, so many samples are taken at most."""
SEARCH = esn.Search(prefix=2_000, finalists=1, units=200, reservoirs=esn.RESERVOIRS[::4])


def made(n: int) -> Iterator[tuple[str, Array]]:
    """Yield the made signals, standardised by their first samples."""
    for name, values in (("Mackey-Glass", signals.mackey_glass(n)), ("Lorenz", signals.lorenz(n))):
        noisy = signals.with_noise(values[:, None], NOISE)[:, 0]
        yield name, esn.standardised(values)
        yield f"{name}, 5 % noise", esn.standardised(noisy)


def networks(sizes: dict[int, int]) -> str:
    """Return a table of both networks on the made signals: `sizes` tells units and samples.

    Each error is the geometric mean of those at horizons 1 to 12.
    """
    header = ["signal, units", "ours", "ReservoirPy", "our best", "its best", "same", "best"]
    rows, ratios = [], []
    for units, n in sizes.items():
        for name, y in made(n):
            ours, theirs = _ours(y, units), _peers(y, units, name)
            pairs = (ours[0], theirs[0]), (min(ours), min(theirs))
            ratios.append([own / its for own, its in pairs])
            told = [*best_in_bold(pairs[0]), *best_in_bold(pairs[1]), *map(figure, ratios[-1])]
            rows.append([f"{name}, {units}", *told])
    means = (figure(geometric_mean(column)) for column in zip(*ratios, strict=True))
    return markdown(header, [*rows, ["geometric mean of ours / its", "", "", "", "", *means]])


def _ours(y: Array, units: int) -> list[float]:
    """Return the errors with the default settings, then with other ridges."""
    networks = [OnlineESN(HORIZONS, units=units)]
    networks += [OnlineESN(HORIZONS, units=units, ridge=ridge) for ridge in RIDGES]
    return [geometric_mean(_errors(y, one.replay(y), HORIZONS)) for one in networks]


def _peers(y: Array, units: int, signal: str) -> list[float]:
    """Return the errors with the settings that are the same everywhere, then with the best."""
    chosen = (esn.UNTUNED, settings(signal, units))
    return [geometric_mean(esn.scores(y[:, None], y, HORIZONS, one, units)) for one in chosen]


def _errors(y: Array, issued: Array, horizons: Sequence[int]) -> list[float]:
    pairs = (paired(y, [issued[:, k]], h, esn.SETTLED) for k, h in enumerate(horizons))
    return [float(nrmse(*pair)[0]) for pair in pairs]


def streams(folder: Path, most: int = MOST) -> str:
    """Return a table of the default forecaster beside the peer of 200 units, on recordings."""
    header = ["recording", "h", "ours", "ReservoirPy", "its best", "ours / it", "ours / its best"]
    rows, ratios = [], []
    for series in recorded(folder):
        y = filled(series.y[:most])
        theirs = SEARCH.untuned(y[:, None], y, STREAM), SEARCH.best(y[:, None], y, STREAM)
        ours = _errors(y, Forecaster(STREAM).replay(None, y).yhat, STREAM)
        for h, own, same, (searched, _) in zip(STREAM, ours, *theirs, strict=True):
            best = min(same, searched)
            ratios.append([own / same, own / best])
            told = best_in_bold([own, same, best])
            rows.append([series.name, h, *told, *map(figure, ratios[-1])])
    columns = list(zip(*ratios, strict=True))
    lower = (f"{sum(r <= 1.0 for r in one)} of {len(one)}" for one in columns)
    rows.append(["ours is lower or equal in", "", "", "", "", *lower])
    means = (figure(geometric_mean(column)) for column in columns)
    return markdown(header, [*rows, ["geometric mean", "", "", "", "", *means]])
