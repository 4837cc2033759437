"""Durations as counts of a recording's samples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from streamlnn.model.records import Vector
from streamlnn.model.settings import MOST_SAMPLES
from streamlnn.model.units import parse_duration


def interval(times: Vector | None) -> float:
    """Return the median seconds from one record to the next, infinite without a clock.

    >>> interval(np.array([0.0, 60.0, 60.0, 120.0, 500.0])), interval(None)
    (60.0, inf)
    """
    steps = np.diff(times) if times is not None else np.empty(0)
    return float(np.median(steps[steps > 0.0])) if (steps > 0.0).any() else math.inf


def in_samples(lengths: Sequence[int | str], every: float, *, least: int = 1) -> list[int]:
    """Return lengths in samples, rising; `every` is the seconds from one sample to the next.

    Durations of fewer than `least` samples, or of more than a forecaster takes, are left out.

    >>> in_samples(["10s", "1m", "1h"], 60.0), in_samples([1, 12], 60.0)
    ([1, 60], [1, 12])
    """
    counts = {
        round(parse_duration(length) / every) if isinstance(length, str) else length
        for length in lengths
    }
    return sorted(count for count in counts if least <= count <= MOST_SAMPLES)


def in_duration(samples: int, every: float) -> str:
    """Return so many samples as a duration; `every` is the seconds from one to the next.

    >>> in_duration(48, 1800.0), in_duration(3, 0.5)
    ('86400s', '1.5s')
    """
    return f"{samples * every:.6f}".rstrip("0").rstrip(".") + "s"
