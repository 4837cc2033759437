"""ReservoirPy as it runs on a stream: a sample in, forecasts at several horizons out.

One RLS readout has a column for each horizon, as twelve of them would cost twelve times as much.
It learns all columns from the features of one moment, so it waits for the longest horizon: its
time is that of this cheaper form, its errors in the tables those of the dearer one, in which each
horizon learns as soon as its target has come (`esn.forecasts`). Settings were chosen knowing the
outcome, signal by signal; ours are the same for all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from benchmarks import esn
from benchmarks.common import Array
from benchmarks.esn import Settings

FOUND: dict[str, dict[int, Settings]] = {
    "Mackey-Glass": {
        100: Settings(0.3, 0.5, 0.9, 1e-8, 0.9995),
        300: Settings(0.3, 0.5, 0.9, 1e-8, 0.9995),
    },
    "Mackey-Glass, 5 % noise": {
        100: Settings(0.3, 0.5, 0.9, 1e-6, 1.0),
        300: Settings(0.3, 0.1, 1.1, 1e-4, 0.9995),
    },
    "Lorenz": {
        100: Settings(1.0, 0.5, 0.7, 1e-8, 1.0),
        300: Settings(1.0, 0.5, 0.9, 1e-6, 1.0),
    },
    "Lorenz, 5 % noise": {
        100: Settings(1.0, 1.0, 0.7, 1e-6, 1.0),
        300: Settings(1.0, 1.0, 0.7, 1e-4, 1.0),
    },
}
"""The best of the 36 reservoirs and 10 readouts of `esn`, by the geometric mean of the NRMSE at
horizons 1 to 12 (both stages on the first 3,000 samples, the two best then on all 8,000)."""


def settings(signal: str, units: int) -> Settings:
    """Return the settings found for a signal; 300 units' for more than that."""
    return FOUND[signal][min(units, 300)]


class Peer:
    """ReservoirPy's echo state network with recursive least squares, sample by sample."""

    def __init__(self, horizons: Sequence[int], units: int, settings: Settings) -> None:
        from reservoirpy.nodes import RLS

        self._horizons, longest = list(horizons), max(horizons)
        self._reservoir = esn.reservoir(settings, units)
        self._readout = RLS(alpha=settings.alpha, fit_bias=False, forgetting=settings.forgetting)
        self._readout.initialize(np.zeros((1, units + 2)), np.zeros((1, len(self._horizons))))
        self._features: deque[Array] = deque(maxlen=longest)
        self._values: deque[float] = deque(maxlen=longest)

    def step(self, value: float) -> Array:
        """Learn from one value, then forecast, (horizons,)."""
        self._values.append(value)
        if len(self._features) == self._features.maxlen:
            come = np.array([[self._values[h - 1] for h in self._horizons]])
            self._readout.partial_fit(self._features[0][None], come)
        return self.forecast(value)

    def forecast(self, value: float) -> Array:
        """Advance the reservoir and forecast, (horizons,), without learning."""
        x = np.append(self._reservoir.step(np.array([value])), [value, 1.0])
        self._features.append(x)
        return np.asarray(self._readout.step(x))

    def replay(self, values: Array) -> None:
        """Go through values in its own block calls: what comes out is no forecast, see `esn`."""
        n, longest = len(values), max(self._horizons)
        states = self._reservoir.run(values[:, None])
        x = np.concatenate([states, values[:, None], np.ones((n, 1))], axis=1)[: n - longest]
        y = np.stack([values[h : n - longest + h] for h in self._horizons], axis=1)
        self._readout.partial_fit(x, y)
