"""ReservoirPy's echo state network with its RLS readout, as a peer at its best settings.

Two traps are avoided. `RLS.partial_fit` returns what the readout says *after* it has learned the
target, which is no forecast: here every forecast is made with weights from before. And for h > 1
a target must not be learned before it has come: the features wait for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from benchmarks.common import Array, nrmse, paired

UNITS = 300
SETTLED = 1_000
"""Its inputs and targets are standardised by as many first samples, which are not scored."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What is searched: the reservoir, then how the readout learns."""

    leak: float
    input_scale: float
    spectral_radius: float
    alpha: float = 1e-4
    forgetting: float = 1.0

    def __str__(self) -> str:
        """Return the settings, in the order in which they are declared."""
        reservoir = f"{self.leak:g}, {self.input_scale:g}, {self.spectral_radius:g}"
        return f"{reservoir}, {self.alpha:g}, {self.forgetting:g}"


Scored = dict[Settings, list[float]]
"""Errors of each horizon, by settings."""

UNTUNED = Settings(0.3, 0.5, 0.9, 1e-6, 1.0)
"""Of five settings that were tried on all signals of `chaos`, the best in the geometric mean."""

RESERVOIRS = [Settings(*one) for one in product((0.1, 0.3, 1.0), (0.1, 0.5, 1, 2), (0.7, 0.9, 1.1))]
READOUTS = list(product((1e-8, 1e-6, 1e-4, 1e-2, 1.0), (1.0, 0.9995)))


def reservoir(settings: Settings, units: int = UNITS) -> Any:
    """Return a new reservoir whose units have a bias and see every input."""
    from reservoirpy.mat_gen import uniform
    from reservoirpy.nodes import Reservoir

    return Reservoir(
        units,
        lr=settings.leak,
        sr=settings.spectral_radius,
        input_scaling=settings.input_scale,
        input_connectivity=1.0,
        bias=uniform(low=-0.2, high=0.2),
        seed=1,
    )


def features(inputs: Array, settings: Settings, units: int = UNITS) -> Array:
    """Return [reservoir; inputs; 1] for each of `inputs` (n, fields): (n, units + fields + 1).

    The constant stands for the bias of the readout, as `RLS` learns its own by a running mean of
    the error, not by least squares.
    """
    scaled = standardised(inputs)
    states = reservoir(settings, units).run(scaled)
    return np.concatenate([states, scaled, np.ones((len(scaled), 1))], axis=1)


def forecasts(x: Array, y: Array, horizons: Sequence[int], settings: Settings) -> Array:
    """Return the forecasts of y (n,) from the features x (n, features), as (n, horizons).

    What `RLS` learns from row s depends on the features before s alone, but for the target. So
    one readout with a column for each horizon goes through all rows with their targets beside
    them, and the forecast that is issued at t for t + h takes column h as it was after row t - h,
    whose target is y[t]: the same numbers as one readout per horizon whose features wait.
    """
    from reservoirpy.nodes import RLS

    readout = RLS(alpha=settings.alpha, fit_bias=False, forgetting=settings.forgetting)
    targets = np.stack([_ahead(y, h) for h in horizons], axis=1)
    untaught = np.zeros((x.shape[1], len(horizons)))
    weights = deque([untaught] * max(horizons), maxlen=max(horizons))
    out = np.empty((len(y), len(horizons)))
    for t in range(len(y)):
        out[t] = [x[t] @ weights[-h][:, k] for k, h in enumerate(horizons)]
        readout.partial_fit(x[t : t + 1], targets[t : t + 1])
        weights.append(readout.Wout)
    return out


@dataclass(frozen=True, slots=True)
class Search:
    """How the settings are searched; for each horizon, which `forecasts` scored lowest.

    On the first `prefix` samples every one of `reservoirs` is tried, then every one of `readouts`
    with each horizon's `finalists`; of those, each horizon's `finalists` go through all samples,
    and the lowest counts: a choice that is known afterwards only, and that no forecaster has.
    """

    prefix: int = 3_000
    finalists: int = 2
    units: int = UNITS
    reservoirs: Sequence[Settings] = tuple(RESERVOIRS)
    readouts: Sequence[tuple[float, float]] = tuple(READOUTS)

    def untuned(self, inputs: Array, y: Array, horizons: Sequence[int]) -> list[float]:
        """Return each horizon's NRMSE with the settings that are the same for every series."""
        return scores(inputs, standardised(y[:, None])[:, 0], horizons, UNTUNED, self.units)

    def best(
        self, inputs: Array, y: Array, horizons: Sequence[int]
    ) -> list[tuple[float, Settings]]:
        """Return each horizon's lowest NRMSE and the settings that gave it."""
        scaled = standardised(y[:, None])[:, 0]
        coarse = self._scored(self.reservoirs, inputs, scaled, horizons, self.prefix)
        near = [
            replace(one, alpha=alpha, forgetting=forgetting)
            for one in _leaders(coarse, self.finalists)
            for alpha, forgetting in self.readouts
        ]
        fine = self._scored(near, inputs, scaled, horizons, self.prefix)
        final = self._scored(_leaders(fine, self.finalists), inputs, scaled, horizons, len(y))
        lowest = [min(final, key=lambda one: final[one][k]) for k in range(len(horizons))]
        return [(final[one][k], one) for k, one in enumerate(lowest)]

    def _scored(
        self, chosen: Iterable[Settings], inputs: Array, y: Array, horizons: Sequence[int], n: int
    ) -> Scored:
        return {one: scores(inputs[:n], y[:n], horizons, one, self.units) for one in chosen}


def scores(
    inputs: Array, y: Array, horizons: Sequence[int], settings: Settings, units: int = UNITS
) -> list[float]:
    """Return the NRMSE of each horizon after the first `SETTLED` samples; infinite if it broke."""
    with np.errstate(all="ignore"):
        issued = forecasts(features(inputs, settings, units), y, horizons, settings)
        return [_score(y, issued[:, k], h) for k, h in enumerate(horizons)]


def _score(y: Array, issued: Array, h: int) -> float:
    if not np.isfinite(issued[SETTLED:]).all():
        return float("inf")
    return float(nrmse(*paired(y, [issued], h, SETTLED))[0])


def _leaders(scored: Scored, count: int) -> list[Settings]:
    """Return the `count` best of each horizon, each once, in a fixed order."""
    horizons = range(len(next(iter(scored.values()))))
    leading = [sorted(scored, key=lambda one: scored[one][k])[:count] for k in horizons]
    return list(dict.fromkeys(one for some in leading for one in some))


def _ahead(y: Array, h: int) -> Array:
    """Return y[t + h] for each t. The last h, which never come, are never used either."""
    return np.append(y[h:], np.zeros(h))


def standardised(values: Array) -> Array:
    """Return values (n,) or (n, fields) with the mean and deviation of the first taken out."""
    known = values[:SETTLED]
    return np.asarray((values - known.mean(axis=0)) / known.std(axis=0))
