"""The reservoir forgets where it started and keeps time over any gap."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.model.reservoir import LagUnits, Reservoir, leak
from streamlnn.model.scaling import LAGS, SETTLED_MEAN, SETTLED_SPREAD


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_two_initial_states_converge_under_the_same_input(seed: int) -> None:
    """The echo state property: what came long ago no longer matters."""
    reservoir = Reservoir(100, 2, seed)
    inputs = np.random.default_rng(seed).standard_normal((1000, 2))
    a, b = np.ones(100), -np.ones(100)
    for u in inputs:
        a, b = reservoir.step(a, u, 1.0), reservoir.step(b, u, 1.0)
    assert np.abs(a - b).max() < 1e-6
    assert np.abs(a).max() > 0.1


def test_a_step_is_pure() -> None:
    """Stepping changes neither the state nor the input it was given."""
    reservoir = Reservoir(20, 1)
    x, u = np.full(20, 0.5), np.array([0.1])
    first, second = reservoir.step(x, u, 1.0), reservoir.step(x, u, 1.0)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, np.full(20, 0.5))


def test_the_leak_is_exact_over_any_gap() -> None:
    """With the drive held constant, one step of 7 equals seven steps of 1."""
    random = np.random.default_rng(0)
    drive, tau = random.standard_normal(30), np.linspace(0.3, 30.0, 30)
    whole, parts = np.zeros(30), np.zeros(30)
    leak(whole, drive, np.ones(30), tau, 7.0)
    for _ in range(7):
        leak(parts, drive, np.ones(30), tau, 1.0)
    np.testing.assert_allclose(whole, parts, rtol=1e-6)


def test_a_long_gap_brings_every_unit_to_its_drive() -> None:
    """After a gap much longer than every time constant nothing is left of the state before."""
    reservoir = Reservoir(50, 1)
    u = np.array([0.4])
    x = np.linspace(-1.0, 1.0, 50)
    expected = np.tanh(reservoir.W @ x + reservoir.W_in @ u + reservoir.bias)
    np.testing.assert_allclose(reservoir.step(x, u, 1e5), expected, rtol=1e-5)


def test_the_recurrent_weights_have_the_asked_spectral_radius() -> None:
    """The largest eigenvalue has magnitude 0.9, and every unit hears ten others."""
    reservoir = Reservoir(100, 1)
    assert np.abs(np.linalg.eigvals(reservoir.W)).max() == pytest.approx(0.9)
    assert ((reservoir.W != 0).sum(axis=1) == 10).all()


def test_the_seed_alone_decides_the_weights() -> None:
    """Equal seeds give equal units, other seeds others."""
    same = Reservoir(30, 1, 5).W, Reservoir(30, 1, 5).W
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], Reservoir(30, 1, 6).W)
    np.testing.assert_array_equal(LagUnits(30, 24, 5).V, LagUnits(30, 24, 5).V)


def test_the_units_of_a_forecaster_hear_what_has_come() -> None:
    """What they hear is summed up ahead; it is as if it were not, through gaps and new levels."""
    model = Forecaster([1], units=20, dtype="float64")
    reservoir, lag_units = Reservoir(20, 1), LagUnits(20, LAGS)
    y = np.random.default_rng(0).standard_normal(400) + np.repeat([0.0, 90.0], 200)
    y[[0, 1, 90, 91, 200]] = np.nan
    x = np.zeros(20)
    for value in y:
        model.step(None, value)
        state = model.state()
        scale, history = state["scales"][0], state["history"][0]
        spread = scale[SETTLED_SPREAD] or np.inf
        heard = np.clip((history - scale[SETTLED_MEAN]) / spread, -5.0, 5.0)
        x = reservoir.step(x, heard[:1], 1.0)
        on_lags = np.tanh(lag_units.V @ heard + lag_units.bias)
        np.testing.assert_allclose(state["features"][-40:-20], on_lags, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(state["features"][-20:], x, rtol=1e-6, atol=1e-9)
