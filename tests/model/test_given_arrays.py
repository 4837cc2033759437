"""A reservoir of given arrays is stepped as the textbook says."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlnn.model.reservoir import Reservoir

Array = np.ndarray[Any, Any]


def weights(units: int, inputs: int, seed: int, density: float = 0.3) -> tuple[Array, Array, Array]:
    random = np.random.default_rng(seed)
    W = random.standard_normal((units, units)) * (random.random((units, units)) < density)
    return 0.5 * W, random.standard_normal((units, inputs)), random.uniform(-1, 1, units)


@settings(max_examples=25, deadline=None)
@given(
    units=st.integers(1, 12),
    inputs=st.integers(1, 3),
    density=st.floats(0.0, 1.0),
    seed=st.integers(0, 99),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_a_step_is_that_of_the_dense_matrices(
    units: int, inputs: int, density: float, seed: int, dtype: str
) -> None:
    """x + leak (tanh(W x + W_in u + bias) - x): leaks of 1 included, whatever hears whatever."""
    random = np.random.default_rng(seed)
    W, W_in, bias = weights(units, inputs, seed, density)
    leak = np.where(random.random(units) < 0.5, 1.0, random.uniform(0.01, 1.0, units))
    reservoir = Reservoir.from_arrays(W, W_in, bias, leak=leak, dtype=dtype)
    np.testing.assert_array_equal(reservoir.W, W.astype(dtype))
    x, new = np.zeros(units), np.zeros(units, dtype)
    for u in random.standard_normal((20, inputs)):
        x = x + leak * (np.tanh(W @ x + W_in @ u + bias) - x)
        new = reservoir.step(new, u, 1.0)
        assert new.dtype == dtype
        np.testing.assert_allclose(new, x, atol=2e-5 if dtype == "float32" else 3e-6)


@pytest.mark.parametrize("dt", [0.0, 0.3, 1.0, 2.5, 1e6])
def test_a_leak_is_the_share_of_one_step_and_holds_for_any_gap(dt: float) -> None:
    W, W_in, bias = weights(10, 1, 1)
    leak, x, u = np.linspace(0.05, 0.95, 10), np.linspace(-1.0, 1.0, 10), np.array([0.4])
    share = 1.0 - (1.0 - leak) ** dt
    expected = x + share * (np.tanh(W @ x + W_in @ u + bias) - x)
    by_leak = Reservoir.from_arrays(W, W_in, bias, leak=leak)
    by_tau = Reservoir.from_arrays(W, W_in, bias, tau=-1.0 / np.log1p(-leak))
    np.testing.assert_allclose(by_leak.step(x, u, dt), expected, atol=1e-6)
    np.testing.assert_array_equal(by_leak.step(x, u, dt), by_tau.step(x, u, dt))


def test_a_reservoir_and_one_of_its_arrays_are_the_same() -> None:
    """Liquid time, too; only the order in which the connections are summed up differs."""
    drawn = Reservoir(40, 2, seed=3)
    gate = (drawn.W_gate, drawn.gate_in, drawn.gate_bias)
    again = Reservoir.from_arrays(drawn.W, drawn.W_in, drawn.bias, tau=drawn.tau, gate=gate)
    assert (again.units, again.inputs, again.liquid) == (40, 2, True)
    assert again.taps.shape == drawn.taps.shape
    a, b = np.zeros(40), np.zeros(40)
    for u in np.random.default_rng(0).standard_normal((50, 2)):
        a, b = drawn.step(a, u, 0.7), again.step(b, u, 0.7)
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)
    assert np.abs(a).max() > 0.1


def test_a_gate_may_hear_whom_its_unit_does_not() -> None:
    """Both patterns are stepped, and the rate is 0.2 + 4 times the logistic of what it hears."""
    W, W_gate = np.diag([0.5, 0.5, 0.5]), np.roll(np.eye(3), 1, axis=1)
    gate_in, bias = np.array([[0.2], [0.0], [-0.2]]), np.array([-0.5, 0.0, 0.5])
    reservoir = Reservoir.from_arrays(W, np.ones((3, 1)), tau=2.0, gate=(W_gate, gate_in, bias))
    np.testing.assert_array_equal(reservoir.W, W)
    np.testing.assert_array_equal(reservoir.W_gate, W_gate)
    x, u = np.array([0.3, -0.2, 0.9]), np.array([0.6])
    rate = 0.2 + 4.0 / (1.0 + np.exp(-2.0 * (W_gate @ x + gate_in @ u + bias)))
    expected = x + (1.0 - np.exp(-rate / 2.0)) * (np.tanh(W @ x + u) - x)
    np.testing.assert_allclose(reservoir.step(x, u, 1.0), expected, rtol=1e-6)


def test_sparse_matrices_and_columns_are_taken() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    W, W_in, bias = weights(20, 2, 5)
    dense = Reservoir.from_arrays(W, W_in, bias)
    same = Reservoir.from_arrays(
        sparse.csr_array(W), sparse.csr_matrix(W_in), sparse.csr_array(bias[:, None])
    )
    for name in ("W", "W_in", "bias", "tau"):
        np.testing.assert_array_equal(getattr(same, name), getattr(dense, name))


def test_units_that_hear_nobody_keep_their_own() -> None:
    """The spectral radius is then 0, and every unit has a connection of weight 0."""
    alone = Reservoir.from_arrays(np.zeros((3, 3)), np.ones((3, 1)))
    assert (alone.taps.shape, alone.spectral_radius, alone.liquid) == ((3, 1), 0.0, False)
    assert Reservoir(60, 1).spectral_radius == pytest.approx(0.9)


def test_given_arrays_are_copied() -> None:
    W, W_in, bias = weights(5, 1, 1)
    reservoir = Reservoir.from_arrays(W, W_in, bias)
    before = reservoir.W_in.copy()
    W_in[:] = 9.0
    np.testing.assert_array_equal(reservoir.W_in, before)


def broken(place: tuple[int, int], value: float) -> Array:
    W = np.zeros((3, 3))
    W[place] = value
    return W


@pytest.mark.parametrize(
    ("arrays", "more", "said"),
    [
        ((np.ones((3, 2)), np.ones((3, 1))), {}, "W has shape (3, 2); it must be (units, units)"),
        ((np.ones((0, 0)), np.ones((0, 1))), {}, "W has shape (0, 0)"),
        ((np.eye(3), np.ones(3)), {}, "W_in has shape (3,); it must be (3, inputs)"),
        ((np.eye(3), np.ones((1, 3))), {}, "W_in has shape (1, 3); it must be (3, inputs)"),
        ((np.eye(3), np.ones((3, 1)), np.ones(2)), {}, "bias has shape (2,); it must be a number"),
        ((np.eye(3), np.ones((3, 1)), np.nan), {}, "bias must be finite in float64: nan"),
        (
            (broken((1, 2), np.nan), np.ones((3, 1))),
            {},
            "W must be finite in float64: nan in row 1",
        ),
        ((np.eye(3), np.full((3, 1), np.inf)), {}, "W_in must be finite in float64: inf in row 0"),
        (
            (broken((2, 0), 1e300), np.ones((3, 1))),
            {"dtype": "float32"},
            "W must be finite in float32: inf in row 2, column 0",
        ),
        (
            (np.eye(3), np.ones((3, 1))),
            {"leak": [0.5, 0.0, 1.0]},
            "leak must be in (0, 1], not 0 (",
        ),
        ((np.eye(3), np.ones((3, 1))), {"leak": 1.5}, "leak must be in (0, 1], not 1.5 (unit 0)"),
        ((np.eye(3), np.ones((3, 1))), {"tau": -1.0}, "tau must be positive, not -1 (unit 0)"),
        ((np.eye(3), np.ones((3, 1))), {"tau": 1.0, "leak": 1.0}, "give tau or leak, not both"),
        (
            (np.eye(3), np.ones((3, 1))),
            {"gate": (np.eye(3), np.ones((3, 2)), 0.0)},
            "gate_in (3, 2); they must be as W, (3, 3), and W_in, (3, 1)",
        ),
    ],
)
def test_bad_arrays_are_told(arrays: tuple[Any, ...], more: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        Reservoir.from_arrays(*arrays, **more)
