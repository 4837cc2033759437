"""Why the forecast is what it is: how much each expert is heard, and what the reservoir is like."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.features import joint_groups
from streamlnn.model.mixture import expert_weights
from streamlnn.model.reservoir import (
    LEAST_RATE,
    RATE_SPAN,
    SPECTRAL_RADIUS,
    Reservoir,
    dense,
    is_liquid,
    largest_eigenvalue,
)
from streamlnn.model.scaling import settled_level
from streamlnn.model.state import PUSHED, State

Array = NDArray[Any]


def weights(state: State) -> Array:
    """Return the weight of each expert in force, (targets, horizons, experts): they sum to 1.

    The forecast is the mean, with these weights, of what the experts say. All are equal while no
    forecast has been scored. Costs O(targets * horizons), a few microseconds each.
    """
    out = np.empty(state.losses.shape[:2] + state.losses.shape[3:])
    issued = state.waiting_experts[(state.counts[PUSHED] - 1) % state.waiting_at.size]
    for place in np.ndindex(out.shape[:2]):
        learned = state.losses[place], state.regrets[place], state.top_losses[place]
        out[place] = expert_weights(*learned, issued[place])
    return out


def as_reservoir(state: State) -> Reservoir:
    """Return the reservoir as it is stepped now: intrinsic plasticity's gains in its weights."""
    gain = state.ip_gain[:, None]
    return Reservoir.from_arrays(
        gain * dense(state.taps, state.W),
        gain * state.W_in.T,
        state.ip_gain * state.bias + state.ip_bias,
        tau=state.tau,
        gate=(dense(state.taps, state.W_gate), state.gate_in.T, state.gate_bias),
        dtype=state.x.dtype,
    )


def heard(state: State) -> Array:
    """Return what the random units heard of the newest record, (fields,)."""
    pairs = zip(state.scales, state.history[:, 0], strict=True)
    return np.array([settled_level(scale, value) for scale, value in pairs])


def spectral_radius(state: State, drawn: State) -> float:
    """Return the magnitude of the largest eigenvalue of the recurrent weights.

    It is known of weights that were `drawn`; of others it costs O(units^3).
    """
    if np.array_equal(state.taps, drawn.taps) and np.array_equal(state.W, drawn.W):
        return SPECTRAL_RADIUS
    return largest_eigenvalue(state.taps, state.W)


def reservoir(state: State, spectral_radius: float) -> dict[str, Any]:
    """Return what the fixed random units are like, as JSON can say it.

    `units` recurrent ones, of `fan_in` connections each, with this `spectral_radius`; `tau` the
    least and the greatest of their time constants, in usual steps, and `rate` the least and the
    greatest factor by which what a unit hears makes its time go; `lag_units` the units on the lags.
    """
    liquid = is_liquid(state.W_gate, state.gate_in, state.gate_bias)
    return {
        "units": int(state.tau.size),
        "fan_in": int(state.taps.shape[1]),
        "spectral_radius": spectral_radius,
        "tau": [float(state.tau.min()), float(state.tau.max())],
        "rate": [LEAST_RATE, LEAST_RATE + RATE_SPAN] if liquid else [1.0, 1.0],
        "lag_units": int(state.V_bias.size),
    }


def readout_weights(state: State) -> dict[str, Array]:
    """Return the weights of the readout that hears the reservoir, by group of features.

    Each is (targets, horizons, size), a copy, in usual changes of the target per unit of a feature.
    """
    fields, targets, horizons = state.scales.shape[0], state.targets.size, state.horizons.size
    groups = joint_groups(fields, targets, horizons, state.seasons.size, state.tau.size)
    full = state.weights[:, :, : state.joint_sizes[0]]
    ends = np.cumsum(list(groups.values()))
    parts = np.split(full, ends[:-1], axis=2)
    return {name: part.copy() for name, part in zip(groups, parts, strict=True)}
