"""How a reservoir of its own hears a stream: running scales, and elapsed time in usual steps."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import take_time
from streamlnn.model.scaling import (
    FRESH,
    LARGEST,
    REPEATED,
    SCALES,
    SMALLEST,
    STANDS_STILL,
    settle_level,
    settled_level,
    update_scale,
)
from streamlnn.model.state import COUNTS

Array = NDArray[Any]


class Clock(NamedTuple):
    """What `take_time` knows of the times so far, as in a forecaster's state."""

    by_time: Array  # (1,) bool
    counts: Array  # (COUNTS,) int64
    clock: Array  # (CLOCK,)
    gaps: Array  # (32,) the latest elapsed times
    due: Array  # (0,) int64


def fresh_clock(every: float | None) -> Clock:
    """Return the clock before the first sample; the usual step is learned unless given."""
    step = every or 0.0
    return Clock(
        np.array([False]),
        np.zeros(COUNTS, np.int64),
        np.array([np.nan, step, step, np.nan, step, step]),
        np.zeros(32),
        np.zeros(0, np.int64),
    )


def steps_until(clock: Clock, when: float) -> float:
    """Return the usual steps from the newest sample to `when`; the clock stays as it is."""
    return float(take_time(Clock(*(part.copy() for part in clock)), when))


class Scales:
    """Running location and scale of every input: `streamlnn.model.scaling` for named numbers.

    A missing value is the last one known, and what is not known yet is heard as 0.
    """

    def __init__(self) -> None:
        self._scales, self._last = np.zeros((0, SCALES)), np.zeros(0)

    def heard(self, values: Array) -> Array:
        """Return values (inputs,) standardised, within +-5."""
        heard = np.zeros(values.size)
        for k, last in enumerate(self._last):
            known = values[k] if abs(values[k]) <= LARGEST else last
            if not np.isnan(known):
                heard[k] = settled_level(self._scales[k], known)
        return heard

    def learn(self, values: Array) -> None:
        """Let the scales see values (inputs,), of which the last may be new."""
        self._widen(values.size)
        for k in np.flatnonzero(np.abs(values) <= LARGEST):
            scale, value = self._scales[k], float(values[k])
            value = 0.0 if abs(value) < SMALLEST else value
            update_scale(scale, value, self._last[k])
            if scale[REPEATED] <= STANDS_STILL:
                settle_level(scale)
            self._last[k], scale[FRESH] = value, 1.0

    def _widen(self, inputs: int) -> None:
        more = inputs - self._last.size
        if more > 0:
            self._scales = np.concatenate([self._scales, np.zeros((more, SCALES))])
            self._last = np.append(self._last, np.full(more, np.nan))
