"""Why the forecast is what it is: how much each expert is heard, and what the reservoir is like."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.mixture import power_weights
from streamlnn.model.reservoir import LEAST_RATE, RATE_SPAN, SPECTRAL_RADIUS
from streamlnn.model.state import State

Array = NDArray[Any]


def weights(state: State) -> Array:
    """Return the weight of each expert in force, (targets, horizons, experts): they sum to 1.

    The forecast is the mean, with these weights, of what the experts say. In two levels, as
    `mixture` tells: within the mixture of each memory, and of the mixtures. All are equal while no
    forecast has been scored. Costs O(targets * horizons), a few microseconds each.
    """
    experts, mixtures = _shares(state.losses), _shares(state.top_losses)
    return np.asarray(np.einsum("thg,thge->the", mixtures, experts))


def reservoir(state: State) -> dict[str, Any]:
    """Return what the fixed random units are like, as JSON can say it.

    `units` recurrent ones, of `fan_in` connections each, scaled to `spectral_radius`; `tau` the
    least and the greatest of their time constants, in usual steps, and `rate` the least and the
    greatest factor by which what a unit hears makes its time go; `lag_units` the units on the lags.
    """
    return {
        "units": int(state.tau.size),
        "fan_in": int(state.taps.shape[1]),
        "spectral_radius": SPECTRAL_RADIUS,
        "tau": [float(state.tau.min()), float(state.tau.max())],
        "rate": [LEAST_RATE, LEAST_RATE + RATE_SPAN],
        "lag_units": int(state.V_bias.size),
    }


def _shares(losses: Array) -> Array:
    """Return the weights that the power rule gives along the last axis."""
    kept, out = losses.copy(), np.empty_like(losses)
    for place in np.ndindex(losses.shape[:-1]):
        power_weights(kept[place], out[place])
    return out
