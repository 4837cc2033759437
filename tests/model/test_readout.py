"""The readout is weighted least squares, exactly, whenever its targets come."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn.model.readout import (
    REFRESH_EVERY,
    Readout,
    column_start,
    correct,
    refresh_weight,
)


def _pairs(n: int, features: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    X = random.standard_normal((n, features))
    return X, X @ random.standard_normal(features) + 0.1 * random.standard_normal(n)


def _least_squares(rows: np.ndarray, y: np.ndarray, weight: np.ndarray, ridge: np.ndarray):
    normal = (rows * weight[:, None]).T @ rows + np.diag(ridge)
    return np.linalg.solve(normal, (rows * weight[:, None]).T @ y)


def test_late_targets_still_give_the_weighted_least_squares_solution() -> None:
    """Gains made in time and used 7 records late solve the problem that a direct solver solves."""
    X, y = _pairs(300, 12)
    readout = Readout(12, forgetting=0.98, ridge=0.5)
    gains = []
    for t, x in enumerate(X):
        gains.append(readout.absorb(x))
        if t >= 7:
            readout.correct(X[t - 7], gains[t - 7], y[t - 7 : t - 6])
    n = len(X) - 7
    weight = 0.98 ** np.arange(n - 1, -1, -1)
    direct = _least_squares(X[:n], y[:n], weight, np.full(12, 0.5 * 0.98**n))
    np.testing.assert_allclose(readout.weights[0], direct, rtol=1e-8)


def test_refreshes_are_observations_of_the_prior_in_the_same_problem() -> None:
    """With refreshes the weights solve the problem that has one pseudo-row for each of them."""
    X, y = _pairs(200, 5, seed=1)
    readout = Readout(5, forgetting=0.95, ridge=0.3)
    for x, target in zip(X, y, strict=True):
        readout.learn(x, np.array([target]))
    times = np.arange(REFRESH_EVERY, 201, REFRESH_EVERY)
    units = np.eye(5)[(times // REFRESH_EVERY) % 5]
    strength = refresh_weight(0.95, 0.3, 5) * 0.95 ** (200 - times)
    rows, targets = np.concatenate([X, units]), np.concatenate([y, np.zeros(len(units))])
    weight = np.concatenate([0.95 ** np.arange(199, -1, -1), strength])
    direct = _least_squares(rows, targets, weight, np.full(5, 0.3 * 0.95**200))
    np.testing.assert_allclose(readout.weights[0], direct, rtol=1e-8)


@pytest.mark.parametrize("features", [3, 12, 30])
def test_it_goes_on_from_least_squares_over_the_past(features: int) -> None:
    """Solved at once up to the middle and learned from there: one problem to the end."""
    X, y = _pairs(200, features)
    precision = X[:100].T @ X[:100] + 0.5 * np.eye(features)
    readout = Readout(features, forgetting=0.98, ridge=0.5)
    readout.stand(np.linalg.solve(precision, X[:100].T @ y[:100])[None], precision)
    for x, target in zip(X[100:], y[100:], strict=True):
        readout.correct(x, readout.absorb(x), np.array([target]))
    weight = 0.98 ** np.append(np.full(100, 99.0 + 1.0), np.arange(99, -1, -1))
    direct = _least_squares(X, y, weight, np.full(features, 0.5 * 0.98**100))
    np.testing.assert_allclose(readout.weights[0], direct, rtol=1e-7)


def test_it_cannot_go_on_from_what_is_no_precision() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        Readout(2).stand(np.zeros((1, 2)), -np.eye(2))


def test_learning_returns_the_error_made_before_it() -> None:
    """The returned error is that of the forecast one could have made, not of a later one."""
    X, y = _pairs(50, 4)
    readout = Readout(4)
    for x, target in zip(X, y, strict=True):
        foreseen = readout.predict(x)[0]
        assert readout.learn(x, np.array([target]))[0] == pytest.approx(target - foreseen)


def test_a_missing_target_leaves_the_weights_alone_and_the_covariance_going() -> None:
    """NaN teaches nothing, but its features are absorbed."""
    X, y = _pairs(20, 4)
    readout = Readout(4)
    for x, target in zip(X, y, strict=True):
        readout.learn(x, np.array([target]))
    weights, D = readout.weights.copy(), readout.D.copy()
    assert np.isnan(readout.learn(X[0] + 1.0, np.array([np.nan]))[0])
    np.testing.assert_array_equal(readout.weights, weights)
    assert not np.array_equal(readout.D, D)


def test_a_record_that_stands_for_many_is_learned_as_that_many() -> None:
    """One correction with `repeats` 8 moves the prediction as an observation of weight 8 does."""
    X, y = _pairs(40, 3)
    single = Readout(3, forgetting=1.0)
    for x, target in zip(X, y, strict=True):
        single.learn(x, np.array([target]))
    P_before, W = _covariance(single), single.weights.copy()
    assert np.isfinite(P_before).all()
    x, target = np.array([1.0, -2.0, 0.5]), 3.0
    gain = single.absorb(x)
    correct(single.weights[0], x, gain, target - W[0] @ x, 8)
    heavy = 8.0 * P_before @ x / (1.0 + 8.0 * x @ P_before @ x)
    np.testing.assert_allclose(single.weights[0], W[0] + heavy * (target - W[0] @ x), rtol=1e-9)


def _covariance(readout: Readout) -> np.ndarray:
    n = readout.D.size
    U = np.zeros((n, n))
    for j in range(n):
        U[: j + 1, j] = readout.U[column_start(j) :][: j + 1]
    return U @ np.diag(readout.D) @ U.T


@pytest.mark.parametrize("forgetting", [0.998, 0.9995])
def test_a_stuck_input_does_not_wind_the_covariance_up(forgetting: float) -> None:
    """After 100,000 constant inputs in float32 the covariance is bounded and learning goes on."""
    X, y = _pairs(3000, 40)
    readout = Readout(40, forgetting=forgetting, ridge=0.1, dtype="float32")
    _learn_all(readout, X, y)
    stuck = np.ones(40)
    for _ in range(100_000):
        gain = readout.absorb(stuck)
        readout.count += 1
        if readout.count % REFRESH_EVERY == 0:
            readout.relax(*readout.refresh(readout.count // REFRESH_EVERY))
    assert np.isfinite(gain).all()
    assert 0.0 <= readout.D.min() <= readout.D.max() <= 1.2 / 0.1 / forgetting**160
    errors = _learn_all(readout, X, y)
    assert np.abs(errors[-1000:]).mean() < 0.12


def _learn_all(readout: Readout, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.array([readout.learn(x, y[t : t + 1])[0] for t, x in enumerate(X)])


def test_float32_stays_near_float64() -> None:
    """Ten thousand correlated records give the same errors in both precisions, to 1 %."""
    random = np.random.default_rng(3)
    y = np.cumsum(random.standard_normal(10_030)) * 0.1
    X = np.lib.stride_tricks.sliding_window_view(y, 30)[:-1]
    errors = [
        np.abs(_learn_all(Readout(30, dtype=dtype), X, y[30:])[1000:]).mean()
        for dtype in ("float32", "float64")
    ]
    assert errors[0] == pytest.approx(errors[1], rel=0.01)
