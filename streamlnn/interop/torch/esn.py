"""ESN: an echo state network as a torch module; the reservoir is fixed, the readout learns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamlnn.interop.torch.drawing import Span, drawn
from streamlnn.interop.torch.learning import (
    LEARNED,
    aligned,
    learn,
    least_squares,
    put_into,
    restore,
    weights_of,
)
from streamlnn.interop.torch.sequences import as_steps, begun, elapsed, need_dtype
from streamlnn.interop.torch.states import Units, dense, states
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.readout import Readout
from streamlnn.model.reservoir import Reservoir
from streamlnn.model.rules import need, need_learning

CHUNK = 512
"""Steps whose states are held at once where only the last one is asked for."""


class ESN(nn.Module):
    """An echo state network: a fixed random reservoir of leaky tanh units, and a linear readout.

    `model(x)` with x (batch, time, input_size) gives (batch, output_size) from the last state, or
    from every state with `every_step`. Only `W_out`, an `nn.Linear`, is trainable: in closed form
    (`fit`), online (`partial_fit`), or by any optimiser. Scale the inputs to a deviation of about
    1 yourself, and where persistence is hard to beat let it learn the change from the last value.
    `state_dict` holds all that was drawn and learned; washout, forgetting and ridge are as the
    network that takes it was made.

    spectral_radius: of the recurrent weights; below 1 the state forgets where it began. fan_in: how
    many units each unit hears. leak: the share of the way to its drive that a unit covers in a
    step, in (0, 1], all of it unless given; or tau, its time constant in steps: a number, or the
    ends between which each unit's is drawn, log-uniform. input_scale: how loud the inputs are
    heard, a number or likewise two ends. bias: each unit's is uniform within +-bias. liquid:
    whether what a unit hears makes its time go faster or slower (Hasani et al. 2021). washout: so
    many first steps of a sequence that begins at rest are not learned from. forgetting: the weight
    that `partial_fit` keeps of the past from step to step. ridge: the pull of the readout towards
    0. The same seed draws the same weights, on every device, whatever torch's generator is at; a
    readout begins at 0.

    Buffers: `taps` and `links` (units, fan_in), which unit each connection comes from and how
    strong it is, `W_in` (units, inputs), `bias`, `tau` (units,), and with `liquid` those of the
    gates. `W_res` is the connections as a matrix (units, units), row i what unit i hears.

    A step costs O(units * (fan_in + inputs)) on a CPU, in the daemon's compiled loops, where fan_in
    is no more than 64 or an eighth of the units; else, on other devices, and where a gradient has
    to reach the inputs, O(units^2) in torch. Jaeger 2001 (echo states); Jaeger et al. 2007 (leaky
    units).

    >>> x = torch.sin(torch.arange(1000.0) / 5).reshape(1, -1, 1)
    >>> model = ESN(1, 100, 1, tau=(0.5, 10.0), washout=100).fit(x[:, :-1], x[:, 1:])
    >>> y, state = model(x[:, :900], return_state=True)
    >>> bool((y - x[:, 900]).abs() < 1e-3)
    True
    >>> y = model(x[:, 900:950], state)  # goes on from there
    >>> bool((y - x[:, 950]).abs() < 1e-3)
    True
    """

    taps: Tensor
    links: Tensor
    W_in: Tensor
    bias: Tensor
    tau: Tensor
    gate_links: Tensor | None
    gate_in: Tensor | None
    gate_bias: Tensor | None
    location: Tensor | None
    scale: Tensor | None
    _readout: Readout | None

    def __init__(
        self,
        input_size: int,
        reservoir_size: int,
        output_size: int,
        *,
        spectral_radius: float = 0.9,
        fan_in: int = 10,
        leak: float | None = None,
        tau: float | Span | None = None,
        input_scale: float | Span = 1.0,
        bias: float = 0.2,
        liquid: bool = False,
        washout: int = 0,
        forgetting: float = 0.9995,
        ridge: float = 1e-4,
        seed: int = 1,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        need(input_size >= 1, "input_size must be 1 or more", input_size)
        need(reservoir_size >= 1, "reservoir_size must be 1 or more", reservoir_size)
        reservoir = drawn(
            reservoir_size,
            input_size,
            seed,
            leak=leak,
            tau=tau,
            input_scale=input_scale,
            spectral_radius=spectral_radius,
            fan_in=fan_in,
            bias=bias,
        )
        self._furnish(reservoir, output_size, liquid, (washout, forgetting, ridge), device, dtype)

    @classmethod
    def from_reservoir(
        cls,
        reservoir: Reservoir,
        output_size: int,
        *,
        washout: int = 0,
        forgetting: float = 0.9995,
        ridge: float = 1e-4,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ESN:
        """Return a network with the units of `reservoir`, which may be made of any arrays.

        See `Reservoir.from_arrays`. A `W_out` that has learned nothing is put on top.

        >>> W, W_in = np.diag([0.5, -0.5]), np.ones((2, 1))
        >>> model = ESN.from_reservoir(Reservoir.from_arrays(W, W_in), output_size=1)
        >>> model.states(torch.ones(1, 2, 1))[0, -1]
        tensor([0.8811, 0.5506])
        """
        self = cls.__new__(cls)
        nn.Module.__init__(self)
        learned = washout, forgetting, ridge
        self._furnish(reservoir, output_size, reservoir.liquid, learned, device, dtype)
        return self

    @classmethod
    def from_forecaster(
        cls,
        forecaster: Forecaster,
        output_size: int | None = None,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ESN:
        """Return a network with a streaming forecaster's reservoir; it takes values as they come.

        They are standardised as the forecaster has settled to do it (buffers `location` and
        `scale`), in float64, and the network goes through the same states from
        `state=torch.tensor(forecaster.reservoir_state)` on, for as long as the stream keeps its
        level, and none of its values is missing or held as a glitch. `dt` is in usual steps, the
        forecaster's `cadence`. `W_out`, one output for each horizon and target unless told, has
        learned nothing: a forecaster's readouts look at more than the reservoir.
        """
        told = forecaster.settings
        targets = told["fields"] if told["targets"] is None else len(told["targets"])
        outputs = len(told["horizons"]) * targets if output_size is None else output_size
        self = cls.from_reservoir(
            forecaster.to_reservoir(),
            outputs,
            device=device,
            dtype=dtype or getattr(torch, told["dtype"]),
        )
        mean, spread = forecaster.heard_mean, forecaster.heard_spread
        self.location = torch.tensor(mean, device=device)
        self.scale = torch.tensor(np.where(spread > 0.0, spread, np.inf), device=device)
        return self

    def to_reservoir(self) -> Reservoir:
        """Return the units as a `Reservoir`, for a streaming `Forecaster` or an `OnlineESN`.

        >>> model = ESN(1, 50, 1, liquid=True)
        >>> forecaster = Forecaster([1, 12], reservoir=model.to_reservoir())
        """
        units, gate = self._units(), None
        if units.gate is not None:
            links, gate_in, gate_bias = units.gate
            gate = _array(dense(units.taps, links)), _array(gate_in), _array(gate_bias)
        W, W_in, bias, tau = map(_array, (self.W_res, units.W_in, units.bias, units.tau))
        return Reservoir.from_arrays(W, W_in, bias, tau=tau, gate=gate)

    @property
    def W_res(self) -> Tensor:  # noqa: N802 - the article's name
        """The recurrent weights, (units, units): row i is what unit i hears."""
        return dense(self.taps, self.links)

    @property
    def input_size(self) -> int:
        """How many inputs a step has."""
        return self.W_in.shape[1]

    @property
    def reservoir_size(self) -> int:
        """How many units there are."""
        return self.W_in.shape[0]

    @property
    def output_size(self) -> int:
        """How many outputs the readout has."""
        return self.W_out.out_features

    # ----------------------------------------------------------------------------------- running

    def forward(
        self,
        x: Tensor,
        state: Tensor | None = None,
        *,
        dt: Tensor | float | None = None,
        every_step: bool = False,
        return_state: bool = False,
    ) -> Any:
        """Return the readout of the last state, (batch, output_size).

        x (batch, time, input_size), or (time, input_size) for one sequence, whose results have no
        batch either. `state` (batch, units) is where to begin, zeros unless given; `dt` the time
        before each step, in steps: a number, (time,) or (batch, time), 1 unless given. With
        `every_step` the readout of every state, (batch, time, output_size). With `return_state`
        also the last state, (batch, units), a detached copy, to go on from. Raises `ValueError` for
        shapes that do not fit, and `TypeError` for another dtype than the network's.
        """
        if every_step:
            visited = self.states(x, state, dt=dt)
            y, last = self.W_out(visited), visited[..., -1:, :].squeeze(-2)
        else:
            for part in self._runs(*self._taken(x, state, dt), kept=1):
                last = part[-1] if x.dim() == 3 else part[-1, 0]
            y = self.W_out(last)
        return (y, last.detach().clone()) if return_state else y

    def states(
        self, x: Tensor, state: Tensor | None = None, *, dt: Tensor | float | None = None
    ) -> Tensor:
        """Return the state after every step, (batch, time, units); arguments as of `forward`."""
        visited = states(*self._taken(x, state, dt), self._units()).transpose(0, 1)
        return visited if x.dim() == 3 else visited[0]

    def _taken(
        self, x: Tensor, state: Tensor | None, dt: Tensor | float | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs (time, batch, inputs), times (time, batch) and where to begin, checked."""
        u = as_steps(x, self.input_size)
        if self.location is not None and self.scale is not None:
            u = ((u - self.location) / self.scale).clamp(-5.0, 5.0).to(self.W_in)
        need_dtype("x", u, self.W_in.dtype)
        return u, elapsed(dt, u), begun(state, u, self.reservoir_size, batched=x.dim() == 3)

    def _runs(
        self, u: Tensor, dt: Tensor, last: Tensor, kept: int | None = None
    ) -> Iterator[Tensor]:
        """Yield the states, (steps, batch, units), of so many steps as are held at once.

        Of each so many, where it is said how many of the last are to be kept.
        """
        units = self._units()
        for part, times in zip(_chunks(u), _chunks(dt), strict=True):
            made = states(part, times, last, units, last=kept)
            last = made[-1]
            yield made

    # ---------------------------------------------------------------------------------- learning

    def fit(
        self,
        x: Tensor | Sequence[Tensor],
        y: Tensor | Sequence[Tensor],
        state: Tensor | None = None,
        *,
        dt: Tensor | float | None = None,
    ) -> ESN:
        """Train `W_out` in closed form, by ridge regression; return the network.

        x as of `forward`, with y (batch, time, output_size) for every step, or (batch, output_size)
        for the last state; or both without a batch; or lists of such sequences, of any lengths,
        which share `state` and `dt`. A step whose target is NaN in any output is left out. All that
        was learned before is forgotten; `partial_fit` goes on from what this finds. Raises
        `ValueError` for shapes that do not fit, for inputs that are not finite, where no step is
        left to learn from, and for a ridge too small to tell the weights. Costs O(units^2) a step,
        and O(units^3).
        """
        inputs, targets = _listed(x), _listed(y)
        if len(inputs) != len(targets):
            raise ValueError(f"{len(inputs)} sequences of inputs, {len(targets)} of targets")
        lessons = (
            lesson
            for one, wanted in zip(inputs, targets, strict=True)
            for lesson in self._lessons(one, wanted, state, dt)
        )
        weights, precision = least_squares(lessons, 1 + self.reservoir_size, self.ridge)
        readout = self._fresh_readout()
        readout.stand(weights, precision)
        self._readout = readout
        put_into(self.W_out, weights)
        return self

    def partial_fit(
        self,
        x: Tensor,
        y: Tensor,
        state: Tensor | None = None,
        *,
        dt: Tensor | float | None = None,
        return_state: bool = False,
    ) -> Any:
        """Learn step by step, and return what the readout said of each *before* it learned it.

        By the daemon's own recursive least squares (`streamlnn.model.readout`), in float64 on the
        CPU. x, y, state and dt as of `fit`, no lists; of several sequences each step of all comes
        before the next. Each target counts as known when the next step is forecast: one that is h
        steps ahead, pass h - 1 steps later, with the state of then. An output whose target is NaN
        is not learned from. The washout counts in each call that begins at rest. It begins with
        what `fit`, an optimiser or it itself made of `W_out`. Returns the shape of y, and with
        `return_state` also the last state. Raises as `fit`. Costs O(units^2) a step.
        """
        readout = self._fresh_readout() if self._readout is None else self._readout
        readout.weights[...] = weights_of(self.W_out)
        said, last = [], torch.empty(0)
        for visited, targets in self._lessons(x, y, state, dt):
            said.append(learn(readout, visited, targets))
            last = visited[-1] if x.dim() == 3 else visited[-1, 0]
        self._readout = readout
        put_into(self.W_out, readout.weights)
        answers = torch.cat(said).transpose(0, 1).reshape(y.shape).to(self.W_out.weight)
        return (answers, last.clone()) if return_state else answers

    @torch.no_grad()
    def _lessons(
        self, x: Tensor, y: Tensor, state: Tensor | None, dt: Tensor | float | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield states (steps, batch, units) and their targets (steps, batch, outputs)."""
        given = self._taken(x, state, dt)
        if not all(each.isfinite().all() for each in (given[0], given[2])):
            raise ValueError("x or the state holds values that are not finite; fill them in")
        targets = aligned(y, (*x.shape[:-1], self.output_size))
        if state is None and y.dim() == x.dim():
            targets[: self.washout] = torch.nan
        if len(targets) == len(given[0]):
            yield from zip(self._runs(*given), _chunks(targets), strict=True)
            return
        *_, last = self._runs(*given, kept=1)
        yield last, targets

    def _fresh_readout(self) -> Readout:
        features, outputs = 1 + self.reservoir_size, self.output_size
        return Readout(features, outputs, forgetting=self.forgetting, ridge=self.ridge)

    # ------------------------------------------------------------------------------------- saving

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)
        if self._readout is not None:
            for name in LEARNED:
                value = np.array(getattr(self._readout, name))
                destination[f"{prefix}online_{name}"] = torch.from_numpy(value)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, metadata: Any, strict: bool, *told: list[str]
    ) -> None:
        kept = {name: state_dict.pop(f"{prefix}online_{name}", None) for name in LEARNED}
        for name in ("location", "scale"):  # of a network from a forecaster, and of no other
            value = state_dict.get(f"{prefix}{name}")
            empty = None if value is None else torch.empty_like(value, device=self.W_in.device)
            setattr(self, name, empty)
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, *told)
        self._readout = None
        missing, _, wrong = told
        absent = [f"{prefix}online_{name}" for name, value in kept.items() if value is None]
        if not absent:
            self._readout = self._fresh_readout()
            wrong += restore(self._readout, kept)
        elif len(absent) < len(kept):
            missing += absent

    def _apply(self, fn: Any, recurse: bool = True) -> ESN:
        """Leave the scaling in float64: what is on top of a high level is lost in less."""
        scaling = self.location, self.scale
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.location, self.scale = (
            None if each is None else each.to(self.W_in.device) for each in scaling
        )
        return self

    # ------------------------------------------------------------------------------------- making

    def _furnish(
        self,
        reservoir: Reservoir,
        output_size: int,
        liquid: bool,
        learned: tuple[int, float, float],
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        """Take over the arrays of a reservoir, and put a readout on top."""
        need(output_size >= 1, "output_size must be 1 or more", output_size)
        self.washout, self.forgetting, self.ridge = learned
        need(self.washout >= 0, "washout must be 0 or more", self.washout)
        need_learning(self.forgetting, self.ridge)
        room: dict[str, Any] = {"device": device, "dtype": dtype or torch.get_default_dtype()}
        self.register_buffer("taps", torch.tensor(reservoir.taps, device=device))
        for name in ("links", "W_in", "bias", "tau"):
            self.register_buffer(name, _cast(getattr(reservoir, name), room))
        for name in ("gate_links", "gate_in", "gate_bias"):
            self.register_buffer(name, _cast(getattr(reservoir, name), room) if liquid else None)
        self.register_buffer("location", None)
        self.register_buffer("scale", None)
        self.W_out = nn.Linear(reservoir.units, output_size, **room)
        nn.init.zeros_(self.W_out.weight)
        nn.init.zeros_(self.W_out.bias)
        self._readout = None

    def _units(self) -> Units:
        gate = None
        if self.gate_links is not None and self.gate_in is not None and self.gate_bias is not None:
            gate = self.gate_links, self.gate_in, self.gate_bias
        return Units(self.taps, self.links, self.W_in, self.bias, self.tau, gate)

    def extra_repr(self) -> str:
        """Return what `repr` shows between the brackets."""
        liquid = ", liquid=True" if self.gate_links is not None else ""
        fan_in = self.taps.shape[1]
        return (
            f"{self.input_size}, {self.reservoir_size}, fan_in={fan_in}{liquid}, "
            f"washout={self.washout}, forgetting={self.forgetting}, ridge={self.ridge}"
        )


def _cast(weights: NDArray[Any], room: dict[str, Any]) -> Tensor:
    cast = torch.tensor(weights, **room)
    if not cast.isfinite().all():
        raise ValueError(f"the reservoir holds numbers too large for {cast.dtype}")
    return cast


def _chunks(given: Tensor) -> Sequence[Tensor]:
    return torch.split(given, CHUNK) if len(given) > CHUNK else (given,)


def _listed(given: Tensor | Sequence[Tensor]) -> Sequence[Tensor]:
    return [given] if isinstance(given, Tensor) else given


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().double().cpu().numpy()
