"""Models that begin with a reservoir of somebody else's arrays, and hand theirs out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlnn import Bank, Forecaster, OnlineESN, Reservoir
from streamlnn.errors import StateError

Array = np.ndarray[Any, Any]


def plain(units: int = 20, inputs: int = 1, **more: Any) -> Reservoir:
    """A dense reservoir with leaks, whose time is not liquid."""
    random = np.random.default_rng(7)
    W = random.standard_normal((units, units)) / np.sqrt(units)
    W_in, bias = random.uniform(-1, 1, (units, inputs)), random.uniform(-0.2, 0.2, units)
    return Reservoir.from_arrays(0.8 * W, W_in, bias, leak=np.linspace(0.1, 1.0, units), **more)


def waves(n: int, fields: int = 1) -> Array:
    """Noisy waves with a few holes, (n, fields)."""
    random = np.random.default_rng(0)
    y = 50.0 + 9.0 * np.sin(np.arange(n)[:, None] / (5.0 + np.arange(fields)))
    y += 0.5 * random.standard_normal((n, fields))
    y[random.random((n, fields)) < 0.02] = np.nan
    return y


@pytest.mark.parametrize("given", [None, plain(20, 2)], ids=["drawn", "given"])
def test_a_reservoir_handed_out_follows_the_model(given: Reservoir | None) -> None:
    model = Forecaster([1, 3], fields=2, units=20, dtype="float64", reservoir=given)
    twin, x = model.to_reservoir(), np.zeros(20)
    for row in waves(500, 2):
        model.step(None, row)
        x = twin.step(x, model.heard, dt=1.0)
        np.testing.assert_allclose(model.reservoir_state, x, rtol=1e-9, atol=1e-12)
    assert np.abs(x).max() > 0.1
    assert twin.liquid is (given is None)


def test_a_given_reservoir_is_stepped_as_the_textbook_says() -> None:
    given = plain(inputs=1)
    model, x = Forecaster([1], dtype="float64", reservoir=given), np.zeros(20)
    leak = np.linspace(0.1, 1.0, 20)
    for row in waves(300):
        model.step(None, row)
        x += leak * (np.tanh(given.W @ x + given.W_in @ model.heard + given.bias) - x)
        np.testing.assert_allclose(model.reservoir_state, x, atol=1e-6)
    np.testing.assert_array_equal(model.connectivity, given.W)


def test_what_is_heard_is_the_value_standardised() -> None:
    model, rows = Forecaster([1], fields=2, units=10), waves(300, 2)
    assert (model.heard_spread == 0.0).all()
    for row in np.nan_to_num(rows, nan=50.0):
        model.step(None, row)
    expected = np.clip((row - model.heard_mean) / model.heard_spread, -5.0, 5.0)
    np.testing.assert_allclose(model.heard, expected)
    np.testing.assert_allclose(model.heard_mean, [50.0, 50.0], atol=3.0)
    np.testing.assert_allclose(model.heard_spread, [6.4, 6.4], atol=2.0)


def test_a_drawn_reservoir_given_is_the_drawn_one() -> None:
    drawn = Forecaster([1, 12], units=20, seed=4).replay(None, waves(300))
    reservoir = Reservoir(20, 1, 4)
    given = Forecaster([1, 12], seed=4, reservoir=reservoir).replay(None, waves(300))
    assert given.yhat.tobytes() == drawn.yhat.tobytes()


def test_the_gains_of_intrinsic_plasticity_are_handed_out_in_the_weights() -> None:
    model, rows = Forecaster([1], units=20, dtype="float64", plasticity=True), waves(400)
    model.replay(None, rows[:-1])
    twin, x = model.to_reservoir(), model.reservoir_state
    assert not np.allclose(twin.W, model.connectivity, rtol=1e-3)
    model.step(None, rows[-1])
    expected = twin.step(x, model.heard, 1.0)
    np.testing.assert_allclose(model.reservoir_state, expected, rtol=1e-9, atol=1e-12)


def test_a_given_reservoir_is_told_as_it_is() -> None:
    given = plain()
    told = Forecaster([1], reservoir=given).reservoir
    assert (told["units"], told["fan_in"], told["rate"]) == (20, 20, [1.0, 1.0])
    assert told["spectral_radius"] == pytest.approx(given.spectral_radius, rel=1e-5)
    assert told["spectral_radius"] == pytest.approx(np.abs(np.linalg.eigvals(given.W)).max())


@pytest.mark.parametrize("given", [plain(30), Reservoir(30, 1, 9, fan_in=3)])
def test_a_saved_model_keeps_its_given_reservoir(tmp_path: Path, given: Reservoir) -> None:
    """Whatever its fan-in and the seed say, and a model of many streams, too."""
    rows, model = waves(300), Forecaster([1, 12], reservoir=given)
    model.replay(None, rows[:200])
    model.save(tmp_path / "model")
    loaded = Forecaster.load(tmp_path / "model")
    other = Forecaster.from_state({**model.settings, "seed": 5}, model.state())
    bank = Bank(2, [1, 12], reservoir=given)
    bank[1] = loaded
    moved = bank.step(np.ones(100, int), None, rows[200:]).yhat
    expected = model.replay(None, rows[200:]).yhat
    assert other.replay(None, rows[200:]).yhat.tobytes() == expected.tobytes() == moved.tobytes()
    np.testing.assert_array_equal(bank[1].connectivity, model.connectivity)
    assert bank[1].reservoir["spectral_radius"] == model.reservoir["spectral_radius"]


@pytest.mark.parametrize(
    ("name", "shape"),
    [("W", (20, 10)), ("W_gate", (20, 21)), ("taps", (20, 21)), ("taps", (20, 0)), ("taps", (20,))],
)
def test_connections_that_do_not_agree_are_refused(name: str, shape: tuple[int, ...]) -> None:
    model = Forecaster([1], reservoir=plain())
    state = model.state()
    state[name] = np.zeros(shape, state[name].dtype)
    with pytest.raises(StateError, match=r"saved array '(taps|W|W_gate)' is"):
        Forecaster.from_state(model.settings, state)


def test_a_reservoir_that_does_not_fit_is_refused() -> None:
    said = "the reservoir hears 2 inputs; this model has fields=1"
    with pytest.raises(ValueError, match=said):
        Forecaster([1], reservoir=plain(20, 2))
    with pytest.raises(ValueError, match=re.escape("too large for float32")):
        Forecaster([1], reservoir=Reservoir.from_arrays([[1e39]], [[1.0]]))


@pytest.mark.parametrize("given", [plain(24, 2), Reservoir(24, 2, 3)], ids=["plain", "liquid"])
def test_a_network_on_a_given_reservoir_has_its_states(given: Reservoir) -> None:
    esn, x = OnlineESN([1, 2], reservoir=given, dtype="float64", lags=2), np.zeros(24)
    rows = np.random.default_rng(0).standard_normal((200, 2))
    for row in rows:
        esn.step(row)
        x = given.step(x, row, 1.0)
        np.testing.assert_allclose(esn.x, x, atol=1e-6)
    again = OnlineESN.from_state(esn.settings, esn.state())
    assert again.settings["units"] == 24
    assert again.replay(rows).tobytes() == esn.replay(rows).tobytes()
    np.testing.assert_array_equal(again.W, given.W)
