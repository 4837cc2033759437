"""The linear map on top of the features: all that is learned, by recursive least squares.

`Readout` is the face for researchers and tests; the forecaster calls the compiled functions above
it on its own arrays.

The covariance P = U diag(D) U' is kept in factors (Bierman 1977), `U` as its packed strict columns:
column j begins at j (j - 1) / 2. Two columns are taken at a time, so that the gain is read and
written half as often; that is worth a factor of 3 at 250 features.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: D103 - most of the compiled ones are named after the one thing they do
from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamlnn.model.compiled import cached, exact, fused

Array = NDArray[Any]


REFRESH_EVERY = 4
"""Samples from one ridge refresh to the next."""


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


@exact
def copy(a, b):
    for i in range(a.size):
        b[i] = a[i]


@exact
def fill(a, value):
    for i in range(a.size):
        a[i] = value


@fused
def _dots(column, next_column, x):
    f0 = f1 = x.dtype.type(0)
    for i in range(column.size):
        f0 += column[i] * x[i]
        f1 += next_column[i] * x[i]
    return f0, f1


@fused
def _sweep(column, next_column, gain, p0, g0, p1, g1):
    for i in range(column.size):
        u0, u1, g = column[i], next_column[i], gain[i]
        column[i] = u0 + g * p0
        g += u0 * g0
        next_column[i] = u1 + g * p1
        gain[i] = g + u1 * g1


@exact
def _take_pair(U, D, gain, j, f0, f1, alpha, forgetting):
    """Take columns j and j + 1, whose products with x are f0 and f1; return the grown alpha."""
    start = j * (j - 1) // 2
    column, next_column = U[start : start + j], U[start + j : start + 2 * j]
    corner = U[start + 2 * j]
    g0, g1 = D[j] * f0, D[j + 1] * f1
    grown = alpha + f0 * g0
    last = grown + f1 * g1
    p0, p1 = -f0 / alpha, -f1 / grown
    _sweep(column, next_column, gain, p0, g0, p1, g1)
    U[start + 2 * j] = corner + g0 * p1
    gain[j], gain[j + 1] = g0 + corner * g1, g1
    D[j] *= alpha / (grown * forgetting)
    D[j + 1] *= grown / (last * forgetting)
    return last


@exact
def _take_first(D, gain, f, alpha, forgetting):
    """Take column 0, which is empty, where the number of features is odd."""
    gain[0] = D[0] * f
    grown = alpha + f * gain[0]
    D[0] *= alpha / (grown * forgetting)
    return grown


@exact
def _divide(gain, alpha):
    for j in range(gain.size):
        gain[j] /= alpha


@cached
def absorb(U, D, x, forgetting, gain):
    """Take features x into the covariance U D U' and leave the gain they earn in `gain`."""
    lam = D.dtype.type(forgetting)
    alpha, odd = lam, D.size % 2
    if odd:
        alpha = _take_first(D, gain, x[0], alpha, lam)
    for j in range(odd, D.size, 2):
        start = j * (j - 1) // 2
        f0, f1 = _dots(U[start : start + j], U[start + j : start + 2 * j], x)
        f1 += x[j + 1] + U[start + 2 * j] * x[j]
        alpha = _take_pair(U, D, gain, j, f0 + x[j], f1, alpha, lam)
    _divide(gain, alpha)


@exact
def _entry(U, row, column, one):
    """Element of the unit upper triangle: row and column as in U."""
    return one if row == column else U[column * (column - 1) // 2 + row]


@cached
def refresh(U, D, unit, weight, gain):
    """Absorb one pseudo-observation of the prior: weight `unit` is 0, with `weight`."""
    one, zero = D.dtype.type(1), D.dtype.type(0)
    alpha, odd = D.dtype.type(1.0 / weight), D.size % 2
    fill(gain, 0)
    if odd and unit == 0:
        alpha = _take_first(D, gain, one, alpha, one)
    for j in range(odd + max(unit - odd, 0) // 2 * 2, D.size, 2):
        f0 = _entry(U, unit, j, one) if unit <= j else zero
        alpha = _take_pair(U, D, gain, j, f0, _entry(U, unit, j + 1, one), alpha, one)
    _divide(gain, alpha)


@exact
def refresh_weight(forgetting, ridge, features):
    return ridge * (1.0 - forgetting) * features * REFRESH_EVERY


@exact
def variance(U, D, unit):
    """Diagonal element of the covariance U D U'."""
    total = D[unit]
    for j in range(unit + 1, D.size):
        u = U[j * (j - 1) // 2 + unit]
        total += u * u * D[j]
    return total


@cached
def wander(U, D, unit, amount, a):
    """Let weight `unit` walk: add `amount` to its variance (Agee & Turner 1972). `a` is scratch."""
    c = D.dtype.type(amount)
    for i in range(unit):
        a[i] = 0
    a[unit] = 1
    for j in range(unit, -1, -1):
        s = a[j]
        grown = D[j] + c * s * s
        if grown <= 0:
            continue
        start = j * (j - 1) // 2
        beta = c * s / grown
        for i in range(j):
            a[i] -= s * U[start + i]
            U[start + i] += beta * a[i]
        c *= D[j] / grown
        D[j] = grown


@cached
def correct(weights, x, gain, target, repeats):
    """Learn one target with the gain its features earned; return the error made before.

    `repeats` is how many records this one stands for: the gain of an observation of that weight.
    """
    error = weights.dtype.type(target) - dot(weights, x)
    share = gain.dtype.type(1)
    if repeats > 1:
        share = gain.dtype.type(repeats / (1.0 + (repeats - 1) * dot(x, gain)))
    add_scaled(weights, share * error, gain)
    return error


@cached
def relax(weights, unit, gain):
    """Pull the weights towards the prior with the gain of a refresh of `unit`."""
    add_scaled(weights, -weights[unit], gain)


class Readout:
    """Regularised recursive least squares with forgetting; many outputs share one covariance.

    The covariance P = U diag(D) U' is kept in factors (Bierman 1977), `U` as its packed strict
    columns, so that rounding cannot make it indefinite; every `REFRESH_EVERY` samples one
    pseudo-observation of the prior, cycling over the features, keeps it bounded on inputs that
    stopped moving and lets the weights of dead features relax to 0.

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
        self.U = np.zeros(features * (features - 1) // 2, dtype)
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

    def absorb(self, x: Array) -> Array:
        """Take `x` into the covariance and return the gain (features,) it earned."""
        gain = np.empty_like(self.D)
        absorb(self.U, self.D, x.astype(self.D.dtype), self.forgetting, gain)
        return gain

    def correct(self, x: Array, gain: Array, y: Array) -> Array:
        """Learn `y` with the gain of its `x`; return the errors made before; NaN is skipped."""
        x = x.astype(self.D.dtype)
        pairs = zip(self.weights, np.atleast_1d(y), strict=True)
        errors = [np.nan if np.isnan(t) else correct(w, x, gain, t, 1) for w, t in pairs]
        return np.array(errors)

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
