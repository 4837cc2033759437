"""Online aggregation: the forecast is a weighted mean of what the experts answer.

For every target and horizon on its own, in two levels. Below, five mixtures of the experts:

- three by the power rule, weights proportional to L ** -8, where L is a sum of squared errors that
  fades with one of three memories (it is exponential weighting of a Gaussian's log-loss whose
  variance is unknown, that is, tempered dynamic model averaging: Raftery et al. 2010). It finds the
  best expert of the moment;
- two by polynomial potentials of the regret (ML-Poly: Gaillard, Stoltz & van Erven 2014), with two
  memories. They find the best combination, where no expert is best.

Above, the power rule mixes those five. Losses come when targets come, h records late for horizon h,
which costs a constant only (Joulani et al. 2013). Errors are told in scales and cut off at eight
times the usual change over that horizon, so that one wild value decides nothing. Cost: O(experts)
per target and horizon.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import cached, inlined

POWER_MEMORIES = np.array([0.99, 0.9995])
"""How much of a squared loss is kept from one record to the next, one mixture for each."""

POLY_MEMORIES = np.array([0.998, 1.0])
"""How much of a regret is kept, one mixture for each."""

TOP_MEMORY = 0.998

POWER, TOP_POWER = 8, 12

FARTHEST = 4.0
"""An error counts as no larger than so many times the usual change over its horizon."""

MIXTURES = POWER_MEMORIES.size + POLY_MEMORIES.size


def initial_mixture(targets: int, horizons: int, experts: int) -> dict[str, NDArray[Any]]:
    """Return the losses and regrets before the first record: all weights are equal."""
    return {
        "losses": np.zeros((targets, horizons, POWER_MEMORIES.size, experts)),
        "regrets": np.zeros((targets, horizons, POLY_MEMORIES.size, 2 * experts + 1)),
        "top_losses": np.zeros((targets, horizons, MIXTURES)),
    }


# --------------------------------------------------------------------------------------- weighing


@inlined
def _divide(weights, answers, total):
    """Let the weights sum to 1; without any, all that answered count the same."""
    answered = 0
    for k in range(weights.size):
        answered += not np.isnan(answers[k])
    for k in range(weights.size):
        if total > 0.0:
            weights[k] /= total
        else:
            weights[k] = 0.0 if np.isnan(answers[k]) else 1.0 / max(answered, 1)


@cached(forceinline=True)
def power_weights(losses, answers, power, out):
    """Weights proportional to loss ** -power, 0 without an answer; equal while no loss is known.

    `power` is a multiple of 4.
    """
    best, total = np.inf, 0.0
    for k in range(losses.size):
        best = min(best, losses[k])
    best = max(best, 1e-24)
    for k in range(losses.size):
        share = best / max(losses[k], 1e-24)
        share *= share
        share *= share
        weight = 0.0 if np.isnan(answers[k]) else share
        for _ in range(4, power, 4):
            weight *= share
        out[k] = weight
        total += weight
    _divide(out, answers, total)


@inlined
def poly_weights(regrets, answers, out):
    """Weights proportional to regret / (its squares so far + the largest); equal if none is left.

    regrets (2 E + 1,): how much better each expert would have been, the squares, the largest.
    """
    experts, total = out.size, 0.0
    largest = regrets[2 * experts]
    for k in range(experts):
        better = 0.0 if np.isnan(answers[k]) else max(regrets[k], 0.0)
        out[k] = better / max(regrets[experts + k] + largest, 1e-100)
        total += out[k]
    _divide(out, answers, total)


@inlined
def _mean(weights, values):
    """Weighted mean, taken around the first value so that equal values stay what they are."""
    shift = 0.0
    for k in range(values.size):
        shift += 0.0 if np.isnan(values[k]) else weights[k] * (values[k] - values[0])
    return values[0] + shift


@inlined
def mix(losses, regrets, top_losses, issued, weights):
    """Mix the answers at the end of `issued` (1 + MIXTURES + E,) into its front."""
    mixtures = issued[1 : 1 + MIXTURES]
    experts = issued[1 + MIXTURES :]
    shares = weights[: experts.size]
    for g in range(losses.shape[0]):
        power_weights(losses[g], experts, POWER, shares)
        mixtures[g] = _mean(shares, experts)
    for g in range(regrets.shape[0]):
        poly_weights(regrets[g], experts, shares)
        mixtures[losses.shape[0] + g] = _mean(shares, experts)
    power_weights(top_losses, mixtures, TOP_POWER, weights[:MIXTURES])
    issued[0] = _mean(weights[:MIXTURES], mixtures)


@cached
def expert_weights(losses, regrets, top_losses, issued):
    """Return how much each expert counts in the forecast `issued`: (E,), summing to 1."""
    experts = issued[1 + MIXTURES :]
    out, shares = np.zeros(losses.shape[1]), np.empty(losses.shape[1])
    top = np.empty(MIXTURES)
    power_weights(top_losses, issued[1 : 1 + MIXTURES], TOP_POWER, top)
    for g in range(MIXTURES):
        if g < losses.shape[0]:
            power_weights(losses[g], experts, POWER, shares)
        else:
            poly_weights(regrets[g - losses.shape[0]], experts, shares)
        for k in range(out.size):
            out[k] += top[g] * shares[k]
    return out


# --------------------------------------------------------------------------------------- learning


@inlined
def _said(values, k):
    """Return an answer; who had none is judged as if it had been that of the first, persistence."""
    return values[0] if np.isnan(values[k]) else values[k]


@inlined
def _discount(losses, values, y, size, limit, memory):
    """Let fading squared losses see the errors, in scales, within +-limit."""
    for k in range(values.size):
        error = min(max((y - _said(values, k)) / size, -limit), limit)
        losses[k] = max(memory * losses[k] + error * error, 1e-60)


@inlined
def _regret(regrets, experts, mixed, y, size, limit, memory):
    """Let the regrets see how the loss of the mixture leans towards each expert."""
    n, largest = experts.size, memory * regrets[2 * experts.size]
    error = min(max((y - mixed) / size, -limit), limit)
    for k in range(n):
        apart = min(max((_said(experts, k) - mixed) / size, -limit), limit)
        gain = 2.0 * error * apart
        regrets[k] = memory * regrets[k] + gain
        regrets[n + k] = memory * regrets[n + k] + gain * gain
        largest = max(largest, gain * gain)
    regrets[2 * n] = largest


@inlined
def judge(losses, regrets, top_losses, issued, y, size, usual):
    """Learn who was right, once the value y of a forecast has come: `issued` as `mix` left it.

    `usual` is the usual change over its horizon, in scales of `size`.
    """
    limit = min(FARTHEST * max(1.0, usual), 1e6)
    mixtures, experts = issued[1 : 1 + MIXTURES], issued[1 + MIXTURES :]
    for g in range(losses.shape[0]):
        _discount(losses[g], experts, y, size, limit, POWER_MEMORIES[g])
    for g in range(regrets.shape[0]):
        mixed = mixtures[losses.shape[0] + g]
        _regret(regrets[g], experts, mixed, y, size, limit, POLY_MEMORIES[g])
    _discount(top_losses, mixtures, y, size, limit, TOP_MEMORY)
