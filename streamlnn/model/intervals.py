"""Bands that hold the share of values they promise, for every target and horizon on its own.

A bank of quantile trackers follows the absolute error, told in scales (`kernels.track`). Three
move by a step of their logarithm, at the rates .01, .03 and .1: up when a value fell outside the
band that had been issued for it, a little down when not, in the proportion that makes up for the
level. Two more ride on a running mean of the errors. The half width is their weighted geometric
mean, weights by discounted pinball loss ** -4 (`kernels.band`).

This is online conformal prediction in the manner of Gibbs & Candes (2021), on a logarithmic scale:
while log q stays within a range B, the long-run coverage is off by at most (B / rate + h) / T,
whatever the data do. It needs no window, cannot become infinite, and works with labels that come
h records late, where adaptive methods with one rate either lag or swing.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.kernels import TRACKER_RATES


def initial_intervals(targets: int, horizons: int) -> dict[str, NDArray[Any]]:
    """Return the trackers before the first error: as wide as one usual change."""
    shape = (targets, horizons, TRACKER_RATES.size)
    return {
        "log_q": np.zeros(shape),
        "band_means": np.ones(shape),
        "band_losses": np.zeros(shape),
    }
