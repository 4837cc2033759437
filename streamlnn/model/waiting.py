"""Room for the forecasts that wait for their targets: more of it, or fewer that wait.

Forecasts wait in a ring of slots, numbered from the first ever; each horizon points at the oldest
one it has not settled. A ring that is full grows up to `MOST_WAITING` slots. Beyond it ("24h" on
a record a second) the horizon that most of them wait for learns from half as many records from
then on: from those whose number is a multiple of its stride. Short horizons keep all of theirs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.readout import REFRESH_EVERY
from streamlnn.model.state import PUSHED, SEQ, THINNED, State

Array = NDArray[Any]

MOST_WAITING = 1024
FEWEST_WAITING = 64


def turns(slots: int) -> int:
    """Return how many refresh gains must be kept beside so many slots."""
    return slots // REFRESH_EVERY + 2


def with_room(state: State) -> State:
    """Return the state of a full ring with free slots."""
    return grown(state) if state.waiting_at.size < MOST_WAITING else thinned(state)


def grown(state: State) -> State:
    """Return the state with twice the slots; nothing else changes."""
    slots = min(2 * state.waiting_at.size, MOST_WAITING)
    pushed, seq = state.counts[PUSHED], state.counts[SEQ]
    rings = {name: _resized(getattr(state, name), slots, pushed) for name in _rings()}
    refreshed = (seq + REFRESH_EVERY - 1) // REFRESH_EVERY
    for name in ("refresh_gain", "refresh_own_gain"):
        rings[name] = _resized(getattr(state, name), turns(slots), refreshed)
    return state._replace(**rings)


def thinned(state: State) -> State:
    """Return the state with a quarter of the slots free: the busiest horizons wait for fewer."""
    state, slots = _compacted(state), state.waiting_at.size
    while state.counts[PUSHED] - state.due.min() > slots - slots // 4:
        state.stride[_busiest(state)] *= 2
        state = _compacted(state)
    return state


def _rings() -> list[str]:
    return [name for name in State._fields if name.startswith("waiting_")]


def _resized(ring: Array, size: int, count: int) -> Array:
    """Lay a ring that has taken `count` entries out anew, each at its number modulo `size`."""
    larger = np.zeros((size, *ring.shape[1:]), ring.dtype)
    kept = np.arange(max(0, count - len(ring)), count)
    larger[kept % size] = ring[kept % len(ring)]
    return larger


def _wanted(state: State, numbers: Array) -> Array:
    """Which of the waiting forecasts each horizon still wants: bools (horizons, numbers)."""
    seq = state.waiting_seq[numbers % state.waiting_at.size]
    return np.asarray((numbers >= state.due[:, None]) & (seq % state.stride[:, None] == 0))


def _waiting(state: State) -> Array:
    return np.arange(state.due.min(), state.counts[PUSHED])


def _busiest(state: State) -> int:
    """Return the horizon that the most wait for; of equals, the longest."""
    load = _wanted(state, _waiting(state)).sum(axis=1)
    return int(load.size - 1 - np.argmax(load[::-1]))


def _compacted(state: State) -> State:
    """Return the state without the forecasts that no horizon wants; the rest close up."""
    numbers, slots = _waiting(state), state.waiting_at.size
    kept = numbers[_wanted(state, numbers).any(axis=0)]
    now = numbers[0] + np.arange(kept.size)
    rings = {name: getattr(state, name).copy() for name in _rings()}
    for name, ring in rings.items():
        ring[now % slots] = getattr(state, name)[kept % slots]
    counts = state.counts.copy()
    counts[THINNED] += numbers.size - kept.size
    counts[PUSHED] = numbers[0] + kept.size
    due = numbers[0] + np.searchsorted(kept, state.due)
    return state._replace(
        counts=counts, due=due.astype(np.int64), said_of=np.full(due.size, -1), **rings
    )
