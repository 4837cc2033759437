"""A glitch is held, a new level is followed, and a livelier sensor is not taken for either."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.model.jumps import HELD
from streamlnn.model.scaling import JUMP


def wave(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.sin(np.arange(n) / 7.0) + 0.02 * random.standard_normal(n)


def held(model: Forecaster) -> bool:
    return bool(model._state.scales[0, JUMP] == HELD)


def errors(y: np.ndarray, yhat: np.ndarray) -> np.ndarray:
    return np.abs(y[1:] - yhat[:-1])


def test_glitches_cost_no_more_than_a_missing_value() -> None:
    """Once a glitch has come back the next are held: the forecasts behind them stay as they were.

    Against the clean signal the error is that of a model that saw no glitch, to 30 %.
    """
    clean = wave(6000)
    seen = clean.copy()
    at = np.arange(500, 5900, 90) + np.random.default_rng(1).integers(0, 60, 60)
    seen[at] += 10.0
    spared = errors(clean, Forecaster([1]).replay(None, clean).yhat[:, 0])[3000:].mean()
    met = errors(clean, Forecaster([1]).replay(None, seen).yhat[:, 0])[3000:].mean()
    assert met < 1.3 * spared


def test_a_glitch_is_told_and_scored_as_it_came() -> None:
    """Nothing is hidden: `y`, the skill, the coverage and the anomaly know of it."""
    y = wave(1500)
    y[[700, 900, 1100]] += 10.0
    model = Forecaster([1])
    told = [model.step(None, value) for value in y]
    assert [k for k in (700, 900, 1100) if told[k].y[0] == y[k]] == [700, 900, 1100]
    assert told[1100].coverage[0] < told[1099].coverage[0]
    assert told[1100].skill[0] < told[1099].skill[0]
    assert "anomaly" in [event.type for event in told[700].events]


def test_a_level_that_stays_is_followed_from_the_second_record_on() -> None:
    """Also where the jumps before came back, and the first of the new level was held."""
    y = wave(3000)
    y[[500, 700, 900]] += 10.0
    y[2000:] += 50.0
    model = Forecaster([1])
    for value in y[:2001]:
        model.step(None, value)
    assert held(model)
    forecast = model.step(None, y[2001])
    assert not held(model)
    assert abs(forecast.yhat[0] - y[2002]) < 1.0
    later = errors(y[2002:], model.replay(None, y[2002:]).yhat[:, 0])
    assert later[100:].mean() < 0.05


def test_levels_that_come_and_go_are_never_held() -> None:
    """A machine that is on for 50 records and off for 50: every jump stays."""
    y = wave(4000)
    y += 100.0 * (np.arange(4000) // 50 % 2)
    model = Forecaster([1])
    for k, value in enumerate(y):
        model.step(None, value)
        assert not held(model), k


@pytest.mark.parametrize("times", [30.0, 1000.0])
def test_a_sensor_that_becomes_livelier_is_heard(times: float) -> None:
    """Noise grows: that is many jumps, half of which come back. After 300 records none is held."""
    random = np.random.default_rng(2)
    y = 0.01 * random.standard_normal(3000)
    y[100], y[300] = 5.0, 5.0
    y[1500:] *= times
    model = Forecaster([1])
    spared = 0
    for k, value in enumerate(y):
        model.step(None, value)
        spared += held(model) and k >= 1800
    assert spared == 0


def test_a_missing_value_behind_a_jump_decides_nothing() -> None:
    y = wave(1500)
    y[[600, 800]] += 10.0
    y[1000] += 10.0
    y[1001:1004] = np.nan
    model = Forecaster([1])
    model.replay(None, y[:1001])
    assert held(model)
    model.replay(None, y[1001:1004])
    assert abs(model.opinions()[0, 0]) < 2.0
    model.step(None, y[1004])
    assert not held(model)


def test_each_field_is_judged_on_its_own() -> None:
    y = np.stack([wave(1500), wave(1500, 1)], axis=1)
    y[[500, 700, 900], 1] += 10.0
    model = Forecaster([1], fields=2)
    model.replay(None, y[:901])
    assert model._state.scales[:, JUMP].tolist() == [0.0, HELD]


def test_targets_between_a_held_value_and_the_next_are_unknown() -> None:
    """On a stream with durations a straight line to a glitch would teach nonsense."""
    y = wave(2500)
    y[[500, 700, 900, 1100, 1300, 1500]] += 10.0
    when = np.arange(2500) * 10.0
    yhat = Forecaster(["5s"], every=10.0).replay(when, y).yhat[:, 0]
    middle = (y[1:] + y[:-1]) / 2.0
    assert np.abs(yhat[1600:-1] - middle[1600:]).mean() < 0.05


def test_skill_is_told_against_the_last_value_that_came() -> None:
    """Also where that was a glitch, which the model did not hear."""
    random = np.random.default_rng(4)
    y = np.cumsum(0.1 * random.standard_normal(4000))
    y[100:4000:100] += 50.0
    model = Forecaster([1])
    told = [model.step(None, value) for value in y]
    yhat = np.array([one.yhat[0] for one in told])
    late = slice(3000, None)
    naive, ours = np.abs(np.diff(y))[late].mean(), errors(y, yhat)[late].mean()
    assert 0.2 < 1.0 - ours / naive < 0.6
    assert told[-1].skill[0] == pytest.approx(1.0 - ours / naive, abs=0.1)
