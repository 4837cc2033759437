"""Bands that hold the share of values they promise, for every target and horizon on its own.

A bank of quantile trackers follows the absolute error, told in scales (`track`). Three
move by a step of their logarithm, at the rates .01, .03 and .1: up when a value fell outside the
band that had been issued for it, a little down when not, in the proportion that makes up for the
level. Two more ride on a running mean of the errors. The half width is their weighted geometric
mean, weights by discounted pinball loss ** -4 (`band`). Since the mean prefers the narrow ones, it
holds a little less than each of them; a slow correction by the share that the bands as issued have
held makes up for it (`widened`): 0.6 % worse by the Winkler score, and within 89.0 to 90.3 % on all
recordings, where it was 87.8 to 90.3.

This is online conformal prediction in the manner of Gibbs & Candes (2021), on a logarithmic scale:
while log q stays within a range B, the long-run coverage is off by at most (B / rate + h) / T,
whatever the data do. It needs no window, cannot become infinite, and works with labels that come
h records late, where adaptive methods with one rate either lag or swing.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import inlined
from streamlnn.model.state import State

TRACKER_RATES = np.array([0.01, 0.03, 0.1, 0.01, 0.01])
"""Learning rates of the quantile trackers; the last two ride on a running mean of the scores."""
MEAN_RATES = np.array([0.0, 0.0, 0.0, 1.0 / 50.0, 1.0 / 150.0])

WIDENING, WIDEST = 0.001, 0.5
"""How fast, and how far, the logarithm of all half widths is corrected."""

LEAST_WIDTH = 1e-6
LEAST_LOG_WIDTH = np.log(LEAST_WIDTH)


def initial_intervals(targets: int, horizons: int) -> dict[str, NDArray[Any]]:
    """Return the trackers before the first error: as wide as one usual change."""
    shape = (targets, horizons, TRACKER_RATES.size)
    return {
        "log_q": np.zeros(shape),
        "band_means": np.ones(shape),
        "band_losses": np.zeros(shape),
    }


def rescaled(state: State, alpha: float) -> State:
    """Return the state with its trackers where they would be, had it always had this `alpha`.

    As if errors were normal. That is near enough: from a level of 0.9 to 0.5 the next 100 bands
    hold 0.46 to 0.58 of normal or heavy-tailed noise and about 0.4 of a random walk, and 0.48 to
    0.54 after 200 records; left to themselves the trackers start at 0.8 and are at 0.53 to 0.61
    after 200 to 400.
    The widths that wait for their values move too, or the trackers would learn from bands of the
    old level; what was issued is still scored as it was issued.
    """
    before = float(state.alpha[0])
    if before == alpha:
        return state
    ratio = _normal_width(alpha) / _normal_width(before)
    bands = state.waiting_bands.copy()
    bands[..., 1:] *= ratio
    return state._replace(log_q=state.log_q + np.log(ratio), waiting_bands=bands)


def _normal_width(alpha: float) -> float:
    return -NormalDist().inv_cdf(min(max(alpha, 1e-9), 1.0 - 1e-9) / 2.0)


@inlined
def _tracker(log_q, means, k):
    if MEAN_RATES[k] == 0.0:
        return max(np.exp(log_q[k]), LEAST_WIDTH)
    return max(means[k] * np.exp(log_q[k]), LEAST_WIDTH)


@inlined
def _log_width(log_q, means, k):
    moved = 0.0 if MEAN_RATES[k] == 0.0 else np.log(means[k])
    return max(moved + log_q[k], LEAST_LOG_WIDTH)


@inlined
def band(log_q, means, losses):
    """Return the half width in scales."""
    best = np.inf
    for k in range(losses.size):
        best = min(best, losses[k])
    best = max(best, 1e-24)
    total, mean = 0.0, 0.0
    for k in range(losses.size):
        share = best / max(losses[k], 1e-24)
        share *= share
        weight = share * share
        total += weight
        mean += weight * _log_width(log_q, means, k)
    return np.exp(mean / total)


@inlined
def widths(log_q, means, out):
    """Write each tracker's own half width, which it will learn from: no part of the forecast."""
    for k in range(out.size):
        out[k] = _tracker(log_q, means, k)


@inlined
def widened(wider, inside, alpha):
    """Return the correction of log half widths once it is known whether a value was `inside`."""
    return min(max(wider + WIDENING * (1.0 - inside - alpha), -WIDEST), WIDEST)


@inlined
def track(log_q, means, losses, issued, score, alpha, count, delay):
    """Learn from one absolute error in scales and the half widths that were issued for it.

    `delay` is how many forecasts are under way. Until as many have been scored, the error is held
    against the width of now: else each of those under way would push for one and the same miss.
    """
    young = count < delay
    for k in range(losses.size):
        q = issued[1 + k]
        losses[k] = 0.99 * losses[k] + (score - q) * ((1.0 if score > q else 0.0) - alpha)
        if count == 0.0:
            log_q[k] = np.log(max(score, 1e-3)) if MEAN_RATES[k] == 0.0 else 0.7
            means[k] = score
            continue
        above = 1.0 if score > (_tracker(log_q, means, k) if young else q) else 0.0
        means[k] += max(1.0 / (count + 1.0), MEAN_RATES[k]) * (score - means[k])
        means[k] = max(means[k], 1e-60)
        rate = max(TRACKER_RATES[k], 1.0 / (count + 10.0))
        log_q[k] = min(max(log_q[k] + rate * (above - alpha), -14.0), 50.0)
