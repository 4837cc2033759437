"""OnlineESN: one reservoir and one linear readout, nothing around them; for research."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlnn.errors import StateError
from streamlnn.model import network
from streamlnn.model.compiled import direct
from streamlnn.model.network import COUNTS, ROOM, Network
from streamlnn.model.readout import unit_factor
from streamlnn.model.reservoir import Reservoir, dense
from streamlnn.model.rules import need, need_learning, need_reservoir
from streamlnn.model.saved import same_form
from streamlnn.model.waiting import turns

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class EsnSettings:
    """The arguments of `OnlineESN`; raises `ValueError`, saying which is wrong and why."""

    horizons: tuple[int, ...]
    inputs: int
    targets: tuple[int, ...] | None
    units: int
    spectral_radius: float
    fan_in: int
    tau: tuple[float, float]
    input_scale: tuple[float, float]
    bias: float
    lags: int
    liquid: bool
    forgetting: float
    ridge: float
    seed: int
    dtype: str

    def __post_init__(self) -> None:
        rising = self.horizons and all(b > a for a, b in pairwise((0, *self.horizons)))
        need(bool(rising), "horizons must be rising, at least one, from 1", self.horizons)
        need_reservoir(
            self.units,
            self.inputs,
            spectral_radius=self.spectral_radius,
            fan_in=self.fan_in,
            tau=self.tau,
            input_scale=self.input_scale,
            bias=self.bias,
        )
        need(self.inputs >= 1, "inputs must be 1 or more", self.inputs)
        need(self.lags >= 0, "lags must be 0 or more", self.lags)
        known = len(set(self.outputs)) and all(0 <= t < self.inputs for t in self.outputs)
        need(bool(known), f"targets must lie between 0 and {self.inputs - 1}", self.targets)
        need_learning(self.forgetting, self.ridge)
        need(self.dtype in ("float32", "float64"), "dtype must be float32 or float64", self.dtype)

    @property
    def outputs(self) -> tuple[int, ...]:
        """The inputs to forecast."""
        return tuple(range(self.inputs)) if self.targets is None else self.targets


def initial_network(settings: EsnSettings, reservoir: Reservoir | None = None) -> Network:
    """Return the arrays of a network that has seen nothing, on this reservoir or a drawn one."""
    d, units, dtype = settings.inputs, settings.units, settings.dtype
    return Network(
        horizons=np.array(settings.horizons, np.int64),
        targets=np.array(settings.outputs, np.int64),
        manner=np.array([settings.forgetting, settings.ridge]),
        liquid=np.array([settings.liquid]),
        **_units(reservoir or _drawn(settings), settings.dtype),
        counts=np.zeros(COUNTS, np.int64),
        heard=np.zeros(d, dtype),
        window=np.zeros(settings.lags * d, dtype),
        x=np.zeros(units, dtype),
        **_readout(settings),
        u=np.zeros(d),
    )


def _drawn(settings: EsnSettings) -> Reservoir:
    return Reservoir(
        settings.units,
        settings.inputs,
        settings.seed,
        spectral_radius=settings.spectral_radius,
        fan_in=settings.fan_in,
        tau=settings.tau,
        input_scale=settings.input_scale,
        bias=settings.bias,
        dtype=settings.dtype,
    )


def _units(reservoir: Reservoir, dtype: str) -> dict[str, Array]:
    arrays = reservoir.stepped(dtype)
    links, gate_links = arrays.pop("W"), arrays.pop("W_gate")
    return {
        **arrays,
        "links": links,
        "gate_links": gate_links,
        "half": np.tanh(0.5 / arrays["tau"]),
        "drive": arrays["bias"].copy(),
        "gate": arrays["gate_bias"].copy(),
    }


def _readout(settings: EsnSettings) -> dict[str, Array]:
    n, slots = 1 + settings.lags * settings.inputs + settings.units, settings.horizons[-1] + 1
    H, T, dtype = len(settings.horizons), len(settings.outputs), settings.dtype
    return {
        "U": unit_factor(n, dtype),
        "D": np.full(n, 1.0 / settings.ridge, dtype),
        "weights": np.zeros((H, T, n), dtype),
        "waiting_x": np.zeros((slots, n), dtype),
        "waiting_gain": np.zeros((slots, n), dtype),
        "refresh_gain": np.zeros((turns(slots), n), dtype),
        "yhat": np.zeros((H, T)),
        "said": np.zeros((H, T), dtype),
    }


class OnlineESN:
    """An echo state network that forecasts at several horizons and learns from every record.

    One reservoir of leaky tanh units, and one linear readout of `[1 | lags | units]` by recursive
    least squares, whose covariance all horizons and targets share. Values are taken as they are:
    scale them yourself to a deviation of about 1. There is no more to it: no mixture, no bands.
    For a forecaster that needs no tuning take `Forecaster`.

    horizons: whole numbers of samples, rising. inputs: how many values a record has; `targets`
    the ones to forecast, all unless given. lags: so many of the newest records, this one
    included, are features themselves (the update is fastest where features are a multiple of 4).
    tau, in samples, and input_scale: the ends between which each unit's time constant and input
    scale are drawn, log-uniform. fan_in: how many units each unit hears. liquid: whether what a
    unit hears makes its time go faster or slower. forgetting: the weight kept from sample to
    sample. ridge: the pull towards weights of 0, kept up by a pseudo-observation every 4th sample
    (see `Readout`); 1e-8 is best on noise-free chaos, 1e-2 on noisy sensors. reservoir: one to
    begin with, of `Reservoir.from_arrays` say, instead of a drawn one; `units`, `inputs`, `fan_in`
    and `liquid` are then its own.

    A missing value is NaN: the units hear the last one known, and nothing is learned from it.

    Jaeger 2001 (echo states); Jaeger et al. 2007 (leaky units); Hasani et al. 2021 (liquid time
    constants); Bierman 1977 (the factored update). A step of 300 units with 12 horizons costs some
    10 microseconds, O(features^2); `observe` alone, until the forecast is there, about 2,
    O(features * horizons + units * fan_in).

    >>> esn = OnlineESN(horizons=[1, 5], units=50)
    >>> for u in np.sin(np.arange(1000) / 5):
    ...     yhat = esn.step(u)
    >>> yhat.shape, np.abs(yhat - np.sin(np.array([1000, 1004]) / 5)).max() < 0.01
    ((2,), np.True_)
    """

    def __init__(
        self,
        horizons: Sequence[int],
        *,
        inputs: int = 1,
        targets: Sequence[int] | None = None,
        units: int = 300,
        spectral_radius: float = 0.7,
        fan_in: int = 4,
        tau: tuple[float, float] = (0.3, 10.0),
        input_scale: tuple[float, float] = (0.1, 2.0),
        bias: float = 0.5,
        lags: int = 7,
        liquid: bool = False,
        forgetting: float = 0.9998,
        ridge: float = 1e-4,
        seed: int = 1,
        dtype: str = "float32",
        reservoir: Reservoir | None = None,
    ) -> None:
        if reservoir is not None:
            units, inputs, liquid = reservoir.units, reservoir.inputs, reservoir.liquid
            fan_in = reservoir.taps.shape[1]
        self._settings = EsnSettings(
            tuple(horizons),
            inputs,
            None if targets is None else tuple(targets),
            units,
            spectral_radius,
            fan_in,
            (tau[0], tau[1]),
            (input_scale[0], input_scale[1]),
            bias,
            lags,
            liquid,
            forgetting,
            ridge,
            seed,
            dtype,
        )
        self._bind(initial_network(self._settings, reservoir))

    def step(self, u: ArrayLike) -> Array:
        """Learn from one record and forecast what follows it: (horizons,).

        With several targets it is (horizons, targets). `u` is a float or (inputs,). Raises
        `ValueError` for another shape; never for what the values are.
        """
        value: object = u
        if not (isinstance(value, float) and self._single):
            value = self._taken(u)
        self._step(self._handle, value)
        return self._copied()

    def observe(self, u: ArrayLike) -> Array:
        """Forecast what follows one record, and leave the larger half of the learning for later.

        As `step`, apart from taking the features into the covariance: O(features^2), and of no use
        to this forecast. That is left to `absorb`, or to the next record.
        """
        value: object = u
        if not (isinstance(value, float) and self._single):
            value = self._taken(u)
        self._observe(self._handle, value)
        return self._copied()

    def absorb(self) -> None:
        """Learn what `observe` left; nothing where nothing was left."""
        self._absorb(self._handle)

    def replay(self, u: ArrayLike) -> Array:
        """Step through a recording in compiled code: the same numbers as `step`, bit for bit.

        `u` is (n, inputs), or (n,) for one input; returns (n, horizons) or (n, horizons, targets).
        """
        rows = np.asarray(u, np.float64)
        rows = np.ascontiguousarray(rows[:, None] if rows.ndim == 1 else rows)
        if rows.ndim != 2 or rows.shape[1] != self._u.size:
            raise ValueError(f"u has shape {np.shape(u)}; this network wants (n, {self._u.size})")
        out = np.empty((len(rows), *self._network.yhat.shape))
        self._replay(self._handle, rows, out)
        return out if out.shape[2] > 1 else out[:, :, 0]

    def state(self) -> dict[str, Array]:
        """Return copies of all arrays, by name: with `settings`, all there is to know."""
        self.absorb()
        items = self._network._asdict().items()
        return {name: array.copy() for name, array in items if name not in ROOM}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments this network was made with, as JSON can say them."""
        items = asdict(self._settings).items()
        return {name: list(v) if isinstance(v, tuple) else v for name, v in items}

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Array]) -> OnlineESN:
        """Return the network that `settings` and `state` describe.

        Raises `StateError` naming what differs when arrays are missing, unknown, or of another
        shape or dtype than the settings ask for.
        """
        try:
            esn = cls(**settings)
        except (TypeError, ValueError) as error:
            raise StateError(f"saved settings do not make a network: {error}") from error
        esn._bind(_checked(esn._network, state))
        return esn

    @property
    def W(self) -> Array:  # noqa: N802 - the letter the field uses
        """The recurrent weights, (units, units): row i is what unit i hears."""
        return dense(self._network.taps, self._network.links)

    @property
    def W_in(self) -> Array:  # noqa: N802
        """The input weights, (units, inputs)."""
        return self._network.W_in.T.copy()

    @property
    def x(self) -> Array:
        """The state of the reservoir, (units,)."""
        return self._network.x.copy()

    @property
    def weights(self) -> Array:
        """The weights of the readout, (horizons, features) or (horizons, targets, features)."""
        weights = self._network.weights
        return weights.copy() if weights.shape[1] > 1 else weights[:, 0].copy()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the network's arrays take."""
        return sum(array.nbytes for array in self._network)

    def _taken(self, u: ArrayLike) -> float:
        """Keep a record where compiled code finds it; return its first value."""
        values = np.asarray(u, np.float64)
        if values.shape != self._u.shape and not (self._single and values.shape == ()):
            raise ValueError(f"u has shape {values.shape}; this network wants ({self._u.size},)")
        self._u[:] = values
        return float(self._u[0])

    def _bind(self, arrays: Network) -> None:
        """Keep what each step touches at hand, so that a call costs little over its arithmetic."""
        self._network = arrays
        self._u, self._single = arrays.u, arrays.u.size == 1
        self._copied = (arrays.yhat if arrays.targets.size > 1 else arrays.yhat[:, 0]).copy
        self._handle = handle = network.bind(arrays)
        self._step = direct(network.step, handle, 0.0)
        self._observe = direct(network.observe, handle, 0.0)
        self._absorb = direct(network.absorb, handle)
        self._replay = direct(network.replay, handle, np.empty((1, 1)), np.empty((1, 1, 1)))


def _checked(fresh: Network, arrays: Mapping[str, Array]) -> Network:
    """Return copies of `arrays` as a network, if they fit `fresh`, made from the settings."""
    wanted = {name: array for name, array in fresh._asdict().items() if name not in ROOM}
    if set(arrays) != set(wanted):
        odd = ", ".join(sorted(set(arrays) ^ set(wanted)))
        raise StateError(f"saved state has other arrays than this version: {odd}")
    for name, array in wanted.items():
        same_form(name, arrays[name], array)
    kept = fresh._replace(**{name: np.array(arrays[name], order="C") for name in wanted})
    inside = {
        "taps": (kept.taps >= 0) & (kept.taps < kept.x.size),
        "counts": (kept.counts >= 0) & (kept.counts < 2**62),
        "targets": kept.targets == fresh.targets,
        "horizons": kept.horizons == fresh.horizons,
    }
    for name, sound in inside.items():
        if not sound.all():
            raise StateError(f"saved array {name!r} is not what these settings ask for")
    return kept
