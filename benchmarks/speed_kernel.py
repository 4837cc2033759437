"""How near the covariance's update comes to what memory allows.

The floor is half of the covariance read and written once, as fast as a compiled loop that does
nothing else does it here. The update is that of `OnlineESN`: float32, the refresh of every fourth
sample included.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from benchmarks.speed_timing import cpu, rounds
from streamlnn.model.readout import REFRESH_EVERY, absorb, refresh, refresh_weight, unit_factor

FORGETTING, RIDGE = 0.9998, 1e-4


@njit(nogil=True, error_model="numpy")
def update(factor: Any, diagonal: Any, features: Any, gain: Any, weight: float) -> None:
    """Take features (n, units) into the covariance, with a refresh of `weight` every 4th time."""
    for t in range(features.shape[0]):
        absorb(factor, diagonal, features[t], FORGETTING, gain)
        if t % REFRESH_EVERY == 0:
            refresh(factor, diagonal, t // REFRESH_EVERY % diagonal.size, weight, gain)


@njit(nogil=True, error_model="numpy")
def _pass(half: Any, times: int, scale: Any) -> None:
    for _ in range(times):
        for i in range(half.size):
            half[i] *= scale


def over_floor(units: int, samples: int, count: int) -> tuple[float, float, float]:
    """Return microseconds a sample of the floor and of the update, and how many floors that is."""
    half, one = np.ones(units * (units + 1) // 2, np.float32), np.float32(1.0)
    factor, diagonal = unit_factor(units, "float32"), np.full(units, 1.0 / RIDGE, np.float32)
    features = np.random.default_rng(0).standard_normal((samples, units)).astype(np.float32)
    gain, weight = np.empty_like(diagonal), refresh_weight(FORGETTING, RIDGE, units)
    return rounds(
        lambda: cpu(lambda: _pass(half, samples, one), samples),
        lambda: cpu(lambda: update(factor, diagonal, features, gain, weight), samples),
        count,
    )
