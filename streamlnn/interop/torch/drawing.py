"""The reservoir of a new `ESN`: its settings checked, and drawn as the daemon would draw it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamlnn.model.given import time_constants
from streamlnn.model.reservoir import Reservoir

Span = tuple[float, float]


def drawn(
    units: int,
    inputs: int,
    seed: int,
    *,
    leak: float | None,
    tau: float | Span | None,
    input_scale: float | Span,
    spectral_radius: float,
    fan_in: int,
    bias: float,
) -> Reservoir:
    """Return the reservoir of these settings; raises `ValueError` for those that are none."""
    need(units >= 1, "reservoir_size must be 1 or more", units)
    need(inputs >= 1, "input_size must be 1 or more", inputs)
    need(0.0 <= spectral_radius < np.inf, "spectral_radius must be 0 or more", spectral_radius)
    need(fan_in >= 1, "fan_in must be 1 or more", fan_in)
    need(0.0 <= bias < np.inf, "bias must be 0 or more", bias)
    reservoir = Reservoir(
        units,
        inputs,
        seed,
        spectral_radius=spectral_radius,
        fan_in=fan_in,
        tau=_ends("tau", 1.0 if tau is None else tau),
        input_scale=_ends("input_scale", input_scale),
        bias=bias,
    )
    if tau is None or leak is not None:
        reservoir.tau = time_constants(tau, leak, units, "float64")
    return reservoir


def checked(washout: int, forgetting: float, ridge: float) -> tuple[int, float, float]:
    """Return what a readout is to learn by; raises `ValueError` where it cannot."""
    need(washout >= 0, "washout must be 0 or more", washout)
    need(0.0 < forgetting <= 1.0, "forgetting must be in (0, 1]", forgetting)
    need(0.0 < ridge < np.inf, "ridge must be positive", ridge)
    return washout, forgetting, ridge


def _ends(name: str, given: float | Span) -> Span:
    low, high = given if isinstance(given, Sequence) else (given, given)
    need(0.0 < low <= high < np.inf, f"{name} must be positive, two ends rising", given)
    return low, high


def need(sound: bool, rule: str, given: object) -> None:
    """Raise `ValueError`, naming the rule and what was given, unless it is sound."""
    if not sound:
        raise ValueError(f"{rule}, not {given!r}")
