"""Streams with known changes: recordings with the labels that people gave them, and made ones.

A made stream is the same for the same seed. Half of the made ones have changes at known records;
the other half never change, however uneven they look.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from benchmarks.common import Array, read

Windows = tuple[tuple[int, int], ...]

FLOW = "Volume Flow RateRMS"
TOLERANCE = 60
"""Records after a labelled change point of the pump, one a second, within which it is found."""
BORE_HOLE = 30
"""The same in the bore hole: five of the points that its labels are given in, before and after."""
AGREED = 3
"""Annotators, of five, who must have marked a change of the bore hole for it to be looked for."""
LENGTH = 1_500
"""Records from one change to the next in a made stream."""
FOUND_WITHIN = 300
STATIONARY = 10_000


@dataclass(frozen=True, slots=True)
class Labelled:
    """One stream (n,) and its labels: windows [first, last] of record numbers.

    An event in one of `looked_for` finds it; an event outside all of `allowed` is a false alarm.
    """

    name: str
    time: Array | None
    y: Array
    looked_for: Windows
    allowed: Windows


def recorded(folder: Path) -> Iterator[Labelled]:
    """Yield the labelled recordings."""
    labels = json.loads((folder / "labels.json").read_text())
    yield _machine(folder, labels["nab_machine_temperature"]["anomaly_windows"])
    for session in range(4):
        yield from _pump(folder, session)
    yield _bore_hole(folder, labels["well_log"]["change_points_by_annotator"])


def _machine(folder: Path, windows: list[list[str]]) -> Labelled:
    recording = read("nab_machine_temperature.csv", folder)
    assert recording.time is not None
    ends = np.array(windows, "datetime64[s]").astype(float)
    inside = [np.flatnonzero((recording.time >= a) & (recording.time <= b)) for a, b in ends]
    spans = tuple((int(one[0]), int(one[-1])) for one in inside)
    y = recording.column("value")
    return Labelled("Machine temperature (NAB)", recording.time, y, spans, spans)


def _pump(folder: Path, session: int) -> Iterator[Labelled]:
    recording = read(f"skab_valve1_{session}.csv", folder)
    odd = np.flatnonzero(recording.column("anomaly"))
    anomaly = ((int(odd[0]), int(odd[-1])),)
    marked = np.flatnonzero(recording.column("changepoint"))
    changes = tuple((int(point), int(point) + TOLERANCE) for point in marked)
    for name, looked_for in (("anomaly", anomaly), ("change points", changes)):
        name = f"Pump flow (SKAB valve1), {name}"
        y = recording.column(FLOW)
        yield Labelled(name, recording.time, y, looked_for, anomaly + changes)


def _bore_hole(folder: Path, annotators: dict[str, list[int]]) -> Labelled:
    recording = read("well_log.txt", folder)
    marks = sorted(point for points in annotators.values() for point in points)
    groups = np.split(marks, np.flatnonzero(np.diff(marks) > 12) + 1)
    spans = [(int(one[0]) - BORE_HOLE, int(one[-1]) + BORE_HOLE) for one in groups]
    agreed = [span for span, one in zip(spans, groups, strict=True) if one.size >= AGREED]
    y = recording.column("value")
    return Labelled("Bore hole (TCPD well_log)", None, y, tuple(agreed), tuple(spans))


def oscillation(period: float, n: int, random: np.random.Generator, modulus: float = 0.9) -> Array:
    """Return AR(2) noise of variance 1 that swings with `period`."""
    a, b = 2.0 * modulus * np.cos(2.0 * np.pi / period), -(modulus**2)
    size = np.sqrt((1.0 + b) * ((1.0 - b) ** 2 - a * a) / (1.0 - b))
    x = np.zeros(n + 100)
    for t in range(2, x.size):
        x[t] = a * x[t - 1] + b * x[t - 2] + size * random.standard_normal()
    return x[100:]


def _steps(sizes: list[float]) -> Array:
    return np.repeat(np.cumsum(sizes), LENGTH)


def _level(random: np.random.Generator) -> Array:
    level = _steps([0, 2, -4, 3, 6])
    return level + random.standard_normal(level.size)


def _variance(random: np.random.Generator) -> Array:
    size = np.repeat([1.0, 1.5, 3.0, 6.0, 9.0], LENGTH)
    return 10.0 * np.sin(np.arange(size.size) / 10.0) + size * random.standard_normal(size.size)


def _dynamics(random: np.random.Generator) -> Array:
    return np.concatenate([oscillation(p, LENGTH, random) for p in (30, 8, 5, 60, 3)])


def _slightly_other(random: np.random.Generator) -> Array:
    kinds = ((12, 0.8), (16, 0.9), (10, 0.8), (12, 0.9), (14, 0.7))
    return np.concatenate([oscillation(p, LENGTH, random, r) for p, r in kinds])


def _chaos(random: np.random.Generator) -> Array:
    parts = [logistic(r, LENGTH) for r in (3.7, 3.9, 3.6, 3.8, 3.95)]
    return np.concatenate(parts) + 0.02 * random.standard_normal(5 * LENGTH)


def logistic(rate: float, n: int) -> Array:
    """Return x of x' = rate x (1 - x)."""
    x = np.full(n, 0.3)
    for t in range(1, n):
        x[t] = rate * x[t - 1] * (1.0 - x[t - 1])
    return x


def _season(random: np.random.Generator) -> Array:
    phase = np.cumsum(2.0 * np.pi / np.repeat([24.0, 30.0, 20.0, 20.0, 20.0], LENGTH))
    size = np.repeat([3.0, 3.0, 3.0, 6.0, 2.0], LENGTH)
    return size * np.sin(phase) + 0.3 * random.standard_normal(phase.size)


def _gradual(random: np.random.Generator) -> Array:
    """Mix one oscillation into another over 500 records, four times."""
    periods, grown = (30, 4, 20, 6, 40), np.clip(np.arange(LENGTH) / 500.0, 0.0, 1.0)
    parts = [oscillation(30, LENGTH, random)]
    for old, new in pairwise(periods):
        before, after = (oscillation(p, LENGTH, random) for p in (old, new))
        parts.append(np.sqrt(1.0 - grown) * before + np.sqrt(grown) * after)
    return np.concatenate(parts)


def _creeping(random: np.random.Generator) -> Array:
    """Let the value creep away by a hundredth of its noise a record, in every other part."""
    creeps = np.repeat([0.0, 0.01, 0.0, -0.01, 0.0], LENGTH)
    return np.cumsum(creeps) + random.standard_normal(creeps.size)


def _spikes(random: np.random.Generator) -> Array:
    """Put one record far off where a part begins, above and below in turn."""
    y = 3.0 * np.sin(np.arange(5 * LENGTH) / 10.0) + random.standard_normal(5 * LENGTH)
    y[LENGTH::LENGTH] += [20.0, -8.0, 14.0, -10.0]
    return y


CHANGING: dict[str, tuple[Callable[[np.random.Generator], Array], tuple[int, ...]]] = {
    "level, 2 to 6 sigma": (_level, (1, 2, 3, 4)),
    "noise x 1.5 to 3": (_variance, (1, 2, 3, 4)),
    "dynamics": (_dynamics, (1, 2, 3, 4)),
    "dynamics, slightly": (_slightly_other, (1, 2, 3, 4)),
    "chaos": (_chaos, (1, 2, 3, 4)),
    "season": (_season, (1, 2, 3, 4)),
    "dynamics, gradually": (_gradual, (1, 2, 3, 4)),
    "creeping level": (_creeping, (1, 3)),
    "spikes, 8 to 20 sigma": (_spikes, (1, 2, 3, 4)),
}
"""How each is made, and which of its parts begin with a change."""


def changing(seed: int) -> Iterator[Labelled]:
    """Yield the made streams that change."""
    for number, (name, (make, parts)) in enumerate(CHANGING.items()):
        y = make(np.random.default_rng([seed, number]))
        spans = tuple((k * LENGTH, k * LENGTH + FOUND_WITHIN) for k in parts)
        # That a creeping level stands still again is a change, too, if not one to be looked for.
        ends = tuple((k * LENGTH, k * LENGTH + FOUND_WITHIN) for k in range(1, y.size // LENGTH))
        yield Labelled(name, None, y, spans, ends)


def _clustered(random: np.random.Generator) -> Array:
    """Make noise whose variance follows its own past: GARCH(1, 1), Bollerslev 1986."""
    y, variance = np.zeros(STATIONARY), 1.0
    for t in range(1, y.size):
        variance = 0.02 + 0.1 * y[t - 1] ** 2 + 0.88 * variance
        y[t] = np.sqrt(variance) * random.standard_normal()
    return y


def _bursts(random: np.random.Generator) -> Array:
    """Make noise with 30 records of three times as much about every 400."""
    y = 0.3 * random.standard_normal(STATIONARY)
    for start in range(200, y.size - 250, 400):
        at = start + int(random.integers(200))
        y[at : at + 30] += random.standard_normal(30)
    return y


def _days(random: np.random.Generator) -> Array:
    day = np.sin(2.0 * np.pi * np.arange(STATIONARY) / 288.0)
    return 3.0 * day + (0.2 + 0.4 * np.maximum(day, 0.0)) * random.standard_normal(day.size)


def _seasonal(random: np.random.Generator) -> Array:
    season = 3.0 * np.sin(2.0 * np.pi * np.arange(STATIONARY) / 24.0)
    return season + 0.3 * random.standard_normal(season.size)


UNCHANGING: dict[str, Callable[[np.random.Generator], Array]] = {
    "white noise": lambda random: random.standard_normal(STATIONARY),
    "Laplace noise": lambda random: random.laplace(size=STATIONARY),
    "Student noise, 3 degrees": lambda random: random.standard_t(3, STATIONARY),
    "random walk": lambda random: np.cumsum(random.standard_normal(STATIONARY)),
    "slow oscillation": lambda random: oscillation(200, STATIONARY, random, 0.95),
    "season of 24": _seasonal,
    "whole steps": lambda random: np.round(oscillation(60, STATIONARY, random, 0.98)),
    "one chaos": lambda random: (
        logistic(3.8, STATIONARY) + 0.02 * random.standard_normal(STATIONARY)
    ),
    "noise by day": _days,
    "clustered noise": _clustered,
    "bursts": _bursts,
}


def unchanging(seed: int) -> Iterator[Labelled]:
    """Yield the made streams that never change."""
    for number, (name, make) in enumerate(UNCHANGING.items()):
        yield Labelled(name, None, make(np.random.default_rng([seed, 100 + number])), (), ())
