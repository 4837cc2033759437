"""The pictures of a reservoir and of its forecasts show what is there, and odd ones are drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.model.reservoir import Reservoir

plot = pytest.importorskip("streamlnn.plot", exc_type=ModuleNotFoundError)
painter = pytest.importorskip("streamlnn.plot.painter", exc_type=ModuleNotFoundError)


def wave(n: int = 400) -> np.ndarray:
    random = np.random.default_rng(0)
    return np.sin(np.arange(n) / 5) + 0.05 * random.standard_normal(n)


def image(figure: Any) -> np.ndarray:
    """The numbers that a picture shows as colours."""
    axes = next(axes for axes in figure.axes if axes.images or axes.collections)
    return np.asarray((axes.images or axes.collections)[0].get_array())


def test_what_a_forecaster_shows_of_its_reservoir_is_what_it_steps() -> None:
    model, twin = Forecaster([1, 12], units=20), Reservoir(20, 1, 1, dtype="float32")
    np.testing.assert_array_equal(model.connectivity, twin.W)
    np.testing.assert_array_equal(model.time_constants, twin.tau)
    assert not model.reservoir_state.any()
    for value in wave(50):
        model.step(None, value)
    state = model.reservoir_state
    np.testing.assert_array_equal(state, model.state()["x"])
    state[:] = 7.0
    assert abs(model.reservoir_state).max() < 1.0


def test_readout_weights_are_those_of_the_whole_readout_in_groups() -> None:
    model = Forecaster([1, 12], fields=2, units=20)
    model.replay(None, np.stack([wave(), wave()[::-1]], axis=1))
    groups = model.readout_weights()
    assert [groups[name].shape[2] for name in ("bias", "units on the lags", "reservoir")] == [
        1,
        20,
        20,
    ]
    whole = np.concatenate(list(groups.values()), axis=2)
    kept = model.state()
    size = int(kept["joint_sizes"][0])
    np.testing.assert_array_equal(whole.swapaxes(0, 1), kept["weights"][:, :, :size])
    heard = ("bias", "lags", "units on the lags", "reservoir")
    assert all(groups[name].any() for name in heard)


def test_played_keeps_what_the_model_says_and_its_states() -> None:
    values, model = wave(60), Forecaster([1, 3], units=10)
    played = plot.play(model, values, name="pump", targets=["flow"])
    twin = Forecaster([1, 3], units=10)
    for i, value in enumerate(values):
        told = twin.step(None, value)
        np.testing.assert_array_equal(played.bands[i, 0, :, 0], told.yhat)
        np.testing.assert_array_equal(played.states[i], twin.reservoir_state)
    assert (played.words.stream, played.words.targets) == ("pump", ["flow"])
    assert model.seq == 60


def test_states_are_shown_from_fast_units_to_slow_ones() -> None:
    states = np.stack([np.full(5, 0.1), np.full(5, 0.2), np.full(5, 0.3)], axis=1)
    figure = plot.states(states, time_constants=[30.0, 1.0, 5.0], values=np.ones(5))
    np.testing.assert_array_equal(image(figure)[:, 0], [0.2, 0.3, 0.1])
    assert [axes.get_title("left") for axes in figure.axes] == [
        "what the reservoir hears",
        "state of every unit",
        "how the states move: each unit less its mean over this time",
        "some of them",
        "",
        "",
    ]


def test_the_matrix_and_its_spectrum_are_those_of_the_weights() -> None:
    W = Reservoir(30, 1, seed=3).W
    np.testing.assert_array_equal(image(plot.connectivity(W)), W)
    figure = plot.spectrum(W)
    [points] = [line for line in figure.axes[0].get_lines() if line.get_marker() == "o"]
    found = np.sort_complex(points.get_xdata() + 1j * points.get_ydata())
    np.testing.assert_allclose(found, np.sort_complex(np.linalg.eigvals(W)), atol=1e-12)
    assert "spectral radius 0.9" in figure.axes[0].get_title("left")


def test_the_fan_opens_at_the_newest_value_and_holds_every_horizon() -> None:
    played = plot.play(Forecaster([1, 12, 48]), wave())
    axes = plot.forecast(played).axes[0]
    fans = [line for line in axes.get_lines() if line.get_marker() == "o"]
    newest = fans[-1]
    np.testing.assert_array_equal(newest.get_xdata(), [399, 400, 411, 447])
    np.testing.assert_array_equal(newest.get_ydata(), [played.y[-1, 0], *played.bands[-1, 0, :, 0]])
    for earlier in fans[:-1]:
        assert earlier.get_xdata()[-1] <= 399


def test_scores_are_drawn_beside_persistence() -> None:
    figure = plot.scores(plot.play(Forecaster([1, 12]), wave()))
    for axes in figure.axes[1:3]:
        assert [line.get_label() for line in axes.get_lines()] == ["persistence", "ours"]


ODD: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "constant": (np.ones(200), None, {}),
    "one record": (np.ones(1), None, {}),
    "nothing known": (np.full(50, np.nan), None, {}),
    "holes": (np.where(np.arange(200) % 3 == 0, np.nan, wave(200)), None, {}),
    "by time": (wave(300), 1e9 + 60.0 * np.arange(300), {"horizons": ["90s", "1h", "1d"]}),
    "a clock set back": (wave(300), 1e9 + 60.0 * (np.arange(300) % 170), {}),
    "one unit": (wave(100), None, {"units": 1}),
    "two fields": (np.tile(wave(100)[:, None], 2), None, {"fields": 2}),
    "ten horizons": (wave(200), None, {"horizons": list(range(1, 11))}),
    "infinite": (np.where(np.arange(100) == 50, np.inf, wave(100)), None, {}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_streams_are_drawn_without_a_warning(name: str, tmp_path: Path) -> None:
    values, times, changes = ODD[name]
    model = Forecaster(**{"horizons": [1, 12], "units": 10} | changes)
    played = plot.play(model, values, times)
    x = painter.Painter(played, 0, ()).x
    groups = model.readout_weights()
    if played.y.shape[1] > 1:
        groups = {name: part[:, 0] for name, part in groups.items()}
    for number, figure in enumerate(
        [
            *([plot.states(played.states, x, values=played.y[:, 0])] if len(x) > 1 else []),
            plot.connectivity(model.connectivity),
            plot.spectrum(model.connectivity),
            plot.weights(groups, played.words.horizons),
            plot.forecast(played),
            plot.scores(played),
        ]
    ):
        figure.savefig(tmp_path / f"{number}.svg")


@pytest.mark.parametrize(
    ("draw", "problem"),
    [
        (lambda: plot.states(np.ones(5)), r"states have shape \(5,\)"),
        (lambda: plot.states(np.ones((5, 2)), np.ones(4)), r"x has shape \(4,\); there are 5"),
        (lambda: plot.connectivity(np.ones((2, 3))), r"the matrix has shape \(2, 3\)"),
        (lambda: plot.spectrum(np.ones(3)), r"the matrix has shape \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(draw: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        draw()
