"""The linear map on top of the features: all that is learned, by recursive least squares.

The compiled part is the section "readout" of kernels.py. The forecaster calls that directly, on
its own arrays; `Readout` is the same code with a face, for researchers and tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamlnn.model import kernels

Array = NDArray[Any]


class Readout:
    """Regularised recursive least squares with forgetting; many outputs share one covariance.

    The covariance P = U diag(D) U' is kept in factors (Bierman 1977), `U` as its packed strict
    columns, so that rounding cannot make it indefinite; every `kernels.REFRESH_EVERY` samples one
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
        if self.count % kernels.REFRESH_EVERY == 0:
            self.relax(*self.refresh(self.count // kernels.REFRESH_EVERY))
        return errors

    def absorb(self, x: Array) -> Array:
        """Take `x` into the covariance and return the gain (features,) it earned."""
        gain = np.empty_like(self.D)
        kernels.absorb(self.U, self.D, x.astype(self.D.dtype), self.forgetting, gain)
        return gain

    def correct(self, x: Array, gain: Array, y: Array) -> Array:
        """Learn `y` with the gain of its `x`; return the errors made before; NaN is skipped."""
        x = x.astype(self.D.dtype)
        pairs = zip(self.weights, np.atleast_1d(y), strict=True)
        errors = [np.nan if np.isnan(t) else kernels.correct(w, x, gain, t, 1) for w, t in pairs]
        return np.array(errors)

    def refresh(self, turn: int) -> tuple[int, Array]:
        """Absorb the prior of one feature, the next in turn; return it and its gain."""
        gain, unit = np.empty_like(self.D), turn % self.D.size
        weight = kernels.refresh_weight(self.forgetting, self.ridge, self.D.size)
        kernels.refresh(self.U, self.D, unit, weight, gain)
        return unit, gain

    def relax(self, unit: int, gain: Array) -> None:
        """Pull the weights of all outputs towards the prior with the gain of a refresh."""
        for weights in self.weights:
            kernels.relax(weights, unit, gain)
