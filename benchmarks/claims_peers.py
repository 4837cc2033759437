"""The forecasters that the claims are measured against, each fed one value at a time.

Every peer learns from a value first and forecasts after, so that what it returns is a forecast
before the fact. Peers that need values of a common size get them from `RunningScale`; a missing
value is the last one for an input, and no target.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from reservoirpy.nodes import RLS, Reservoir
from river import linear_model, optim, preprocessing, time_series

from benchmarks.common import Array
from streamlnn.evaluation import baselines

LAGS = 24


class Peer(Protocol):
    """A forecaster of one stream."""

    def step(self, y: float) -> Array:
        """Learn the newest value and return a forecast for every horizon."""
        ...


class RunningScale:
    """Running mean and standard deviation, rate max(1/n, 1/1000): what our model's scales use."""

    def __init__(self) -> None:
        self.count, self.mean, self.variance = 0, 0.0, 0.0

    def learn(self, y: float) -> None:
        """See one value."""
        self.count += 1
        rate = max(1.0 / self.count, 0.001)
        self.mean += rate * (y - self.mean)
        self.variance += rate * ((y - self.mean) ** 2 - self.variance)

    @property
    def size(self) -> float:
        """The standard deviation, 1 while it is 0."""
        return float(np.sqrt(self.variance)) or 1.0


class Delayed:
    """What waits for its targets: the features of the latest samples with the scale of issue."""

    def __init__(self, horizons: Sequence[int]) -> None:
        self.horizons = list(horizons)
        self._waiting: deque[tuple[Any, float, float]] = deque(maxlen=max(horizons))

    def due(self, y: float) -> list[tuple[int, Any, float]]:
        """Return (index of horizon, features, target in scales) that the value `y` settles."""
        if np.isnan(y):
            return []
        reached = [(k, h) for k, h in enumerate(self.horizons) if h <= len(self._waiting)]
        waiting = [(k, self._waiting[-h]) for k, h in reached]
        return [(k, features, (y - mean) / size) for k, (features, mean, size) in waiting]

    def wait(self, features: Any, mean: float, size: float) -> None:
        """Let `features` wait for the values to come."""
        self._waiting.append((features, mean, size))


class EchoState:
    """ReservoirPy: an echo state network whose input is in the readout too, one RLS a horizon.

    200 units, no leak, spectral radius 0.9, ridge 0.01: of leak 0.3 and 1, ridge 1e-6, 0.01 and 1,
    and 100 and 200 units, varied one at a time, what served it best over the switching streams.
    `RLS.partial_fit` returns what the readout says *after* it has learned: the forecast comes from
    `step`, on features whose target it has not seen.
    """

    def __init__(self, horizons: Sequence[int], forgetting: float, seed: int = 1) -> None:
        self._reservoir = Reservoir(200, lr=1.0, sr=0.9, bias=_bias, seed=seed)
        self._readouts = [RLS(alpha=1e-2, forgetting=forgetting, fit_bias=False) for _ in horizons]
        self._delayed, self._scale, self._last = Delayed(horizons), RunningScale(), 0.0

    def step(self, y: float) -> Array:
        """Learn the newest value and return a forecast for every horizon."""
        for k, features, target in self._delayed.due(y):
            self._readouts[k].partial_fit(features[None], np.array([[target]]))
        if not np.isnan(y):
            self._scale.learn(y)
            self._last = y
        mean, size = self._scale.mean, self._scale.size
        features = self._features((self._last - mean) / size)
        self._delayed.wait(features, mean, size)
        return np.array([mean + size * _answer(readout, features) for readout in self._readouts])

    def _features(self, u: float) -> Array:
        state = self._reservoir.step(np.array([u]))
        return np.concatenate([[1.0, u], state])


class BayesianLags:
    """River: `BayesianLinearRegression` on 24 lags and a 1, one a horizon, smoothing 0.998."""

    def __init__(self, horizons: Sequence[int]) -> None:
        make = linear_model.BayesianLinearRegression
        self._models = [make(smoothing=0.998) for _ in horizons]
        self._delayed, self._scale = Delayed(horizons), RunningScale()
        self._lags: deque[float] = deque(maxlen=LAGS)

    def step(self, y: float) -> Array:
        """Learn the newest value and return a forecast for every horizon."""
        for k, features, target in self._delayed.due(y):
            self._models[k].learn_one(features, target)
        if not np.isnan(y):
            self._scale.learn(y)
        self._lags.appendleft(y if not np.isnan(y) else self._lags[0] if self._lags else 0.0)
        mean, size = self._scale.mean, self._scale.size
        features = {f"lag{k}": (value - mean) / size for k, value in enumerate(self._lags)}
        features["one"] = 1.0
        self._delayed.wait(features, mean, size)
        return np.array([mean + size * model.predict_one(features) for model in self._models])


class OfRiver:
    """One of River's own forecasters, on values scaled by their running mean and deviation."""

    def __init__(self, horizons: Sequence[int], model: Any) -> None:
        self._horizons, self._model = np.array(horizons), model
        self._scale, self._last, self._seen = RunningScale(), 0.0, 0

    def step(self, y: float) -> Array:
        """Learn the newest value and return a forecast for every horizon."""
        if not np.isnan(y):
            self._scale.learn(y)
            self._last = y
        mean, size = self._scale.mean, self._scale.size
        self._model.learn_one((self._last - mean) / size)
        self._seen += 1
        if self._seen <= LAGS:
            return np.full(self._horizons.size, self._last)
        ahead = np.array(self._model.forecast(int(self._horizons.max())))
        return np.asarray(mean + size * ahead[self._horizons - 1])


def snarimax() -> Any:
    """River's SNARIMAX: 24 lags of the change, gradient steps of 0.001 (0.01 diverges)."""
    scaler, optimizer = preprocessing.StandardScaler(), optim.SGD(0.001)
    regressor = scaler | linear_model.LinearRegression(optimizer=optimizer)
    return time_series.SNARIMAX(p=LAGS, d=1, q=0, regressor=regressor)


def holt_winters() -> Any:
    """River's exponential smoothing of level and trend; slower rates did worse throughout."""
    return time_series.HoltWinters(alpha=0.9, beta=0.1)


def stepped(peer: Peer, y: Array) -> Array:
    """Return the forecasts (n, horizons) of a peer that is fed `y` (n,) value by value."""
    return np.stack([peer.step(float(value)) for value in y])


Forecasts = Callable[[Array, Sequence[int]], Array]

PEERS: dict[str, Forecasts] = {
    "persistence": baselines.persistence,
    "AR(24)-RLS": baselines.autoregression,
    "ReservoirPy 1": lambda y, hs: stepped(EchoState(hs, 1.0), y),
    "ReservoirPy .9995": lambda y, hs: stepped(EchoState(hs, 0.9995), y),
    "ReservoirPy .998": lambda y, hs: stepped(EchoState(hs, 0.998), y),
    "River BLR": lambda y, hs: stepped(BayesianLags(hs), y),
    "River SNARIMAX": lambda y, hs: stepped(OfRiver(hs, snarimax()), y),
    "River HoltWinters": lambda y, hs: stepped(OfRiver(hs, holt_winters()), y),
}
"""Forecasts (n, horizons) of each peer from values (n,): row t is what was said at t.

The number behind ReservoirPy is its forgetting factor.
"""


def _answer(readout: Any, features: Array) -> float:
    return float(readout.step(features)[0]) if readout.initialized else float(features[1])


def _bias(units: int, *_: object, seed: Any = None, **__: object) -> Array:
    return np.asarray(np.random.default_rng(seed).uniform(-0.2, 0.2, units))
