"""The weights that are told are those with which the forecast was mixed."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster


def wave(n: int, fields: int = 1) -> np.ndarray:
    random = np.random.default_rng(0)
    steps = np.arange(n)[:, None] / (5.0 + np.arange(fields))
    return np.sin(steps) + 0.1 * random.standard_normal((n, fields))


@pytest.mark.parametrize("fields", [1, 2])
def test_the_forecast_is_the_mean_of_the_opinions_with_these_weights(fields: int) -> None:
    model = Forecaster([1, 12], fields=fields, seasons=[31], units=20)
    for n, row in enumerate(wave(300, fields)):
        forecast = model.step(None, row)
        weights = model.weights()
        assert weights.shape == (*forecast.yhat.shape, len(model.experts))
        np.testing.assert_allclose(weights.sum(axis=-1), 1.0)
        mean = np.nansum(weights * model.opinions(), axis=-1)
        np.testing.assert_allclose(mean, forecast.yhat, rtol=1e-9, atol=1e-9, err_msg=str(n))
    assert weights.max() > 2.0 / len(model.experts)


def test_before_anything_was_scored_all_are_heard_alike() -> None:
    model = Forecaster([1, 12], units=20)
    np.testing.assert_allclose(model.weights(), 1.0 / len(model.experts))


def test_who_is_right_is_heard() -> None:
    """On a season of 31, what is usual then; on a random walk, persistence."""
    random = np.random.default_rng(0)
    season = np.tile(random.standard_normal(31), 40)
    model = Forecaster([1], seasons=[31], units=20)
    model.replay(None, season)
    heard = dict(zip(model.experts, model.weights()[0], strict=True))
    assert heard["usual value of season 31"] + heard["usual change of season 31"] > 0.9
    model = Forecaster([1], seasons=[31], units=20)
    model.replay(None, np.cumsum(random.standard_normal(1500)))
    heard = dict(zip(model.experts, model.weights()[0], strict=True))
    assert max(heard, key=heard.__getitem__) == "persistence"
    assert heard["usual value of season 31"] < 1e-3


def test_the_reservoir_is_told_as_it_is() -> None:
    told = Forecaster([1], units=20, seed=3).reservoir
    assert (told["units"], told["lag_units"], told["fan_in"]) == (20, 20, 10)
    least, most = told["tau"]
    assert 0.3 <= least < most <= 30.0


def test_the_spectral_radius_that_is_told_is_that_of_the_weights() -> None:
    model = Forecaster([1], units=20)
    state = model.state()
    dense = np.zeros((20, 20))
    np.put_along_axis(dense, state["taps"], state["W"].astype(float), axis=1)
    radius = np.abs(np.linalg.eigvals(dense)).max()
    assert model.reservoir["spectral_radius"] == pytest.approx(radius, rel=1e-5)
