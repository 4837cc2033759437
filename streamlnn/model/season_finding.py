"""Seasons that nobody gave: look for one now and then, and use what is found.

While a model knows no season it keeps its newest values one by one, and the compiled loop stops
when a look is due. When 1,024 values show none, every second one is dropped and kept from then on,
down to one of `COARSEST`: so a minute's stream sees five days. A season that is found is used from
the next record on, as a given one is; `season_search` says what counts as one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import CADENCE
from streamlnn.model.season_search import FEWEST, LONGEST_LOOK, consider, seasons_in_use
from streamlnn.model.state import NEXT_LOOK, SEASON_PUSHED, State

COARSEST = 8
"""Of so many values at least one is kept."""


def look(state: State) -> None:
    """Look for the seasons of every target; use that of the first target that has one."""
    kept = int(state.counts[SEASON_PUSHED])
    spacing, second = _spacing(state, kept), _second(state)
    for search, values in zip(state.season_search, state.season_values.T, strict=True):
        consider(search, values, kept, spacing, second)
    found = [season for search in state.season_search for season in seasons_in_use(search)]
    state.seasons[0] = found[0] if found else 0.0
    if not found and kept >= LONGEST_LOOK and 2.0 * spacing <= COARSEST * _usual(state):
        kept = _coarsen(state, kept, spacing)
    state.counts[NEXT_LOOK] = next_look(kept)


def next_look(kept: int) -> int:
    """Return how many values must have been kept for the next look: a quarter new, or half."""
    if kept >= LONGEST_LOOK:
        return kept + LONGEST_LOOK // 2
    return min(max(FEWEST, kept + kept // 3 + 1), LONGEST_LOOK)


def _usual(state: State) -> float:
    return float(state.clock[CADENCE]) if state.by_time[0] else 1.0


def _second(state: State) -> float:
    """Return seconds per unit of the coordinates, 0 without a clock."""
    return 1.0 if state.by_time[0] else float(state.clock[CADENCE])


def _spacing(state: State, kept: int) -> float:
    """Return the mean distance of the values kept."""
    at, n = state.season_at, min(kept, len(state.season_at))
    return float(at[(kept - 1) % len(at)] - at[(kept - n) % len(at)]) / (n - 1)


def _coarsen(state: State, kept: int, spacing: float) -> int:
    """Keep every second value, the newest among them; return how many have been kept in all."""
    size, half = len(state.season_at), kept // 2
    newest = np.arange(kept - 1, max(-1, kept - size - 1), -2)
    for ring in (state.season_at, state.season_values):
        _lay(ring, ring[newest % size], (half - 1 - np.arange(len(newest))) % size)
    state.season_spacing[0] = 1.9 * spacing
    state.counts[SEASON_PUSHED] = half
    return half


def _lay(ring: NDArray[Any], values: NDArray[Any], places: NDArray[Any]) -> None:
    ring[places] = values
