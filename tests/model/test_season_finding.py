"""A season that nobody gave is found while the stream goes on, and used."""

from __future__ import annotations

import numpy as np

from streamlnn import Forecaster
from streamlnn.model.season_finding import COARSEST


def profile(n: int, season: int, seed: int = 0) -> np.ndarray:
    """A day of random values that repeats, with noise."""
    random = np.random.default_rng(seed)
    day = random.standard_normal(season)
    return day[np.arange(n) % season] + 0.3 * random.standard_normal(n)


def test_a_season_is_found_and_forecast_better_than_without() -> None:
    """40 records, longer than the lags: the error falls to that of a season that was given."""
    y = profile(6000, 40)
    found, given = Forecaster([1, 12]), Forecaster([1, 12], seasons=[40])
    one, other = found.replay(None, y).yhat, given.replay(None, y).yhat
    assert found.seasons == (40.0,)
    assert given.seasons == (40.0,)
    errors = [np.abs(y[4012:] - yhat[4000:-12, 1]).mean() for yhat in (one, other)]
    assert errors[0] < 1.05 * errors[1]


def test_noise_has_no_season() -> None:
    """Neither white noise nor a random walk; the values are kept at a coarser spacing then."""
    for y in (random := np.random.default_rng(1).standard_normal(12_000)), np.cumsum(random):
        model = Forecaster([1])
        model.replay(None, y)
        assert model.seasons == ()
        assert 0.8 * COARSEST < model._state.season_spacing[0] <= COARSEST


def test_a_long_season_is_found_among_every_eighth_value() -> None:
    """A day of 1,200 records is longer than what is kept one by one."""
    model, n = Forecaster([1]), np.arange(14_000)
    random = np.random.default_rng(2).standard_normal(n.size)
    model.replay(None, np.sin(2 * np.pi * n / 1200) + np.sin(6 * np.pi * n / 1200) + 0.3 * random)
    assert len(model.seasons) == 1
    assert abs(model.seasons[0] - 1200) < 25


def test_a_stream_with_durations_tells_its_season_in_seconds() -> None:
    """A record every ten minutes, a day of 144."""
    y = np.repeat(profile(30 * 24, 24), 6) + 0.01 * np.random.default_rng(3).standard_normal(4320)
    model = Forecaster(["10m", "2h"])
    model.replay(1.7e9 + 600.0 * np.arange(y.size), y)
    assert model.seasons == (86_400.0,)


def test_the_search_is_part_of_the_state() -> None:
    """Record by record, in one go, and saved and loaded at every look: the same forecasts."""
    y = profile(1500, 24)
    whole = Forecaster([1, 6]).replay(None, y).yhat
    model, made = Forecaster([1, 6]), []
    for k, value in enumerate(y):
        if k % 97 == 0:
            model = Forecaster.from_state(model.settings, model.state())
        made.append(model.step(None, value).yhat)
    assert model.seasons == (24.0,)
    np.testing.assert_array_equal(np.array(made), whole)
