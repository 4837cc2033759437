"""The bands hold the share of values they promise, also under drift and with late labels."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.model.intervals import band


def coverage(y: np.ndarray, horizons: list[int], level: float = 0.9) -> list[float]:
    made = Forecaster(horizons, level=level, units=20).replay(None, y)
    shares = []
    for k, h in enumerate(horizons):
        due = y[500 + h :]
        lower, upper = (b[500:-h, k] for b in (made.yhat_lower, made.yhat_upper))
        shares.append(float(((lower <= due) & (due <= upper)).mean()))
    return shares


def noise(kind: str, n: int = 10_000) -> np.ndarray:
    random = np.random.default_rng(4)
    return {
        "normal": random.standard_normal(n),
        "heavy": random.standard_t(3, n),
        "walk": np.cumsum(random.standard_normal(n)),
        "louder": random.standard_normal(n) * np.repeat([1.0, 5.0, 0.5, 3.0], n // 4),
        "growing": random.standard_normal(n) * np.exp(np.arange(n) / 2000.0),
    }[kind]


@pytest.mark.parametrize("kind", ["normal", "heavy", "walk", "louder", "growing"])
def test_nine_in_ten_values_fall_inside_the_bands(kind: str) -> None:
    """At horizons 1, 12 and 48, on noise that stays, wanders, grows and jumps."""
    for share in coverage(noise(kind), [1, 12, 48]):
        assert share == pytest.approx(0.9, abs=0.025)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.98])
def test_the_level_is_what_was_asked_for(level: float) -> None:
    """Narrower and wider bands are kept as well as the usual ones."""
    assert coverage(noise("normal"), [1], level)[0] == pytest.approx(level, abs=0.02)


def test_the_live_coverage_is_the_recent_measured_share() -> None:
    """What the forecast says of its coverage is what a count over the last records says."""
    y = noise("normal", 4000)
    model = Forecaster([1], units=20)
    made = [model.step(None, v) for v in y]
    inside = [f.yhat_lower[0] <= v <= f.yhat_upper[0] for f, v in zip(made, y[1:], strict=False)]
    weight = 0.998 ** np.arange(len(inside))[::-1]
    assert made[-1].coverage[0] == pytest.approx(np.average(inside, weights=weight), abs=0.005)


def test_a_band_is_mixed_from_its_trackers() -> None:
    """Trackers that agree give that width; one that lost much less gives nearly its own."""
    means = np.ones(5)
    assert band(np.zeros(5), means, np.ones(5)) == pytest.approx(1.0)
    mixed = band(np.log([1.0, 2.0, 3.0, 4.0, 5.0]), means, np.array([9, 9, 1, 9, 9.0]))
    assert mixed == pytest.approx(3.0, rel=0.01)
