"""The fixed random units: a recurrent reservoir that keeps time, and units on a window of lags.

Here the units are drawn; the compiled part, what they make of a record, is the section "features"
of kernels.py. The forecaster takes the drawn arrays and steps them in there; `Reservoir.step` is
the same code with a face, for researchers and tests.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from streamlnn.model import kernels

Array = NDArray[Any]


class Reservoir:
    """A fixed random recurrent map of leaky tanh units; only a readout on top ever learns.

    Each unit hears `fan_in` others and every input, and follows its drive with a time constant of
    its own: over dt usual steps it covers the share 1 - exp(-dt / tau) of the way, which is exact
    for any gap while the drive is held constant. The recurrent weights are scaled to
    `spectral_radius`, below 1, so that the state forgets where it started (echo state property:
    Jaeger 2001; leaky units: Jaeger et al. 2007; the leak over elapsed time is the liquid part).

    Attributes: `W` (units, units) as a dense copy, `W_in` (units, inputs), `bias` (units,), `tau`
    (units,) in usual steps; `taps` and `links` (units, fan_in) are the connections as stepped.
    A step costs O(units * (fan_in + inputs)).

    >>> reservoir = Reservoir(units=50, inputs=1, seed=1)
    >>> x = reservoir.step(np.zeros(50), np.array([0.3]), dt=1.0)
    >>> x.shape
    (50,)
    """

    def __init__(
        self,
        units: int,
        inputs: int,
        seed: int = 1,
        *,
        spectral_radius: float = 0.9,
        fan_in: int = 10,
        dtype: DTypeLike = "float64",
    ) -> None:
        random = np.random.default_rng([seed, units, inputs])
        fan_in = min(fan_in, units)
        self.taps = np.stack([random.permutation(units)[:fan_in] for _ in range(units)])
        links = random.uniform(-1.0, 1.0, (units, fan_in))
        self.links = (links * spectral_radius / _radius(self.taps, links)).astype(dtype)
        self.W_in = (random.uniform(-1.0, 1.0, (units, inputs)) / np.sqrt(inputs)).astype(dtype)
        self.bias = random.uniform(-0.2, 0.2, units).astype(dtype)
        self.tau = np.exp(random.uniform(np.log(0.3), np.log(30.0), units)).astype(dtype)

    @property
    def W(self) -> Array:  # noqa: N802 - the letter the field uses
        """The recurrent weights as a dense matrix (units, units): row i is what unit i hears."""
        return _dense(self.taps, self.links)

    def step(self, x: Array, u: Array, dt: float) -> Array:
        """Return the state dt usual steps after `x` (units,) under the input `u` (inputs,)."""
        new, drive = x.astype(self.tau.dtype), np.empty_like(self.tau)
        u = np.asarray(u, self.tau.dtype)
        kernels.reservoir_drive(new, u, self.taps, self.links, self.W_in, self.bias, drive)
        kernels.leak(new, drive, self.tau, dt)
        return new


class LagUnits:
    """Fixed random tanh units on a window of standardised past values; no memory of their own.

    `V` (units, inputs) has rows of unit length on average, `bias` (units,) spreads their bends
    (an extreme learning machine: Huang et al. 2006). They win on chaos where the recurrent half
    wins on drift; together they beat either at the same size.
    """

    def __init__(
        self, units: int, inputs: int, seed: int = 1, *, dtype: DTypeLike = "float64"
    ) -> None:
        random = np.random.default_rng([seed, units, inputs, 1])
        self.V = (random.standard_normal((units, inputs)) / np.sqrt(inputs)).astype(dtype)
        self.bias = random.uniform(-1.0, 1.0, units).astype(dtype)


def _dense(taps: Array, links: Array) -> Array:
    W = np.zeros((taps.shape[0], taps.shape[0]), links.dtype)
    np.put_along_axis(W, taps, links, axis=1)
    return W


def _radius(taps: Array, links: Array) -> float:
    return float(np.abs(np.linalg.eigvals(_dense(taps, links))).max())
