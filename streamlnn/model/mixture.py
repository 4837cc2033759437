"""The experts and their weighted mean, for every target and horizon on its own.

No single way to forecast wins everywhere, so several answer and those that have been right lately
are heard: persistence (as now), the full readout on the reservoir's features, two autoregressions
on the target's own 24 lags, one that forgets within 500 records and one within 5,000, and for each
season given the value one season ago. Each answer is kept near the range seen
(`kernels._bounded`).

Their weights follow the power rule: proportional to L ** -8, where L is a discounted sum of squared
errors (it is exponential weighting of a Gaussian's log-loss whose variance is unknown, that is,
tempered dynamic model averaging: Raftery et al. 2010). How long to remember is not known either, so
there is one mixture for each of three memories, and the same rule mixes those
(`kernels.MEMORIES`, `kernels.TOP_MEMORY`). Losses come when targets come: h records late for
horizon h, which costs a constant only (Joulani et al. 2013). Errors are told in scales and cut off
at eight times the usual change over that horizon, so that one wild value decides nothing.

The compiled part is the section "mixture" of kernels.py; the experts' answers are asked for in its
section "forecasting", and the seasonal ones found in "seasons".
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.kernels import MEMORIES


def initial_mixture(targets: int, horizons: int, experts: int) -> dict[str, NDArray[Any]]:
    """Return the losses before the first record: all weights are equal."""
    shape = (targets, horizons, MEMORIES.size)
    return {
        "losses": np.zeros((*shape, experts)),
        "top_losses": np.zeros(shape),
    }
