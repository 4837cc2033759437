"""The linear map on top of the features: all that is learned, by recursive least squares.

`Readout` is the face for researchers and tests; the forecaster calls the compiled functions above
it on its own arrays.

The covariance P = U diag(D) U' is kept in factors (Bierman 1977). `U`, unit upper triangular, is
kept by columns (`unit_factor`), each as high as the diagonal reaches, rounded up to `BLOCK` rows;
the ones on the diagonal and the zeros below are kept, too. So loops run over whole vectors with no
corner to mind. Four columns are taken at a time, and the gain is read and written a quarter as
often.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: D103 - most of the compiled ones are named after the one thing they do
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamlnn.model.compiled import cached, exact, fused, inlined

Array = NDArray[Any]


REFRESH_EVERY = 4
"""Samples from one ridge refresh to the next."""

BLOCK = 8
"""The height of a column of U is a multiple of so many rows."""


@fused
def dot(a, b):
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@fused
def add_scaled(y, a, x):
    for i in range(y.size):
        y[i] += a * x[i]


@inlined
def copy(a, b):
    for i in range(a.size):
        b[i] = a[i]


@inlined
def fill(a, value):
    for i in range(a.size):
        a[i] = value


@inlined
def column_start(j):
    """Where column j begins in U: before it come whole blocks of columns as high as their last."""
    block = j // BLOCK
    return BLOCK * (block + 1) * (j % BLOCK + BLOCK // 2 * block)


@inlined
def _four_columns(U, j, rows):
    start, step = column_start(j), BLOCK * (j // BLOCK + 1)
    second, third, fourth = start + step, start + 2 * step, start + 3 * step
    return (
        U[start : start + rows],
        U[second : second + rows],
        U[third : third + rows],
        U[fourth : fourth + rows],
    )


@inlined
def _rows(D, j):
    """How many rows of column j, and of three behind it, may differ from 0."""
    return min(BLOCK * (j // BLOCK + 1), D.size)


@fused
def _four_dots(columns, x):
    a, b, c, d = columns
    f0 = f1 = f2 = f3 = x.dtype.type(0)
    for i in range(a.size):
        f0 += a[i] * x[i]
        f1 += b[i] * x[i]
        f2 += c[i] * x[i]
        f3 += d[i] * x[i]
    return f0, f1, f2, f3


@fused
def _sweep(column, gain, p, g):
    for i in range(column.size):
        u = column[i]
        column[i] = u + gain[i] * p
        gain[i] += u * g


@fused
def _sweep_four(columns, gain, p, g):
    a, b, c, d = columns
    (p0, p1, p2, p3), (g0, g1, g2, g3) = p, g
    for i in range(a.size):
        u0, u1, u2, u3, k = a[i], b[i], c[i], d[i], gain[i]
        a[i] = u0 + k * p0
        k += u0 * g0
        b[i] = u1 + k * p1
        k += u1 * g1
        c[i] = u2 + k * p2
        k += u2 * g2
        d[i] = u3 + k * p3
        gain[i] = k + u3 * g3


@inlined
def _take(column, D, gain, j, f, alpha, forgetting):
    """Take one column, whose product with x is f; return the grown alpha."""
    g = D[j] * f
    grown = alpha + f * g
    _sweep(column, gain, -f / alpha, g)
    D[j] *= alpha / (grown * forgetting)
    return grown


@inlined
def _take_four(columns, D, gain, f, alpha, forgetting):
    """Take four columns, whose products with x are f; D is theirs; return the grown alpha."""
    f0, f1, f2, f3 = f
    g0, g1, g2, g3 = D[0] * f0, D[1] * f1, D[2] * f2, D[3] * f3
    a1 = alpha + f0 * g0
    a2 = a1 + f1 * g1
    a3 = a2 + f2 * g2
    a4 = a3 + f3 * g3
    p = -f0 / alpha, -f1 / a1, -f2 / a2, -f3 / a3
    _sweep_four(columns, gain, p, (g0, g1, g2, g3))
    D[0] *= alpha / (a1 * forgetting)
    D[1] *= a1 / (a2 * forgetting)
    D[2] *= a2 / (a3 * forgetting)
    D[3] *= a3 / (a4 * forgetting)
    return a4


@inlined
def _divide(gain, alpha):
    for j in range(gain.size):
        gain[j] /= alpha


@cached(forceinline=True, _nrt=False)
def absorb(U, D, x, forgetting, gain):
    """Take features x into the covariance U D U' and leave the gain they earn in `gain`."""
    lam, fours = D.dtype.type(forgetting), D.size - D.size % 4
    alpha = lam
    fill(gain, 0)
    for j in range(0, fours, 4):
        columns = _four_columns(U, j, _rows(D, j))
        f = _four_dots(columns, x)
        alpha = _take_four(columns, D[j : j + 4], gain, f, alpha, lam)
    for j in range(fours, D.size):
        column = U[column_start(j) :][: D.size]
        alpha = _take(column, D, gain, j, dot(column, x), alpha, lam)
    _divide(gain, alpha)


@cached(forceinline=True, _nrt=False)
def refresh(U, D, unit, weight, gain):
    """Absorb one pseudo-observation of the prior: weight `unit` is 0, with `weight`."""
    fill(gain, 0)
    if weight == 0.0:
        return
    one, fours = D.dtype.type(1), D.size - D.size % 4
    alpha = D.dtype.type(1.0 / weight)
    for j in range(unit - unit % 4, fours, 4):
        a, b, c, d = _four_columns(U, j, _rows(D, j))
        f = a[unit], b[unit], c[unit], d[unit]
        alpha = _take_four((a, b, c, d), D[j : j + 4], gain, f, alpha, one)
    for j in range(max(unit, fours), D.size):
        column = U[column_start(j) :][: D.size]
        alpha = _take(column, D, gain, j, column[unit], alpha, one)
    _divide(gain, alpha)


TINY = 1e-20
"""What is smaller has faded to nothing. Left to fade on it would become a denormal number, and with
those a record takes three times as long: a sensor that stands still must not cost more."""


@fused
def drop_tiny(a):
    """Set what has faded to nothing to 0."""
    zero, tiny = a.dtype.type(0), a.dtype.type(TINY)
    for i in range(a.size):
        a[i] = a[i] if abs(a[i]) > tiny else zero


@exact
def drop_tiny_column(U, j):
    """Set what has faded to nothing in column j, above the diagonal, to 0."""
    drop_tiny(U[column_start(j) :][:j])


@exact
def begin(U, D, ridge):
    """Return the factors to what they are before the first record."""
    fill(U, 0)
    for j in range(D.size):
        U[column_start(j) + j] = 1
        D[j] = 1.0 / ridge


@exact
def refresh_weight(forgetting, ridge, features):
    return ridge * (1.0 - forgetting) * features * REFRESH_EVERY


@inlined
def correct(weights, x, gain, error, repeats):
    """Learn from the error that the weights make at x, with the gain that x earned.

    `repeats` is how many records this one stands for: the gain of an observation of that weight.
    """
    share = gain.dtype.type(1)
    if repeats > 1:
        share = gain.dtype.type(repeats / (1.0 + (repeats - 1) * dot(x, gain)))
    add_scaled(weights, share * gain.dtype.type(error), gain)


@inlined
def relax(weights, unit, gain):
    """Pull the weights towards the prior with the gain of a refresh of `unit`."""
    add_scaled(weights, -weights[unit], gain)


def unit_factor(features: int, dtype: DTypeLike) -> Array:
    """Return the identity as the U of so many features: (features^2 / 2 or somewhat more,)."""
    start = column_start.py_func  # compiling it would take longer than all calls
    U = np.zeros(start(features), dtype)
    for j in range(features):
        U[start(j) + j] = 1
    return U


class Readout:
    """Regularised recursive least squares with forgetting; many outputs share one covariance.

    The covariance P = U diag(D) U' is kept in factors (Bierman 1977), so that rounding cannot make
    it indefinite; every `REFRESH_EVERY` samples one pseudo-observation of the prior, cycling over
    the features, keeps it bounded on inputs that stopped moving and lets the weights of dead
    features relax to 0.

    A gain depends on the features alone. So `absorb` can run when the features are seen and
    `correct` when their target comes, however much later: every output is then exactly the
    weighted least squares solution over the pairs it has seen (tests compare it with a direct
    solve). Refreshes must be applied in the same order; `learn` does all three for a target that
    is there at once.

    Attributes: `weights` (outputs, features). `absorb` costs O(features^2), the rest O(features)
    for each output.

    >>> readout = Readout(features=2)
    >>> for _ in range(100):
    ...     for x in (np.array([1.0, 0.0]), np.array([1.0, 1.0])):
    ...         error = readout.learn(x, np.array([3.0 + 2.0 * x[1]]))
    >>> readout.predict(np.array([1.0, 10.0])).round(1)
    array([23.])
    """

    def __init__(
        self,
        features: int,
        outputs: int = 1,
        *,
        forgetting: float = 0.9995,
        ridge: float = 0.01,
        dtype: DTypeLike = "float64",
    ) -> None:
        self.forgetting, self.ridge = forgetting, ridge
        self.U = unit_factor(features, dtype)
        self.D = np.full(features, 1.0 / ridge, dtype)
        self.weights = np.zeros((outputs, features), dtype)
        self.count = 0

    def predict(self, x: Array) -> Array:
        """Return the outputs (outputs,) for the features `x` (features,)."""
        return np.asarray(self.weights @ x.astype(self.D.dtype))

    def learn(self, x: Array, y: Array) -> Array:
        """Learn that `x` goes with `y` (outputs,); return the errors made *before* learning."""
        gain = self.absorb(x)
        errors = self.correct(x, gain, y)
        self.count += 1
        if self.count % REFRESH_EVERY == 0:
            self.relax(*self.refresh(self.count // REFRESH_EVERY))
        return errors

    def stand(self, weights: Array, precision: Array) -> None:
        """Go on from least squares over past samples, whose forgetting counts from now.

        weights (outputs, features); precision (features, features), F'F + ridge I of their
        features F. Raises `numpy.linalg.LinAlgError` for one that is not positive definite. Costs
        O(features^3).
        """
        # precision = L L', so P = L^-T L^-1, and L^-T is upper triangular
        root = np.linalg.inv(np.linalg.cholesky(np.asarray(precision, np.float64))).T
        diagonal = np.diagonal(root)
        self.D[...], unit, start = diagonal**2, root / diagonal, column_start.py_func
        for j in range(self.D.size):
            self.U[start(j) : start(j) + j] = unit[:j, j]
        self.weights[...] = weights

    def absorb(self, x: Array) -> Array:
        """Take `x` into the covariance and return the gain (features,) it earned."""
        gain = np.empty_like(self.D)
        absorb(self.U, self.D, x.astype(self.D.dtype), self.forgetting, gain)
        return gain

    def correct(self, x: Array, gain: Array, y: Array) -> Array:
        """Learn `y` with the gain of its `x`; return the errors made before; NaN is skipped."""
        x = x.astype(self.D.dtype)
        errors = np.atleast_1d(y) - self.predict(x)
        for weights, error in zip(self.weights, errors, strict=True):
            if not np.isnan(error):
                correct(weights, x, gain, error, 1)
        return np.asarray(errors)

    def refresh(self, turn: int) -> tuple[int, Array]:
        """Absorb the prior of one feature, the next in turn; return it and its gain."""
        gain, unit = np.empty_like(self.D), turn % self.D.size
        weight = refresh_weight(self.forgetting, self.ridge, self.D.size)
        refresh(self.U, self.D, unit, weight, gain)
        return unit, gain

    def relax(self, unit: int, gain: Array) -> None:
        """Pull the weights of all outputs towards the prior with the gain of a refresh."""
        for weights in self.weights:
            relax(weights, unit, gain)
