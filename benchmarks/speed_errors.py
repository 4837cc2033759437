"""The errors that ours and ReservoirPy make, to be read beside what they cost.

NRMSE after the first 1,000 samples. Ours has the same settings everywhere. ReservoirPy's are told
twice: with the settings that are the same everywhere, and with the best of a search, made knowing
the outcome. Each of its horizons learns as soon as its target has come (`esn.forecasts`).
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
from streamlnn.daemon.baselines import filled

HORIZONS = list(range(1, 13))
STREAM = [1, 12, 48]
RIDGE = 1e-8
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
    header = ["signal, units", "ours", "ReservoirPy", "its best", "ours / it", "ours / its best"]
    rows, ratios = [], []
    for units, n in sizes.items():
        for name, y in made(n):
            found = _networks(y, units, name)
            ratios.append([found[0] / found[1], found[0] / found[2]])
            rows.append([f"{name}, {units}", *best_in_bold(found), *map(figure, ratios[-1])])
    means = (figure(geometric_mean(column)) for column in zip(*ratios, strict=True))
    return markdown(header, [*rows, ["geometric mean", "", "", "", *means]])


def _networks(y: Array, units: int, signal: str) -> list[float]:
    ours = OnlineESN(HORIZONS, units=units, ridge=RIDGE).replay(y)
    chosen = [esn.UNTUNED, settings(signal, units)]
    theirs = [esn.scores(y[:, None], y, HORIZONS, one, units) for one in chosen]
    return [geometric_mean(one) for one in (_errors(y, ours, HORIZONS), *theirs)]


def _errors(y: Array, issued: Array, horizons: Sequence[int]) -> list[float]:
    pairs = (paired(y, [issued[:, k]], h, esn.SETTLED) for k, h in enumerate(horizons))
    return [float(nrmse(*pair)[0]) for pair in pairs]


def streams(folder: Path, most: int = MOST) -> str:
    """Return a table of the default forecaster beside the peer of 200 units, on recordings."""
    header = ["recording", "h", "ours", "ReservoirPy", "its best", "ours / its best"]
    rows, ratios = [], []
    for series in recorded(folder):
        y = filled(series.y[:most])
        theirs = SEARCH.untuned(y[:, None], y, STREAM), SEARCH.best(y[:, None], y, STREAM)
        ours = _errors(y, Forecaster(STREAM).replay(None, y).yhat, STREAM)
        for h, own, plain, (best, _) in zip(STREAM, ours, *theirs, strict=True):
            ratios.append(own / best)
            rows.append([series.name, h, *best_in_bold([own, plain, best]), figure(ratios[-1])])
    lower = sum(ratio <= 1.0 for ratio in ratios)
    told = f"lower or equal in {lower} of {len(ratios)}, geometric mean"
    return markdown(header, [*rows, [told, "", "", "", "", figure(geometric_mean(ratios))]])
