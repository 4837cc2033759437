"""The experts and their weighted mean, for every target and horizon on its own.

No single way to forecast wins everywhere, so several answer and those that have been right lately
are heard: persistence (as now), the full readout on the reservoir's features, two autoregressions
on the target's own 24 lags, one that forgets within 500 records and one within 5,000, and for each
season given the value one season ago. Each answer is kept near the range seen
(`experts._bounded`).

Their weights follow the power rule: proportional to L ** -8, where L is a discounted sum of squared
errors (it is exponential weighting of a Gaussian's log-loss whose variance is unknown, that is,
tempered dynamic model averaging: Raftery et al. 2010). How long to remember is not known either, so
there is one mixture for each of three memories, and the same rule mixes those
(`MEMORIES`, `TOP_MEMORY`). Losses come when targets come: h records late for
horizon h, which costs a constant only (Joulani et al. 2013). Errors are told in scales and cut off
at eight times the usual change over that horizon, so that one wild value decides nothing.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import cached, inlined

MEMORIES = np.array([0.99, 0.998, 0.9995])
"""How much of a squared loss is kept from one record to the next, one mixture for each."""
TOP_MEMORY = 0.998


def initial_mixture(targets: int, horizons: int, experts: int) -> dict[str, NDArray[Any]]:
    """Return the losses before the first record: all weights are equal."""
    shape = (targets, horizons, MEMORIES.size)
    return {
        "losses": np.zeros((*shape, experts)),
        "top_losses": np.zeros(shape),
    }


@cached(forceinline=True)
def power_weights(losses, out):
    """Weights proportional to loss ** -8; equal while no loss is known."""
    best, total = np.inf, 0.0
    for k in range(losses.size):
        best = min(best, losses[k])
    best = max(best, 1e-24)
    for k in range(losses.size):
        share = best / max(losses[k], 1e-24)
        share *= share
        share *= share
        out[k] = share * share
        total += out[k]
    for k in range(losses.size):
        out[k] /= total


@inlined
def mixed(losses, values, weights):
    """Weighted mean, taken around the first value so that equal values stay what they are."""
    power_weights(losses, weights)
    shift = 0.0
    for k in range(values.size):
        shift += weights[k] * (values[k] - values[0])
    return values[0] + shift


@inlined
def discount(losses, values, y, size, limit, memory):
    """Let every forecaster's discounted squared loss see its error, in scales, within +-limit."""
    for k in range(values.size):
        error = min(max((y - values[k]) / size, -limit), limit)
        losses[k] = memory * losses[k] + error * error
