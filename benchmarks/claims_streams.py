"""Made streams for the article's claims: dynamics that switch, and clean signals to disturb.

Every stream is made from its seed alone. Those that switch carry noise of 5 % of their standard
deviation, or are random themselves, so that there is an error that nobody can go below.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from benchmarks import signals
from benchmarks.common import Array

NOISE = 0.05
REGIMES = 4


@dataclass(frozen=True, slots=True)
class Switching:
    """A stream `y` (n,) whose dynamics are others from each index in `switches` on."""

    name: str
    y: Array
    switches: tuple[int, ...]


def switching(length: int, seed: int) -> list[Switching]:
    """Return the streams of four regimes of `length` samples each, for one seed."""
    return [make(length, seed) for make in _SWITCHING]


def clean_signals(n: int, seed: int) -> dict[str, Array]:
    """Return signals (n,) of mean 0 and standard deviation 1, for one seed."""
    chaos = {"Mackey-Glass": section(signals.mackey_glass, n, seed)}
    chaos["Lorenz"] = section(signals.lorenz, n, seed)
    return {
        name: standardised(y) for name, y in {**chaos, "daily wave": daily_wave(n, seed)}.items()
    }


def standardised(y: Array) -> Array:
    """Return `y` with mean 0 and standard deviation 1."""
    return np.asarray((y - y.mean()) / y.std())


def daily_wave(n: int, seed: int) -> Array:
    """Return a wave of 48 samples with overtones, and a slow random walk that returns to 0."""
    random = np.random.default_rng([seed, 1])
    t = np.arange(n) + random.uniform(0.0, 48.0)
    angle = 2.0 * np.pi * t / 48.0
    wave = np.sin(angle) + 0.4 * np.sin(2.0 * angle + 1.0) + 0.2 * np.sin(3.0 * angle + 2.0)
    return wave + autoregressive(n, random, np.array([0.98]), 0.06)


def autoregressive(n: int, random: np.random.Generator, weights: Array, size: float) -> Array:
    """Return y_t = weights . (y_t-1, y_t-2, ...) + size * noise, started at 0."""
    order = weights.size
    y = np.zeros(n + order)
    y[order:] = size * random.standard_normal(n)
    for t in range(order, n + order):
        y[t] += weights @ y[t - order : t][::-1]
    return y[order:]


@lru_cache(maxsize=16)
def section(signal: Callable[[int], Array], n: int, number: int) -> Array:
    """Return n samples of a signal that is the same at every call, others for each number."""
    start = 1_000 * number
    return signal(start + n)[start:]


def _joined(name: str, parts: list[Array]) -> Switching:
    starts = np.cumsum([part.size for part in parts])[:-1]
    return Switching(name, np.concatenate(parts), tuple(int(k) for k in starts))


def _poles_jump(length: int, seed: int) -> Switching:
    """Make a random oscillation whose period jumps: AR(2) with poles of modulus 0.97."""
    random, angles = np.random.default_rng([seed, 2]), 2.0 * np.pi / np.array([6, 25, 10, 60])
    weights = [np.array([2.0 * 0.97 * np.cos(a), -(0.97**2)]) for a in angles]
    return _joined("AR(2) poles jump", [autoregressive(length, random, w, 1.0) for w in weights])


def _other_chaos(length: int, seed: int) -> Switching:
    """Join Mackey-Glass and Lorenz in turn, whose scales differ by a factor of 35."""
    makers = [signals.mackey_glass, signals.lorenz] * (REGIMES // 2)
    parts = [section(make, length, REGIMES * seed + k) for k, make in enumerate(makers)]
    noisy = [signals.with_noise(part, NOISE, seed=k) for k, part in enumerate(parts)]
    return _joined("Mackey-Glass to Lorenz", noisy)


def _level_and_gain(length: int, seed: int) -> Switching:
    """Change the level and the gain of one signal, Mackey-Glass."""
    y = signals.with_noise(section(signals.mackey_glass, REGIMES * length, seed), NOISE, seed)
    parts = zip(np.split(standardised(y), REGIMES), *_GAINS_AND_LEVELS, strict=True)
    return _joined("level and gain", [level + gain * part for part, gain, level in parts])


def _speed_changes(length: int, seed: int) -> Switching:
    """Make a machine that changes its speed: a wave with an overtone, and noise."""
    speeds = np.repeat(1.0 / np.array([20.0, 13.0, 31.0, 17.0]), length)
    phase = 2.0 * np.pi * np.cumsum(speeds)
    wave = np.sin(phase) + 0.5 * np.sin(2.0 * phase + 1.0)
    noisy = signals.with_noise(wave, NOISE, seed)
    return _joined("speed changes", np.split(noisy, REGIMES))


_GAINS_AND_LEVELS = ((1.0, 4.0, 0.5, 2.0), (0.0, 10.0, -5.0, 20.0))
_SWITCHING = (_poles_jump, _other_chaos, _level_and_gain, _speed_changes)
