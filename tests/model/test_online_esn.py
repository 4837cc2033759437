"""One reservoir and one readout: the same numbers whichever way it is called, and honest ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from streamlnn import OnlineESN
from streamlnn.errors import StateError
from streamlnn.model.readout import REFRESH_EVERY, Readout

PLAIN: dict[str, Any] = {"horizons": [1, 5, 12], "units": 30}
JOINT: dict[str, Any] = {"horizons": [2], "inputs": 3, "targets": [2, 0], "units": 20, "lags": 0}
LIQUID: dict[str, Any] = {"horizons": [1], "units": 25, "liquid": True, "dtype": "float64"}
ALL = pytest.mark.parametrize("settings", [PLAIN, JOINT, LIQUID])


def waves(settings: dict[str, Any], n: int = 300) -> np.ndarray:
    """Noisy waves with holes, (n, inputs)."""
    random, d = np.random.default_rng(0), settings.get("inputs", 1)
    u = np.sin(np.arange(n)[:, None] / (3.0 + np.arange(d))) + 0.1 * random.normal(size=(n, d))
    u[random.random((n, d)) < 0.03] = np.nan
    return u


def stepped(esn: OnlineESN, u: np.ndarray) -> np.ndarray:
    return np.array([esn.step(row) for row in u])


def same_state(a: OnlineESN, b: OnlineESN) -> bool:
    one, other = a.state(), b.state()
    return all(one[name].tobytes() == other[name].tobytes() for name in one)


@ALL
def test_every_way_to_step_gives_the_same_bits(settings: dict[str, Any]) -> None:
    """Step, observe and absorb, and replay in pieces: forecasts and the state afterwards."""
    u = waves(settings)
    a, b, c = (OnlineESN(**settings) for _ in range(3))
    expected = stepped(a, u)
    parts = [b.replay(u[p]) for p in (slice(0, 7), slice(7, 8), slice(8, None))]
    assert np.concatenate(parts).tobytes() == expected.tobytes()
    for row, yhat in zip(u, expected, strict=True):
        assert c.observe(row).tobytes() == yhat.tobytes()
        if yhat.sum() > 0:
            c.absorb()
    assert same_state(a, b)
    assert same_state(a, c)


def test_a_float_goes_the_way_of_an_array() -> None:
    u = waves(PLAIN)[:, 0]
    a, b = OnlineESN(**PLAIN), OnlineESN(**PLAIN)
    kinds = [float, np.float64, lambda v: [v], np.array]
    mixed = [a.step(kinds[i % 4](v)) for i, v in enumerate(u)]  # type: ignore[operator]
    assert np.array(mixed).tobytes() == b.replay(u).tobytes()


@ALL
def test_no_forecast_depends_on_what_comes_after_it(settings: dict[str, Any]) -> None:
    u = waves(settings)
    later = u.copy()
    later[200:] = 5.0
    before, after = OnlineESN(**settings).replay(u), OnlineESN(**settings).replay(later)
    assert before[:200].tobytes() == after[:200].tobytes()
    assert not np.array_equal(before[200:], after[200:])


@ALL
def test_a_restored_network_goes_on_bit_for_bit(settings: dict[str, Any]) -> None:
    u = waves(settings)
    esn = OnlineESN(**settings)
    esn.replay(u[:150])
    kept = json.loads(json.dumps(esn.settings))
    other = OnlineESN.from_state(kept, esn.state())
    assert esn.settings == other.settings == kept
    assert stepped(esn, u[150:]).tobytes() == other.replay(u[150:]).tobytes()


@pytest.mark.parametrize("forgetting", [0.99, 1.0])
def test_its_weights_are_those_of_readouts_that_learn_late(forgetting: float) -> None:
    """A `Readout` for each horizon, taught by hand: features, targets and refreshes in order."""
    settings = {**PLAIN, "dtype": "float64", "forgetting": forgetting, "ridge": 1e-2, "lags": 2}
    u, esn = waves(settings)[:, 0], OnlineESN(**settings)
    features = np.empty((u.size, 33))
    last, window = 0.0, [0.0, 0.0]
    for t, value in enumerate(u):
        esn.step(value)
        last = value if np.isfinite(value) else last
        window = [last, window[0]]
        features[t] = [1.0, *window, *esn.x]
    for k, h in enumerate(settings["horizons"]):
        readout = Readout(33, forgetting=forgetting, ridge=1e-2)
        for t in range(u.size - h):
            readout.correct(features[t], readout.absorb(features[t]), u[t + h : t + h + 1])
            if t % REFRESH_EVERY == 0:
                readout.relax(*readout.refresh(t // REFRESH_EVERY))
        np.testing.assert_allclose(esn.weights[k], readout.weights[0], rtol=1e-6, atol=1e-9)


def test_its_units_follow_the_equation_of_the_echo_state_network() -> None:
    """x <- (1 - a) x + a tanh(W x + W_in u + b) with a = 1 - exp(-1 / tau)."""
    esn = OnlineESN(**PLAIN, dtype="float64")
    state = esn.state()
    a, x = 1.0 - np.exp(-1.0 / state["tau"]), np.zeros(30)
    for u in (0.5, -1.0, 2.0):
        esn.step(u)
        x = (1.0 - a) * x + a * np.tanh(esn.W @ x + esn.W_in @ [u] + state["bias"])
    np.testing.assert_allclose(esn.x, x, rtol=1e-5, atol=1e-7)


def test_the_settings_shape_the_units() -> None:
    esn = OnlineESN([1], units=80, spectral_radius=0.4, fan_in=7, tau=(2, 5), input_scale=(3, 3))
    assert np.abs(np.linalg.eigvals(esn.W)).max() == pytest.approx(0.4, rel=1e-4)
    assert ((esn.W != 0).sum(axis=1) == 7).all()
    tau = esn.state()["tau"]
    assert 2.0 <= tau.min() < tau.max() <= 5.0
    assert 2.5 < np.abs(esn.W_in).max() <= 3.0
    assert not np.array_equal(esn.W, OnlineESN([1], units=80, seed=2).W)


def test_a_gate_makes_time_go_at_another_pace() -> None:
    u = waves(PLAIN)
    plain, liquid = OnlineESN(**PLAIN), OnlineESN(**PLAIN, liquid=True)
    plain.replay(u)
    liquid.replay(u)
    assert not np.allclose(plain.x, liquid.x)


def test_chaos_is_forecast_far_better_than_persistence() -> None:
    """The logistic map, smoothed: one and two steps ahead, beside the mean change."""
    x, y = 0.3, np.zeros(3000)
    for t in range(1, y.size):
        x = 3.9 * x * (1.0 - x)
        y[t] = 0.8 * y[t - 1] + x
    y = (y - y[:500].mean()) / y[:500].std()
    yhat = OnlineESN([1, 2], units=100).replay(y)
    for k, h in enumerate((1, 2)):
        error = np.abs(y[1000:] - yhat[1000 - h : -h, k]).mean()
        assert error < (0.15, 0.6)[k] * np.abs(np.diff(y[1000:])).mean()


def test_shapes_follow_horizons_and_targets() -> None:
    esn = OnlineESN(**JOINT)
    assert esn.step([1.0, 2.0, 3.0]).shape == (1, 2)
    assert esn.replay(np.zeros((5, 3))).shape == (5, 1, 2)
    assert esn.weights.shape == (1, 2, 21)
    one = OnlineESN([1, 2], inputs=2, targets=[1], units=10)
    assert one.step([1.0, 2.0]).shape == (2,)
    assert one.replay(np.zeros((5, 2))).shape == (5, 2)
    assert one.weights.shape == (2, 1 + 2 * 7 + 10)


def test_what_it_returned_stays_as_it_was() -> None:
    esn = OnlineESN(**PLAIN)
    first, weights = esn.step(1.0), esn.weights
    kept = first.copy(), weights.copy()
    esn.replay(waves(PLAIN))
    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(weights, kept[1])


def test_missing_values_teach_nothing_and_break_nothing() -> None:
    """After nothing but holes the weights are 0; after some holes, all is finite."""
    esn = OnlineESN(**PLAIN)
    assert not esn.replay(np.full(50, np.nan)).any()
    assert not esn.weights.any()
    assert np.isfinite(esn.replay([1.0, np.inf, 2.0, -np.inf] * 20)).all()


def test_a_stuck_sensor_does_not_break_it() -> None:
    """20,000 equal values in float32, then the signal again: it errs as it did before."""
    y = waves(PLAIN, 2000)[:, 0]
    y = np.where(np.isnan(y), 0.0, y)
    esn = OnlineESN([1], units=50)
    errors = []
    for part in (y, np.full(20_000, 0.3), y):
        yhat = esn.replay(part)[:, 0]
        assert np.isfinite(yhat).all()
        errors.append(np.abs(part[1500:] - yhat[1499:-1]).mean())
    assert errors[2] < 1.1 * errors[0]
    assert errors[1] < 1e-3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"horizons": []}, "rising"),
        ({"horizons": [0, 1]}, "rising"),
        ({"horizons": [3, 1]}, "rising"),
        ({"horizons": [1], "units": 0}, "units"),
        ({"horizons": [1], "fan_in": 0}, "fan_in"),
        ({"horizons": [1], "inputs": 0}, "inputs"),
        ({"horizons": [1], "targets": [1]}, "targets"),
        ({"horizons": [1], "targets": []}, "targets"),
        ({"horizons": [1], "lags": -1}, "lags"),
        ({"horizons": [1], "tau": (2.0, 1.0)}, "tau"),
        ({"horizons": [1], "input_scale": (0.0, 1.0)}, "input_scale"),
        ({"horizons": [1], "forgetting": 1.1}, "forgetting"),
        ({"horizons": [1], "ridge": 0.0}, "ridge"),
        ({"horizons": [1], "dtype": "float16"}, "dtype"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        OnlineESN(**arguments)


def test_wrong_shapes_are_refused() -> None:
    esn = OnlineESN(**JOINT)
    for wrong in (1.0, [1.0, 2.0], np.zeros((1, 3))):
        with pytest.raises(ValueError, match=r"wants \(3,\)"):
            esn.step(wrong)
    with pytest.raises(ValueError, match=r"wants \(n, 3\)"):
        esn.replay(np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"wants \(1,\)"):
        OnlineESN(**PLAIN).step([1.0, 2.0])


def test_state_that_does_not_fit_is_refused_by_name() -> None:
    esn = OnlineESN(**PLAIN)
    state, settings = esn.state(), esn.settings
    with pytest.raises(StateError, match="do not make a network"):
        OnlineESN.from_state({**settings, "units": -1}, state)
    with pytest.raises(StateError, match="'taps' is int64"):
        OnlineESN.from_state({**settings, "units": 31}, state)
    with pytest.raises(StateError, match="other arrays"):
        OnlineESN.from_state(settings, {k: v for k, v in state.items() if k != "x"})
    for name, value in (("taps", 30), ("counts", -1), ("horizons", 7)):
        with pytest.raises(StateError, match=f"'{name}' is not what"):
            OnlineESN.from_state(settings, {**state, name: np.full_like(state[name], value)})
