"""ReservoirFeatures: the states of a reservoir as features for any of River's models."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from copy import copy, deepcopy
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from river import base

from streamlnn.interop.river.hearing import Scales, fresh_clock, steps_until
from streamlnn.interop.river.samples import (
    Features,
    Name,
    listed,
    names_in,
    numbers,
    seconds,
)
from streamlnn.model.clock import take_time
from streamlnn.model.reservoir import ORDINARY, SPECTRAL_RADIUS, Reservoir
from streamlnn.model.rules import need, need_reservoir

Array = NDArray[Any]
Span = tuple[float, float]


class ReservoirFeatures(base.Transformer):
    """A reservoir as a River transformer: each sample moves it on, its states are the features.

    `learn_one(x)` standardises the numbers in x by their running scales, as the daemon does, and
    moves the reservoir on; `transform_one(x)` returns the state that x leads to, one float for each
    unit, and changes nothing: just before x is learned and just after, the answer is the same, bit
    for bit. So `ReservoirFeatures() | linear_model.BayesianLinearRegression()` predicts from what
    it will learn from, and the state advances once per sample however River calls a pipeline.

    units, spectral_radius, fan_in, tau, in usual steps, input_scale, bias, seed: as of `Reservoir`.
    liquid: whether what a unit hears makes its time go faster or slower. reservoir: one to use
    instead of a drawn one, of `Reservoir.from_arrays` say.
    time: the feature of x that says when the sample was taken, in seconds or as a datetime (UTC
    unless it has a zone); without one, each sample is one step. every: the usual seconds from one
    sample to the next; learned unless given.
    features: the features of x to hear, all numbers. Unless given, those of the first sample; what
    comes later under another name gets input weights of its own, which a given reservoir has not:
    there it is left out, with one warning. A missing feature is heard at its last value.
    constant: whether the features hold a 1 beside the units, for a readout without an intercept of
    its own. prefix: the names are `unit_0`, `unit_1` and so on; unions of several reservoirs want
    different ones, and one constant is enough for all.

    memory: how many of the newest samples learned are known again. What equals one of them, in
    features and time, is answered with the state it led to. So a prediction for a value that
    repeats the one before it, without a time, comes from the state one step before; what is learned
    does not: give a time where that matters. Where labels come late, by d samples, the state stands
    still until they come, unless River's `compose.learn_during_predict()` moves it on: then set
    `memory` to d + 1 or more.

    `transform_one` and `learn_one` cost O(units * (fan_in + inputs)) each; 100 units and one
    feature some 50 microseconds. The first call of a process compiles for some seconds.

    >>> from river import linear_model
    >>> model = ReservoirFeatures(units=50) | linear_model.BayesianLinearRegression(beta=100.0)
    >>> values = np.sin(np.arange(500) / 5).tolist()
    >>> for now, following in zip(values, values[1:]):
    ...     model.learn_one({"flow": now}, following)
    >>> bool(abs(model.predict_one({"flow": values[-1]}) - np.sin(100)) < 0.05)
    True
    """

    def __init__(
        self,
        units: int = 100,
        *,
        spectral_radius: float = SPECTRAL_RADIUS,
        fan_in: int = 10,
        tau: Span = (0.3, 30.0),
        input_scale: Span = (0.3, 3.0),
        bias: float = 0.2,
        liquid: bool = True,
        seed: int = 1,
        reservoir: Reservoir | None = None,
        time: Name | None = None,
        every: float | None = None,
        features: Sequence[Name] | None = None,
        constant: bool = True,
        prefix: str = "unit_",
        memory: int = 1,
    ) -> None:
        self.units = units if reservoir is None else reservoir.units
        self.spectral_radius = spectral_radius
        self.fan_in = fan_in
        self.tau = tau
        self.input_scale = input_scale
        self.bias = bias
        self.liquid = liquid
        self.seed = seed
        self.reservoir = reservoir
        self.time = time
        self.every = every
        self.features = listed(features, time)
        self.constant = constant
        self.prefix = prefix
        self.memory = memory
        self._check()
        self._names: tuple[Any, ...] | None = None
        self._reservoir: Reservoir | None = None
        self._state = np.zeros(self.units)
        self._scales, self._clock = Scales(), fresh_clock(every)
        self._led: OrderedDict[bytes, Array] = OrderedDict()  # to which state a sample led
        self._warned = reservoir is None or features is not None
        self._keys = [f"{prefix}{k}" for k in range(self.units)]

    def learn_one(self, x: Features) -> None:
        """Move the reservoir on by one sample, and let the scales and the clock see it.

        Raises `TypeError` for what is no number or no time, `ValueError` for an infinite time, or
        where a given reservoir has another number of inputs than there are features; the model is
        then as it was.
        """
        names = self._names_with(x)
        when, values = self._read(x, names)
        self._reservoir, self._names = self._hearing(len(names)), names
        self._state = self._led_to(self._reservoir, when, values)
        self._scales.learn(values)
        take_time(self._clock, when)
        self._remember(when, values)
        self._look_for_others(x)

    def transform_one(self, x: Features) -> dict[Any, float]:
        """Return the state of each unit that this sample leads to, by name; raises as `learn_one`.

        A feature under a name that has not been learned yet is not heard.
        """
        names = self._names_with(x) if self._names is None else self._names
        when, values = self._read(x, names)
        state = self._led.get(_key(when, values))
        if state is None:
            state = self._led_to(self._hearing(len(names)), when, values)
        return self._told(state)

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The names of the features that are heard, in the order of the reservoir's inputs."""
        return self._names or ()

    @property
    def state(self) -> Array:
        """The state of every unit after the newest sample learned, (units,): a copy."""
        return self._state.copy()

    def to_reservoir(self) -> Reservoir:
        """Return a copy of the reservoir that hears `inputs`; raises `ValueError` before any."""
        if self._reservoir is None:
            raise ValueError("no sample has been learned yet: its features are the inputs")
        return deepcopy(self._reservoir)

    def _names_with(self, x: Features) -> tuple[Any, ...]:
        """Return the names of all inputs once x has been learned."""
        if self.features is not None:
            return tuple(self.features)
        if self._names is None:
            return names_in(x, self.time)
        others = x.keys() - {*self._names, self.time}
        if not others or self.reservoir is not None:
            return self._names
        return self._names + names_in(others, None)

    def _read(self, x: Features, names: tuple[Any, ...]) -> tuple[float, Array]:
        when = seconds(x, self.time)
        return math.nan if when is None else when, np.array(numbers(x, names))

    def _remember(self, when: float, values: Array) -> None:
        key = _key(when, values)
        self._led[key] = self._state
        self._led.move_to_end(key)
        while len(self._led) > self.memory:
            self._led.popitem(last=False)

    def _led_to(self, reservoir: Reservoir, when: float, values: Array) -> Array:
        steps = steps_until(self._clock, when)
        return reservoir.step(self._state, self._scales.heard(values), steps)

    def _told(self, state: Array) -> dict[Any, float]:
        told = dict(zip(self._keys, state.tolist(), strict=True))
        return {**told, "constant": 1.0} if self.constant else told

    def _hearing(self, inputs: int) -> Reservoir:
        """Return the reservoir with so many inputs; those it has keep their weights."""
        have = self._reservoir
        if have is not None and have.inputs == inputs:
            return have
        if self.reservoir is not None:
            return _fitting(self.reservoir, inputs)
        drawn = self._drawn(inputs)
        return drawn if have is None else _widened(have, drawn)

    def _drawn(self, inputs: int) -> Reservoir:
        return _drawn(
            self.units,
            inputs,
            self.seed,
            self.spectral_radius,
            self.fan_in,
            (self.tau[0], self.tau[1]),
            (self.input_scale[0], self.input_scale[1]),
            self.bias,
            self.liquid,
        )

    def _look_for_others(self, x: Features) -> None:
        """Warn once of a feature that a given reservoir has no input for."""
        others = () if self._warned else x.keys() - {*self.inputs, self.time}
        if others:
            self._warned = True
            warnings.warn(
                f"x[{min(others, key=str)!r}] was not in the first sample and is left out, as the "
                "reservoir has no input for it: list the features to hear by features=",
                stacklevel=3,
            )

    def _check(self) -> None:
        need_reservoir(
            self.units,
            1,
            spectral_radius=self.spectral_radius,
            fan_in=self.fan_in,
            tau=self.tau,
            input_scale=self.input_scale,
            bias=self.bias,
        )
        every = self.every
        need(every is None or 0.0 < every < math.inf, "every must be positive", every)
        need(self.memory >= 1, "memory must be 1 or more", self.memory)

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {"units": 20}
        yield {"units": 20, "liquid": False, "constant": False, "features": ("gallup", "ipsos")}


def _key(when: float, values: Array) -> bytes:
    return values.tobytes() + np.float64(when).tobytes()


@lru_cache(maxsize=32)  # all clones share what nobody changes; a draw takes milliseconds
def _drawn(
    units: int,
    inputs: int,
    seed: int,
    spectral_radius: float,
    fan_in: int,
    tau: Span,
    input_scale: Span,
    bias: float,
    liquid: bool,
) -> Reservoir:
    reservoir = Reservoir(
        units,
        inputs,
        seed,
        spectral_radius=spectral_radius,
        fan_in=fan_in,
        tau=tau,
        input_scale=input_scale,
        bias=bias,
    )
    if not liquid:
        reservoir.gate_links[...], reservoir.gate_in[...] = 0.0, 0.0
        reservoir.gate_bias[...] = ORDINARY
    return reservoir


def _widened(reservoir: Reservoir, wider: Reservoir) -> Reservoir:
    """Return a reservoir with more inputs, whose weights are those of a wider one."""
    have, widened = reservoir.inputs, copy(reservoir)
    widened.W_in = np.hstack([reservoir.W_in, wider.W_in[:, have:]])
    widened.gate_in = np.hstack([reservoir.gate_in, wider.gate_in[:, have:]])
    return widened


def _fitting(reservoir: Reservoir, inputs: int) -> Reservoir:
    if reservoir.inputs != inputs:
        raise ValueError(
            f"the reservoir hears {reservoir.inputs} inputs, and there are {inputs} features: "
            "list those to hear by features="
        )
    return reservoir
