"""Signals that are made, not recorded: three that the reservoir literature forecasts.

All are (n,) or (n, fields), without their transient, the same at every call.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.common import Array

TRANSIENT = 500


def mackey_glass(n: int, tau: float = 17.0) -> Array:
    """Return x of dx/dt = 0.2 x(t - tau) / (1 + x(t - tau)^10) - 0.1 x, one sample a unit of time.

    Mackey and Glass 1977, integrated by Heun's method in a hundred steps a sample.
    """
    per_sample, step, back = 100, 0.01, round(tau * 100)
    x = [1.2] * (back + 1)
    for _ in range((n + TRANSIENT) * per_sample):
        now, drive, later = x[-1], _delayed(x[-1 - back]), _delayed(x[-back])
        slope = drive - 0.1 * now
        x.append(now + 0.5 * step * (slope + later - 0.1 * (now + step * slope)))
    return np.array(x[back + TRANSIENT * per_sample :: per_sample][:n])


def _delayed(x: float) -> float:
    return 0.2 * x / (1.0 + x**10)


def lorenz(n: int, interval: float = 0.04) -> Array:
    """Return x of the Lorenz system (10, 28, 8/3), one sample each `interval`. Lorenz 1963.

    Runge-Kutta steps of a tenth of it.
    """
    state, per_sample = np.array([1.0, 1.0, 1.0]), 10
    out = np.empty(n + TRANSIENT)
    for i in range(out.size):
        out[i] = state[0]
        for _ in range(per_sample):
            state = _runge_kutta(_lorenz, state, interval / per_sample)
    return out[TRANSIENT:]


def _lorenz(s: Array) -> Array:
    x, y, z = s
    return np.array([10.0 * (y - x), x * (28.0 - z) - y, x * y - 8.0 / 3.0 * z])


def _runge_kutta(slope: Callable[[Array], Array], s: Array, step: float) -> Array:
    a = slope(s)
    b = slope(s + 0.5 * step * a)
    c = slope(s + 0.5 * step * b)
    d = slope(s + step * c)
    return s + step / 6.0 * (a + 2.0 * b + 2.0 * c + d)


def narma10(n: int, seed: int = 1) -> Array:
    """Return u and y, (n, 2), of the tenth-order moving average that Atiya and Parlos 2000 made.

    u is uniform on [0, 0.5]; y follows from the u and y before it, up to ten samples back.
    """
    u = np.random.default_rng(seed).uniform(0.0, 0.5, n + TRANSIENT)
    y = np.zeros(u.size)
    for t in range(9, u.size - 1):
        remembered = y[t] * y[t - 9 : t + 1].sum()
        y[t + 1] = 0.3 * y[t] + 0.05 * remembered + 1.5 * u[t - 9] * u[t] + 0.1
    return np.stack([u, y], axis=1)[TRANSIENT:]


def with_noise(values: Array, share: float, seed: int = 2) -> Array:
    """Return the values with Gaussian noise of `share` of each field's standard deviation."""
    noise = np.random.default_rng(seed).standard_normal(values.shape)
    return np.asarray(values + share * values.std(axis=0) * noise)
