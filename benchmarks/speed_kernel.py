"""How near the covariance's update comes to what memory allows.

The floor is half of the covariance read and written once, as fast as a compiled loop that does
nothing else does it here. The update is that of `OnlineESN`: float32, the refresh of every fourth
sample included.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, allow-untyped-decorators
from __future__ import annotations

import numpy as np
from numba import njit

from benchmarks.speed_timing import cpu, rounds
from streamlnn.model.readout import REFRESH_EVERY, absorb, refresh, refresh_weight, unit_factor

FORGETTING, RIDGE = 0.9998, 1e-4


@njit(nogil=True, error_model="numpy")
def _update(U, D, X, gain, weight):
    for t in range(X.shape[0]):
        absorb(U, D, X[t], FORGETTING, gain)
        if t % REFRESH_EVERY == 0:
            refresh(U, D, t // REFRESH_EVERY % D.size, weight, gain)


@njit(nogil=True, error_model="numpy")
def _pass(half, times, factor):
    for _ in range(times):
        for i in range(half.size):
            half[i] *= factor


def over_floor(units: int, samples: int) -> tuple[float, float, float]:
    """Return microseconds a sample of the floor and of the update, and how many floors that is."""
    half, one = np.ones(units * (units + 1) // 2, np.float32), np.float32(1.0)
    U, D = unit_factor(units, "float32"), np.full(units, 1.0 / RIDGE, np.float32)
    X = np.random.default_rng(0).standard_normal((samples, units)).astype(np.float32)
    gain, weight = np.empty_like(D), refresh_weight(FORGETTING, RIDGE, units)
    return rounds(
        lambda: cpu(lambda: _pass(half, samples, one), samples),
        lambda: cpu(lambda: _update(U, D, X, gain, weight), samples),
    )
