"""Past values one season ago: what the seasonal experts answer and the readouts hear.

A ring keeps the newest records, at most `MOST_REMEMBERED` of them: those of a longer season are
kept at a coarser spacing and read between. A season that was not given is found (`season_finding`).
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import CADENCE, GAP
from streamlnn.model.compiled import exact
from streamlnn.model.scaling import FRESH
from streamlnn.model.season_search import initial_search
from streamlnn.model.settings import Settings
from streamlnn.model.state import SEASON_PUSHED

MOST_REMEMBERED = 1024
"""Past values kept for the seasons, at most."""

NO_ANSWER = np.nan


def initial_seasons(settings: Settings) -> dict[str, NDArray[Any]]:
    """Return the ring before the first record, and the search where no season is given."""
    T, given = len(settings.target_fields), settings.season_lengths
    spacing, size = _ring(max(given, default=0.0), settings.by_time)
    return {
        "seasons": np.array(given or [0.0]),
        "season_at": np.zeros(size),
        "season_values": np.zeros((size, T)),
        "season_spacing": np.array([spacing]),
        "season_search": np.tile(initial_search(), (0 if given else T, 1)),
    }


def _ring(longest: float, by_time: bool) -> tuple[float, int]:
    """Return the spacing of the values to be kept, and room for how many."""
    if by_time or longest == 0.0:
        return longest / MOST_REMEMBERED, MOST_REMEMBERED + 2
    spacing = max(1.0, math.ceil(longest / MOST_REMEMBERED))
    return spacing, math.ceil(longest / spacing) + 2


@exact
def remember(s, at):
    """Keep the newest values for later seasons, unless the last kept are near enough."""
    n, size = s.counts[SEASON_PUSHED], s.season_at.size
    if n > 0 and at < s.season_at[(n - 1) % size] + s.season_spacing[0]:
        return
    s.season_at[n % size] = at
    for t in range(s.targets.size):
        field = s.targets[t]
        fresh = s.scales[field, FRESH] > 0.0
        s.season_values[n % size, t] = s.history[field, 0] if fresh else np.nan
    s.counts[SEASON_PUSHED] = n + 1


@exact
def _find(s, at):
    """Return the first kept record at or after `at`, counted from the first ever kept."""
    size = s.season_at.size
    high = s.counts[SEASON_PUSHED]
    low = max(0, high - size)
    while low < high:
        middle = (low + high) // 2
        if s.season_at[middle % size] < at:
            low = middle + 1
        else:
            high = middle
    return low


@exact
def _past_value(s, at, t, widest):
    """Target t at coordinate `at`, between the kept records around it; NaN when unknown."""
    size, n = s.season_at.size, s.counts[SEASON_PUSHED]
    right = _find(s, at)
    if right < n and s.season_at[right % size] - at < 1e-6 * widest:
        return s.season_values[right % size, t]
    if right == n and n > 0:
        return s.history[s.targets[t], 0]
    if right == max(0, n - size):
        return NO_ANSWER
    a, b = (right - 1) % size, right % size
    width = s.season_at[b] - s.season_at[a]
    if width > widest:
        return NO_ANSWER
    share = (at - s.season_at[a]) / width
    return s.season_values[a, t] + share * (s.season_values[b, t] - s.season_values[a, t])


@exact
def seasonal(s, at, t, ahead, season):
    """Return the newest known value a whole number of seasons before the time forecast."""
    if season <= 0.0:
        return NO_ANSWER
    usual = s.clock[CADENCE] if s.by_time[0] else 1.0
    back = season * np.ceil(ahead / season - 1e-9)
    return _past_value(s, at + ahead - back, t, GAP * max(usual, s.season_spacing[0]))
