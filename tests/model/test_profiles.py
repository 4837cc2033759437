"""What is usual at each part of a day, a week and a season is learned, forgotten and moved."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster

HOUR, DAY = 3600.0, 86400.0


def shape(when: np.ndarray) -> np.ndarray:
    """Return a day that no harmonics fit well: four levels and a peak at seven."""
    hour = when % DAY / HOUR
    levels = np.select([hour < 6, hour < 8, hour < 17, hour < 22], [1.0, 9.0, 4.0, 6.0], 2.0)
    return 20.0 + levels


def hourly(days: int, noise: float = 0.3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    when = np.arange(24 * days) * HOUR
    return when, shape(when) + noise * np.random.default_rng(seed).standard_normal(when.size)


def error(y: np.ndarray, yhat: np.ndarray, h: int) -> float:
    """Return the mean absolute error of the forecasts h records ahead, of the last third."""
    return float(np.abs(y[h:] - yhat[:-h])[-y.size // 3 :].mean())


def answers(model: Forecaster, of: str, horizon: int = 0) -> tuple[float, float]:
    said = dict(zip(model.experts, model.opinions()[horizon], strict=True))
    return said[f"usual value of {of}"], said[f"usual change of {of}"]


@pytest.mark.parametrize("horizons", [[1, 6], ["1h", "6h"]])
def test_the_day_need_not_be_told(horizons: list[int] | list[str]) -> None:
    """After two weeks the error is near that of the noise, far below holding the last value."""
    when, y = hourly(30)
    yhat = Forecaster(horizons).replay(when, y).yhat
    for k, h in enumerate((1, 6)):
        assert error(y, yhat[:, k], h) < 0.45 < 0.5 * error(y, y, h)


def test_nothing_is_usual_before_a_day_has_passed() -> None:
    when, y = hourly(3)
    model = Forecaster([1])
    for k in range(24):
        model.step(when[k], y[k])
        assert np.isnan(answers(model, "day")).all()
    model.step(when[24], y[24])
    model.step(when[25], y[25])
    for k in range(26, 40):
        model.step(when[k], y[k])
        assert np.isfinite(answers(model, "day")).all()
        assert np.isnan(answers(model, "week")).all()


def test_without_a_clock_there_is_no_day() -> None:
    model = Forecaster([1])
    model.replay(None, hourly(5)[1])
    assert np.isnan(answers(model, "day")).all()
    assert np.isnan(answers(model, "week")).all()


def test_a_season_that_is_given_has_a_profile_without_a_clock() -> None:
    """And where it is the day of the clock, that one stands for it."""
    when, y = hourly(12)
    model = Forecaster([6], seasons=[24])
    model.replay(None, y)
    assert answers(model, "season 24")[0] == pytest.approx(shape(when)[5], abs=0.4)
    model = Forecaster([6], seasons=[24])
    model.replay(when, y)
    assert np.isnan(answers(model, "season 24")).all()
    assert answers(model, "day")[0] == pytest.approx(shape(when)[5], abs=0.4)


def test_a_working_week_is_learned() -> None:
    """Weekends are another level: from the fourth week on Monday morning is no surprise."""
    when, y = hourly(63, noise=0.1)
    y[(when // DAY % 7) >= 5] -= 8.0
    yhat = Forecaster([12]).replay(when, y).yhat[:, 0]
    monday = (when // DAY % 7 == 0) & (when // DAY > 28)
    due = np.flatnonzero(monday & (when % DAY / HOUR < 6))
    assert np.abs(yhat[due - 12] - y[due]).mean() < 1.0
    assert np.abs(y[due - 12] - y[due]).mean() > 4.0


def test_irregular_samples_are_placed_by_the_clock() -> None:
    """Horizons in samples, elapsed times at random: the usual pace tells when the target comes."""
    random = np.random.default_rng(1)
    when = np.cumsum(random.exponential(900.0, 6000))
    y = 5.0 * np.sin(2 * np.pi * when / DAY) + 0.2 * random.standard_normal(when.size)
    yhat = Forecaster([48]).replay(when, y).yhat[:, 0]
    assert error(y, yhat, 48) < 0.25 * error(y, y, 48)


def test_an_outlier_is_forgotten() -> None:
    """A value of a million spreads moves what is usual by half a spread, for that hour."""
    when, y = hourly(20, noise=0.0)
    y[300] += 1e6
    model = Forecaster([24])
    model.replay(when[:325], y[:325])
    usual, _ = answers(model, "day")
    assert usual == pytest.approx(shape(when)[300], abs=2.0)


@pytest.mark.parametrize("size", [500.0, -500.0])
def test_what_is_usual_moves_with_a_level_that_jumped(size: float) -> None:
    when, y = hourly(20)
    y[300:] += size
    model = Forecaster([6])
    model.replay(when[:320], y[:320])
    assert answers(model, "day")[0] == pytest.approx(shape(when)[325] + size, abs=1.0)


def test_a_cadence_that_wavers_does_not_begin_the_day_anew() -> None:
    """Elapsed times of 59 to 61 minutes: what was learned stays, and so it does over a silence."""
    random = np.random.default_rng(2)
    when = np.arange(24 * 20) * HOUR + random.uniform(-30.0, 30.0, 24 * 20)
    when[300:] += 3 * DAY
    model = Forecaster([6], seasons=[24])
    for time, y in zip(when, shape(when), strict=True):
        model.step(time, y)
        assert np.isnan(answers(model, "season 24")[0])
        if time - when[0] > DAY + 2 * HOUR:
            assert np.isfinite(answers(model, "day")[0])


def test_a_clock_set_back_keeps_what_is_usual() -> None:
    when, y = hourly(20)
    model = Forecaster(["6h"])
    model.replay(when, y)
    model.replay(when[:48] + 10 * DAY, y[:48])
    assert answers(model, "day")[0] == pytest.approx(shape(when)[53], abs=0.5)


def test_many_parts_of_a_season_share_what_few_values_tell() -> None:
    """A minute's day has 1,440 steps and 96 parts; each part follows the mean of its values."""
    when = np.arange(1440 * 4) * 60.0
    y = 10.0 * np.sin(2 * np.pi * when / DAY)
    y += 2.0 * np.random.default_rng(3).standard_normal(when.size)
    model = Forecaster([360])
    model.replay(when, y)
    usual, _ = answers(model, "day")
    due = when[-1] + 360 * 60.0
    assert usual == pytest.approx(10.0 * np.sin(2 * np.pi * due / DAY), abs=1.2)
