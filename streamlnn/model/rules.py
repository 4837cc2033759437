"""Rules that settings keep: each says what is wanted, and what was given instead."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any


def need(sound: bool, rule: str, given: object) -> None:
    """Raise `ValueError`, with the rule and what was given, unless it is kept.

    >>> need(-1 > 0, "ridge must be positive", -1)
    Traceback (most recent call last):
    ValueError: ridge must be positive, not -1
    """
    if not sound:
        raise ValueError(f"{rule}, not {given!r}")


def need_ends(name: str, given: Any) -> None:
    """Raise `ValueError` unless something can be drawn between two ends, log-uniform."""
    sound = isinstance(given, tuple | list) and len(given) == 2
    sound = sound and all(isinstance(end, Real) for end in given)
    sound = sound and 0.0 < given[0] <= given[1] < math.inf
    need(sound, f"{name} must be two positive numbers, rising", given)


def need_reservoir(
    units: int,
    inputs: int,
    *,
    spectral_radius: float,
    fan_in: int,
    tau: Any,
    input_scale: Any,
    bias: float,
) -> None:
    """Raise `ValueError` unless a reservoir of these settings can be drawn."""
    need(units >= 1, "units must be 1 or more", units)
    need(inputs >= 0, "inputs must be 0 or more", inputs)
    need(0.0 <= spectral_radius < math.inf, "spectral_radius must be 0 or more", spectral_radius)
    need(fan_in >= 1, "fan_in must be 1 or more", fan_in)
    need_ends("tau", tau)
    need_ends("input_scale", input_scale)
    need(0.0 <= bias < math.inf, "bias must be 0 or more", bias)


def need_learning(forgetting: float, ridge: float) -> None:
    """Raise `ValueError` unless recursive least squares can go on for ever with these."""
    need(0.0 < forgetting <= 1.0, "forgetting must be in (0, 1]", forgetting)
    need(0.0 < ridge < math.inf, "ridge must be positive", ridge)
