"""The fixed random units: a recurrent reservoir that keeps time, and units on a window of lags.

`Reservoir` and `LagUnits` draw them, and are the face for researchers and tests; the forecaster
takes the drawn arrays and calls the compiled functions on them.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from streamlnn.model import given
from streamlnn.model.compiled import fused, inlined
from streamlnn.model.readout import add_scaled
from streamlnn.model.rules import need_reservoir
from streamlnn.model.squash import squash

Array = NDArray[Any]


@fused
def hear_others(x, taps, W, bias, out):
    """Write what every unit hears from others, W x + bias: known before the inputs come."""
    for i in range(x.size):
        total = bias[i]
        for k in range(taps.shape[1]):
            # unsigned, because of a signed index it is asked each time whether it is negative
            total += W[i, k] * x[np.uint64(taps[i, k])]
        out[i] = total


@inlined
def hear_inputs(u, W_in, out):
    """Add what every unit hears from the inputs, W_in' u, with W_in (inputs, units)."""
    for k in range(u.size):
        add_scaled(out, u[k], W_in[k])


@fused
def _open(rate, least, span):
    """Turn tanh(a / 2) into rates between `least` and `least` + `span`: a logistic gate."""
    half = rate.dtype.type(0.5)
    for i in range(rate.size):
        rate[i] = least + span * (half + half * rate[i])


@fused
def _half_leaks(rate, tau, dt):
    for i in range(rate.size):
        rate[i] = rate[i] * dt / (rate.dtype.type(2) * tau[i])


@fused
def follow(x, drive, half):
    """Cover the share 1 - exp(-a) of the way, given tanh(a / 2)."""
    one = x.dtype.type(1)
    for i in range(x.size):
        x[i] += (half[i] + half[i]) / (one + half[i]) * (drive[i] - x[i])


@inlined
def leak(x, drive, rate, tau, dt):
    """Let leaky units follow their drive over dt usual steps: exact, the drive held constant.

    `rate` is how fast time goes for each unit; it is used up.
    """
    _half_leaks(rate, tau, x.dtype.type(dt))
    squash(rate)
    follow(x, drive, rate)


LEAST_RATE, RATE_SPAN = 0.2, 4.0
SPECTRAL_RADIUS = 0.9
ORDINARY = math.atanh(2.0 * (1.0 - LEAST_RATE) / RATE_SPAN - 1.0)
"""The bias of a gate that hears nothing and lets time go as it does: its rate is 1."""


@inlined
def open_gate(rate):
    """Turn what the gate of each unit hears into how fast time goes for it: the liquid part."""
    squash(rate)
    number = rate.dtype.type
    _open(rate, number(LEAST_RATE), number(RATE_SPAN))


class Reservoir:
    """A fixed random recurrent map of leaky tanh units; only a readout on top ever learns.

    Each unit hears `fan_in` others and every input, and follows its drive with a time constant of
    its own: over dt usual steps it covers the share 1 - exp(-r dt / tau) of the way, which is exact
    for any gap while the drive is held constant. The rate r is between 0.2 and 4.2 and depends on
    what the unit hears: time itself is liquid (Hasani et al. 2021). Time constants are log-uniform
    in `tau`. How loud a unit hears the inputs is log-uniform in `input_scale`, so that there are
    units for small signals and for large ones; its bias is uniform within +-`bias`. The recurrent
    weights are scaled to `spectral_radius`, below 1, so that the state forgets where it started
    (echo state property: Jaeger 2001; leaky units: Jaeger et al. 2007).

    Attributes: `W` (units, units) as a dense copy, `W_in` (units, inputs), `bias` (units,), `tau`
    (units,) in usual steps, `W_gate`, `gate_in` and `gate_bias` likewise of what makes time go
    faster or slower; `taps`, `links` and `gate_links` (units, fan_in) are the connections as
    stepped. `from_arrays` makes one of given weights. Raises `ValueError` for settings that are
    none. A step costs O(units * (fan_in + inputs)).

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
        spectral_radius: float = SPECTRAL_RADIUS,
        fan_in: int = 10,
        tau: tuple[float, float] = (0.3, 30.0),
        input_scale: tuple[float, float] = (0.3, 3.0),
        bias: float = 0.2,
        dtype: DTypeLike = "float64",
    ) -> None:
        need_reservoir(
            units,
            inputs,
            spectral_radius=spectral_radius,
            fan_in=fan_in,
            tau=tau,
            input_scale=input_scale,
            bias=bias,
        )
        random = np.random.default_rng([seed, units, inputs])
        fan_in = min(fan_in, units)
        self.taps = np.stack([random.permutation(units)[:fan_in] for _ in range(units)])
        links = random.uniform(-1.0, 1.0, (units, fan_in))
        self.links = (links * spectral_radius / largest_eigenvalue(self.taps, links)).astype(dtype)
        W_in = random.uniform(-1.0, 1.0, (units, inputs)) / np.sqrt(inputs)
        loud = _log_uniform(random, input_scale, units)
        self.W_in = (W_in * loud[:, None]).astype(dtype)
        self.bias = random.uniform(-bias, bias, units).astype(dtype)
        self.tau = _log_uniform(random, tau, units).astype(dtype)
        self.gate_links = (0.25 * random.standard_normal(links.shape)).astype(dtype)
        self.gate_in = (0.25 * random.standard_normal(self.W_in.shape)).astype(dtype)
        self.gate_bias = random.normal(-0.5, 0.25, units).astype(dtype)

    @classmethod
    def from_arrays(
        cls,
        W: Any,
        W_in: Any,
        bias: ArrayLike = 0.0,
        *,
        tau: ArrayLike | None = None,
        leak: ArrayLike | None = None,
        gate: tuple[Any, Any, ArrayLike] | None = None,
        dtype: DTypeLike = "float64",
    ) -> Reservoir:
        """Return the reservoir of these weights, drawn or learned elsewhere.

        W (units, units), row i what unit i hears; W_in (units, inputs); both dense, or sparse as
        scipy has them. bias: a number or (units,). tau, in usual steps, or leak, the share of the
        way covered in one step: a number or (units,); a leak of 1 unless given. gate: W_gate
        (units, units), gate_in (units, inputs) and gate_bias, by which what a unit hears makes its
        time go faster or slower; time goes alike for all unless given.

        Raises `ValueError` for a shape that does not fit, a value that is not finite, in which row
        and column, or a tau or leak out of its range.

        >>> W = np.array([[0.0, 0.5], [-0.5, 0.0]])
        >>> reservoir = Reservoir.from_arrays(W, [[1.0], [2.0]], leak=0.5)
        >>> reservoir.step(np.zeros(2), np.array([0.1]), dt=1.0).round(4)  # tanh(W_in u) / 2
        array([0.0498, 0.0987])
        """
        W = given.square("W", W, dtype)
        n, self = len(W), cls.__new__(cls)
        self.W_in = given.per_input("W_in", W_in, n, dtype)
        self.bias = given.per_unit("bias", bias, n, dtype)
        self.tau = given.time_constants(tau, leak, n, dtype)
        gate = gate or (np.zeros_like(W), np.zeros_like(self.W_in), ORDINARY)
        W_gate, self.gate_in, self.gate_bias = given.gates(gate, W, self.W_in)
        self.taps = given.connections(W, W_gate)
        self.links = np.take_along_axis(W, self.taps, axis=1)
        self.gate_links = np.take_along_axis(W_gate, self.taps, axis=1)
        return self

    @property
    def units(self) -> int:
        """How many units there are."""
        return int(self.tau.size)

    @property
    def inputs(self) -> int:
        """How many inputs each unit hears."""
        return int(self.W_in.shape[1])

    @property
    def liquid(self) -> bool:
        """Whether time goes faster or slower for some unit than it does: whether rates are not 1.

        >>> Reservoir(20, 1).liquid, Reservoir.from_arrays(np.eye(20), np.ones((20, 1))).liquid
        (True, False)
        """
        return is_liquid(self.gate_links, self.gate_in, self.gate_bias)

    @property
    def spectral_radius(self) -> float:
        """The magnitude of the largest eigenvalue of `W`; costs O(units^3)."""
        return largest_eigenvalue(self.taps, self.links)

    @property
    def W(self) -> Array:  # noqa: N802 - the letter the field uses
        """The recurrent weights as a dense matrix (units, units): row i is what unit i hears."""
        return dense(self.taps, self.links)

    @property
    def W_gate(self) -> Array:  # noqa: N802
        """What each unit's gate hears of the others, (units, units), likewise."""
        return dense(self.taps, self.gate_links)

    def stepped(self, dtype: DTypeLike) -> dict[str, Array]:
        """Return copies of the arrays as they are stepped in a dtype, by their names in a `State`.

        Raises `ValueError` where a number is too large for it.
        """
        arrays = {
            "W": self.links,
            "W_in": by_inputs(self.W_in),
            "bias": self.bias,
            "tau": self.tau,
            "W_gate": self.gate_links,
            "gate_in": by_inputs(self.gate_in),
            "gate_bias": self.gate_bias,
        }
        with np.errstate(over="ignore"):
            cast = {name: one.astype(dtype) for name, one in arrays.items()}
        if not all(np.isfinite(one).all() for one in cast.values()):
            raise ValueError(f"the reservoir holds numbers too large for {np.dtype(dtype)}")
        return {"taps": self.taps.astype(np.int64), **cast}

    def step(self, x: ArrayLike, u: ArrayLike, dt: float) -> Array:
        """Return the state dt usual steps after `x` (units,) under the input `u` (inputs,).

        Raises `ValueError` for other shapes, and where time would run backwards.
        """
        new, u = np.array(x, self.tau.dtype), np.asarray(u, self.tau.dtype)
        if new.shape != (self.units,) or u.shape != (self.inputs,) or not dt >= 0.0:
            raise ValueError(
                f"x has shape {new.shape}, u {u.shape}, dt is {dt!r}; ({self.units},), "
                f"({self.inputs},) and 0 or more are wanted"
            )
        drive, rate = np.empty_like(new), np.empty_like(new)
        hear_others(new, self.taps, self.links, self.bias, drive)
        hear_others(new, self.taps, self.gate_links, self.gate_bias, rate)
        hear_inputs(u, by_inputs(self.W_in), drive)
        hear_inputs(u, by_inputs(self.gate_in), rate)
        squash(drive)
        open_gate(rate)
        leak(new, drive, rate, self.tau, dt)
        return new

    def run(self, u: ArrayLike, dt: ArrayLike = 1.0, x: ArrayLike | None = None) -> Array:
        """Return the state after every step of a sequence, (n, units): see `sequence.run`.

        >>> Reservoir(units=50, inputs=1).run(np.sin(np.arange(200) / 5)).shape
        (200, 50)
        """
        from streamlnn.model import sequence  # it takes its loops from here

        return sequence.run(self, u, dt, x)


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


def _log_uniform(random: np.random.Generator, span: tuple[float, float], units: int) -> Array:
    low, high = span
    return np.asarray(np.exp(random.uniform(np.log(low), np.log(high), units)))


def by_inputs(weights: Array) -> Array:
    """Return weights (units, inputs) as (inputs, units), as they are stepped."""
    return np.ascontiguousarray(weights.T)


def dense(taps: Array, links: Array) -> Array:
    """Return connections (units, fan_in) as a matrix (units, units)."""
    W = np.zeros((taps.shape[0], taps.shape[0]), links.dtype)
    np.put_along_axis(W, taps, links, axis=1)
    return W


def is_liquid(gate_links: Array, gate_in: Array, gate_bias: Array) -> bool:
    """Tell whether time goes at another rate than 1 for some unit."""
    ordinary = np.allclose(gate_bias, ORDINARY, rtol=1e-6)
    return bool(gate_links.any() or gate_in.any() or not ordinary)


def largest_eigenvalue(taps: Array, links: Array) -> float:
    """Return the magnitude of the largest eigenvalue of connections (units, fan_in)."""
    return float(np.abs(np.linalg.eigvals(dense(taps, links))).max())
