"""Noise has no season, a season is found, and one that ends is let go."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from streamlnn.model.season_search import (
    FEWEST,
    IN_USE,
    LOOKED,
    consider,
    initial_search,
    is_due,
    seasons_in_use,
)

Floats = NDArray[np.float64]
HOUR = 3600.0
HOURS = np.arange(2000)


def follow(x: Floats, seconds: float = 0.0, size: int = 1024) -> list[tuple[int, list[float]]]:
    """Feed x entry by entry; return where the seasons in use changed, and to what."""
    state, ring, changes = initial_search(), np.zeros(size), []
    for i, value in enumerate(x):
        ring[i % size] = value
        if consider(state, ring, i + 1, 1.0, seconds):
            changes.append((i + 1, seasons_in_use(state)))
    return changes


def last(x: Floats, seconds: float = 0.0) -> list[float]:
    changes = follow(x, seconds)
    return changes[-1][1] if changes else []


def coloured(rng: np.random.Generator, phi: float, n: int = HOURS.size) -> Floats:
    """Noise of which each value keeps the share phi of the one before; its spread is 1."""
    x, shocks = np.zeros(n), rng.standard_normal(n) * np.sqrt(1.0 - phi * phi)
    for i in range(1, n):
        x[i] = phi * x[i - 1] + shocks[i]
    return x


def walk(rng: np.random.Generator) -> Floats:
    return np.cumsum(rng.standard_normal(HOURS.size))


def steps(rng: np.random.Generator) -> Floats:
    return np.cumsum((rng.random(HOURS.size) < 0.02) * rng.standard_normal(HOURS.size) * 5.0)


NOISE: dict[str, Callable[[np.random.Generator], Floats]] = {
    "white": lambda rng: rng.standard_normal(HOURS.size),
    "heavy tails": lambda rng: rng.standard_t(2, HOURS.size),
    "coloured": lambda rng: coloured(rng, 0.9),
    "nearly a walk": lambda rng: coloured(rng, 0.99),
    "alternating": lambda rng: coloured(rng, -0.5),
    "walk": walk,
    "walk and noise": lambda rng: walk(rng) + 3.0 * rng.standard_normal(HOURS.size),
    "walk that drifts": lambda rng: walk(rng) + 0.3 * HOURS,
    "trend": lambda rng: 0.01 * HOURS + rng.standard_normal(HOURS.size),
    "steps": steps,
    "steps and noise": lambda rng: steps(rng) + rng.standard_normal(HOURS.size),
    "whole numbers": lambda rng: np.round(walk(rng) / 3.0),
    "gaps": lambda rng: np.where(rng.random(HOURS.size) < 0.3, np.nan, coloured(rng, 0.9)),
    "rare bursts": lambda rng: (rng.random(HOURS.size) < 0.03) * rng.exponential(5.0, HOURS.size),
}


@pytest.mark.parametrize("name", NOISE)
def test_noise_has_no_season(name: str) -> None:
    rng = np.random.default_rng(list(name.encode()))
    for _ in range(12):
        x = NOISE[name](rng)
        assert follow(x) == []
        assert follow(x, HOUR) == []


def lorenz(starts: Floats, dt: float = 0.05, n: int = 2000) -> Floats:
    """First coordinate of the Lorenz system from several starts: (n, starts)."""
    v, out, h = starts.copy(), np.empty((n, starts.shape[1])), dt / 5.0

    def slope(v: Floats) -> Floats:
        x, y, z = v
        return np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])

    for i in range(5 * n):
        a = slope(v)
        b = slope(v + h / 2.0 * a)
        c = slope(v + h / 2.0 * b)
        v = v + h / 6.0 * (a + 2.0 * b + 2.0 * c + slope(v + h * c))
        out[i // 5] = v[0]
    return out


def test_chaos_has_no_season() -> None:
    starts = np.random.default_rng(3).standard_normal((3, 20))
    starts[2] += 25.0
    for x in lorenz(starts).T:
        assert follow(x) == []


def test_nearly_every_sine_in_as_much_noise_is_found() -> None:
    rng = np.random.default_rng(4)
    for length in (7, 24, 50, 96):
        x = np.sqrt(2.0) * np.sin(2.0 * np.pi * HOURS / length)
        near = pytest.approx([length], rel=0.03)
        found = [last(x + rng.standard_normal(x.size)) == near for _ in range(12)]
        assert sum(found) >= 11, length


def test_a_day_on_the_clock_is_found_in_weaker_signals_and_sooner() -> None:
    rng = np.random.default_rng(5)
    x = np.sin(2.0 * np.pi * HOURS / 24.0)
    noisy = [x + rng.standard_normal(x.size) for _ in range(12)]
    clock, none = [follow(v, HOUR) for v in noisy], [follow(v) for v in noisy]
    assert all(changes[-1][1] == [24.0] for changes in clock)
    assert np.mean([c[0][0] for c in clock]) < np.mean([c[0][0] for c in none if c])


def office(length: int) -> Floats:
    """A pattern with many harmonics: busy for two fifths of each cycle, uneven in it."""
    phase = HOURS % length / length
    return np.where((phase > 0.35) & (phase < 0.75), 1.0 + np.sin(9.0 * phase), 0.0)


DISTURBED: dict[str, Callable[[np.random.Generator, Floats], Floats]] = {
    "level shifts": lambda rng, x: x + (HOURS > 700) * 20.0 - (HOURS > 1300) * 50.0,
    "a trend": lambda rng, x: x + 0.02 * HOURS,
    "a walk": lambda rng, x: x + 0.05 * walk(rng),
    "outliers": lambda rng, x: x + (rng.random(x.size) < 0.01) * 500.0,
    "gaps": lambda rng, x: np.where(rng.random(x.size) < 0.3, np.nan, x),
    "whole numbers": lambda rng, x: np.round(3.0 * x) / 3.0,
}


@pytest.mark.parametrize("name", DISTURBED)
@pytest.mark.parametrize("length", [24, 60])
def test_a_pattern_is_found_whatever_disturbs_it(name: str, length: int) -> None:
    rng = np.random.default_rng(length)
    x = office(length) + 0.3 * rng.standard_normal(HOURS.size)
    assert last(DISTURBED[name](rng, x)) == [length]


def test_the_fundamental_is_found_where_a_harmonic_is_stronger() -> None:
    rng, angle = np.random.default_rng(6), 2.0 * np.pi * HOURS / 36.0
    x = np.sin(angle) + 1.5 * np.sin(2.0 * angle + 1.0) + np.cos(3.0 * angle)
    assert last(x + 0.5 * rng.standard_normal(x.size)) == [36.0]


def test_a_length_between_whole_entries_is_found() -> None:
    rng, length = np.random.default_rng(7), 30.4
    x = np.sin(2.0 * np.pi * HOURS / length) + 0.3 * rng.standard_normal(HOURS.size)
    assert last(x) == pytest.approx([length], rel=0.01)


def test_nothing_is_found_before_three_cycles() -> None:
    x = office(200) + 0.05 * np.random.default_rng(8).standard_normal(HOURS.size)
    assert follow(x, HOUR * 24.0 / 200.0)[0][0] > 580


def test_a_season_that_ends_is_let_go() -> None:
    rng = np.random.default_rng(9)
    noise = rng.standard_normal(6000)
    x = np.where(np.arange(6000) < 2000, 3.0 * np.sin(2.0 * np.pi * np.arange(6000) / 24.0), 0.0)
    changes = follow(x + noise, HOUR)
    assert changes[0][1] == [24.0]
    assert changes[-1][1] == []


def test_a_season_that_changes_is_followed() -> None:
    rng, i = np.random.default_rng(10), np.arange(6000)
    x = np.sin(2.0 * np.pi * i / np.where(i < 2000, 24.0, 31.0)) + 0.3 * rng.standard_normal(6000)
    changes = follow(x)
    assert changes[0][1] == [24.0]
    assert changes[-1][1] == [31.0]


def test_a_long_season_is_found_in_every_second_entry() -> None:
    rng = np.random.default_rng(11)
    x = np.sin(2.0 * np.pi * HOURS / 400.0) + 0.3 * rng.standard_normal(HOURS.size)
    state, ring = initial_search(), np.zeros(1024)
    for i, value in enumerate(x[::2]):
        ring[i % ring.size] = value
        consider(state, ring, i + 1, 2.0, 24.0 * HOUR / 400.0)
    assert seasons_in_use(state) == [400.0]


def test_looks_come_with_a_quarter_new_and_with_half_of_a_full_ring() -> None:
    state, ring, looks = initial_search(), np.zeros(1024), []
    for i in range(1, 3000):
        due = is_due(state, ring.size, i, 1.0)
        consider(state, ring, i, 1.0, 0.0)
        assert due == (state[LOOKED] == i)
        looks += [i] if due else []
    assert looks[:4] == [FEWEST, 86, 115, 154]
    assert set(np.diff(looks)[-3:]) == {512}


def test_halving_the_entries_makes_no_look_due_and_setting_them_back_does() -> None:
    state = initial_search()
    state[LOOKED] = 1025.0
    assert not is_due(state, 1024, 512, 2.0)
    assert is_due(state, 1024, 70, 1.0)


def test_neither_unit_nor_place_in_the_ring_matters() -> None:
    x = office(24) + 0.5 * np.random.default_rng(12).standard_normal(HOURS.size)
    assert follow(x) == follow(x * 2.0**40) == follow(x * 2.0**-40)
    states = []
    for shift in (0, 300):
        state = initial_search()
        for start in (0, 500):
            ring = np.roll(x[start : start + 1024], shift)
            state[LOOKED] = 1024.0 * (start > 0) + shift - 524.0
            consider(state, ring, 1024 + shift, 1.0, HOUR)
        states.append(state)
    assert states[0][IN_USE] == states[1][IN_USE] == 24.0


@pytest.mark.parametrize("value", [0.0, 1e300, -5.5, np.nan, np.inf])
def test_a_constant_or_a_missing_series_has_none(value: float) -> None:
    assert follow(np.full(1500, value), HOUR) == []


def test_values_near_the_largest_are_survived() -> None:
    x = np.random.default_rng(13).choice([-1.7e308, 1.7e308], 1500)
    assert follow(x, HOUR) == []


def recorded(name: str, column: str, delimiter: str = ",") -> Floats:
    folder = os.environ.get("STREAMLNN_DATA")
    if not folder:
        pytest.skip("needs the recordings: set STREAMLNN_DATA to their folder")
    with gzip.open(Path(folder) / name, "rt") as file:
        rows = list(csv.DictReader(file, delimiter=delimiter))
    return np.array([float(row[column] or "nan") for row in rows[:8000]])


@pytest.mark.parametrize(
    ("name", "column", "seconds", "length"),
    [
        ("ETTh1.csv.gz", "OT", HOUR, 24.0),
        ("ETTh1.csv.gz", "HUFL", HOUR, 24.0),
        ("ETTm1_prefix.csv.gz", "OT", HOUR / 4.0, 96.0),
        ("WTH.csv.gz", "WetBulbCelsius", HOUR, 24.0),
        ("vic_electricity.csv.gz", "Demand", HOUR / 2.0, 48.0),
    ],
)
def test_recorded_days_are_found(name: str, column: str, seconds: float, length: float) -> None:
    assert last(recorded(name, column), seconds) == [length]


@pytest.mark.parametrize(
    ("name", "column", "delimiter", "seconds"),
    [
        ("nab_machine_temperature.csv.gz", "value", ",", 300.0),
        ("skab_anomaly-free.csv.gz", "Volume Flow RateRMS", ";", 1.0),
        ("skab_anomaly-free.csv.gz", "Pressure", ";", 1.0),
        ("skab_valve1_0.csv.gz", "Volume Flow RateRMS", ";", 1.0),
    ],
)
def test_recorded_machines_without_a_season_have_none(
    name: str, column: str, delimiter: str, seconds: float
) -> None:
    x = recorded(name, column, delimiter)
    assert follow(x, seconds) == []
    assert follow(x) == []
