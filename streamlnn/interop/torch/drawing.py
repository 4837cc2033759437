"""The reservoir of a new `ESN`, drawn as the daemon would draw it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    **more: Any,
) -> Reservoir:
    """Return the reservoir of these settings; raises `ValueError` for those that are none."""
    spans = {"tau": _ends(1.0 if tau is None else tau), "input_scale": _ends(input_scale)}
    reservoir = Reservoir(units, inputs, seed, **spans, **more)
    if tau is None or leak is not None:
        reservoir.tau = time_constants(tau, leak, units, "float64")
    return reservoir


def _ends(given: float | Span) -> Any:
    return given if isinstance(given, Sequence) else (given, given)
