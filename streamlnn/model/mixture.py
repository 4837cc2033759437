"""Online aggregation: the forecast is a weighted mean of what the experts answer.

For every target and horizon on its own, in two levels. Below, four mixtures of the experts:

- two by the power rule, weights proportional to L ** -8, where L is a sum of squared errors that
  fades with one of two memories (it is exponential weighting of a Gaussian's log-loss whose
  variance is unknown, that is, tempered dynamic model averaging: Raftery et al. 2010). It finds the
  best expert of the moment;
- two by polynomial potentials of the regret (ML-Poly: Gaillard, Stoltz & van Erven 2014), with two
  memories. They find the best combination, where no expert is best.

Above, the power rule, with L ** -12, mixes those four. Losses come when targets come, h records
late for horizon h, which costs a constant only (Joulani et al. 2013). Errors are told in scales and
cut off at four times the typical change over that horizon, so that wild values, even a burst that
outweighs all that was before it, decide nothing for long. An expert that has no answer (NaN) has no
weight, and is judged as if it had said "as now". Cost: O(experts) per target and horizon.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import cached, inlined

POWER_MEMORIES = np.array([0.98, 0.9995])
"""How much of a squared loss is kept from one record to the next, one mixture for each."""

POLY_MEMORIES = np.array([0.998, 1.0])
"""How much of a regret is kept, one mixture for each."""

TOP_MEMORY = 0.998

POWER, TOP_POWER = 8, 12
"""Multiples of 4."""

FARTHEST = 4.0
"""An error counts as no larger than so many times the typical change over its horizon."""

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
def _said(values, k):
    """Return an answer; who had none stands where the first does, which is persistence."""
    return values[0] if np.isnan(values[k]) else values[k]


@inlined
def _best(losses):
    best = losses[0]
    for k in range(1, losses.size):
        best = min(best, losses[k])
    return max(best, 1e-24)


@inlined
def _power_share(loss, best, answer, power):
    """Return loss ** -power, told in that of the best; 0 without an answer."""
    once = best / max(loss, 1e-24)
    once *= once
    once *= once
    share = once
    for _ in range(4, power, 4):
        share *= once
    return 0.0 if np.isnan(answer) else share


@inlined
def _poly_share(regrets, k, answer):
    """Return regret / (its squares so far + the largest) of expert k; 0 without an answer.

    regrets (2 E + 1,): how much better each expert would have been, the squares, the largest.
    """
    experts = regrets.size // 2
    better = 0.0 if np.isnan(answer) else max(regrets[k], 0.0)
    return better / max(regrets[experts + k] + regrets[2 * experts], 1e-100)


@inlined
def _power_mean(losses, values, power):
    """Mean with power shares, taken around the first value: equal values stay as they are.

    All that answered count the same while no loss is known.
    """
    best, total, shift = _best(losses), 0.0, 0.0
    for k in range(values.size):
        share = _power_share(losses[k], best, values[k], power)
        total += share
        shift += share * (_said(values, k) - values[0])
    return values[0] + shift / total


@inlined
def _poly_mean(regrets, values):
    """Mean with polynomial shares, likewise; all count the same where no regret is left."""
    total, shift, plain, answered = 0.0, 0.0, 0.0, 0
    for k in range(values.size):
        share, apart = _poly_share(regrets, k, values[k]), _said(values, k) - values[0]
        total += share
        shift += share * apart
        plain += apart
        answered += not np.isnan(values[k])
    return values[0] + (shift / total if total > 0.0 else plain / max(answered, 1))


@inlined
def mix(losses, regrets, top_losses, issued):
    """Mix the answers at the end of `issued` (1 + MIXTURES + E,) into its front."""
    mixtures, experts = issued[1 : 1 + MIXTURES], issued[1 + MIXTURES :]
    for g in range(losses.shape[0]):
        mixtures[g] = _power_mean(losses[g], experts, POWER)
    for g in range(regrets.shape[0]):
        mixtures[losses.shape[0] + g] = _poly_mean(regrets[g], experts)
    issued[0] = _power_mean(top_losses, mixtures, TOP_POWER)


@inlined
def _divide(weights, answers):
    total, answered = 0.0, 0
    for k in range(weights.size):
        total += weights[k]
        answered += not np.isnan(answers[k])
    for k in range(weights.size):
        if total > 0.0:
            weights[k] /= total
        else:
            weights[k] = 0.0 if np.isnan(answers[k]) else 1.0 / max(answered, 1)


@inlined
def power_weights(losses, answers, power, out):
    """Weights proportional to loss ** -power, 0 without an answer; equal while no loss is known."""
    best = _best(losses)
    for k in range(losses.size):
        out[k] = _power_share(losses[k], best, answers[k], power)
    _divide(out, answers)


@inlined
def _poly_weights(regrets, answers, out):
    for k in range(out.size):
        out[k] = _poly_share(regrets, k, answers[k])
    _divide(out, answers)


@cached
def expert_weights(losses, regrets, top_losses, issued):
    """Return how much each expert counts in the forecast `issued`: (E,), summing to 1."""
    mixtures, experts = issued[1 : 1 + MIXTURES], issued[1 + MIXTURES :]
    out, shares = np.zeros(losses.shape[1]), np.empty(losses.shape[1])
    top = np.empty(MIXTURES)
    power_weights(top_losses, mixtures, TOP_POWER, top)
    for g in range(MIXTURES):
        if g < losses.shape[0]:
            power_weights(losses[g], experts, POWER, shares)
        else:
            _poly_weights(regrets[g - losses.shape[0]], experts, shares)
        for k in range(out.size):
            out[k] += top[g] * shares[k]
    return out


# --------------------------------------------------------------------------------------- learning


@inlined
def _off(y, value, per_size, limit):
    return min(max((y - value) * per_size, -limit), limit)


@inlined
def _discount(losses, memory, square):
    return max(memory * losses + square, 1e-60)


@inlined
def _regret(regrets, experts, mixed, error, per_size, limit, memory):
    """Let the regrets see how the loss of the mixture leans towards each expert."""
    n, largest = experts.size, memory * regrets[2 * experts.size]
    for k in range(n):
        gain = 2.0 * error * _off(_said(experts, k), mixed, per_size, limit)
        regrets[k] = memory * regrets[k] + gain
        regrets[n + k] = memory * regrets[n + k] + gain * gain
        largest = max(largest, gain * gain)
    regrets[2 * n] = largest


@inlined
def judge(losses, regrets, top_losses, issued, y, size, typical):
    """Learn who was right, once the value y of a forecast has come: `issued` as `mix` left it.

    `typical` is the typical change over its horizon, in scales of `size`.
    """
    mixtures, experts = issued[1 : 1 + MIXTURES], issued[1 + MIXTURES :]
    limit, per_size = min(FARTHEST * max(1.0, typical), 1e6), 1.0 / max(size, 1e-300)
    for k in range(experts.size):
        error = _off(y, _said(experts, k), per_size, limit)
        for g in range(losses.shape[0]):
            losses[g, k] = _discount(losses[g, k], POWER_MEMORIES[g], error * error)
    for k in range(MIXTURES):
        error = _off(y, mixtures[k], per_size, limit)
        top_losses[k] = _discount(top_losses[k], TOP_MEMORY, error * error)
    for g in range(regrets.shape[0]):
        mixed = mixtures[losses.shape[0] + g]
        error = _off(y, mixed, per_size, limit)
        _regret(regrets[g], experts, mixed, error, per_size, limit, POLY_MEMORIES[g])
