"""Whether saved arrays may be taken for a model's state: the compiled loops trust what passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.errors import StateError
from streamlnn.model import kernels
from streamlnn.model.kernels import State
from streamlnn.model.waiting import MOST_WAITING, grown

_ASKED_FOR = ("by_time", "horizons", "seasons", "targets", "season_spacing")
"""Arrays that say what was asked for: they must be what the settings say."""


def checked(fresh: State, arrays: Mapping[str, NDArray[Any]]) -> State:
    """Return copies of `arrays` as a state, if they fit `fresh`, made from the same settings.

    Raises `StateError` naming the first thing that differs: names, shapes, dtypes, what was asked
    for, or an index that points out of its array.
    """
    if set(arrays) != set(State._fields):
        odd = ", ".join(sorted(set(arrays) ^ set(State._fields)))
        raise StateError(f"saved state has other arrays than this version: {odd}")
    while fresh.waiting_at.size < min(len(arrays["waiting_at"]), MOST_WAITING):
        fresh = grown(fresh)
    for name, want in fresh._asdict().items():
        _same_form(name, arrays[name], want)
    state = State(**{name: np.array(arrays[name], order="C") for name in State._fields})
    for name in _ASKED_FOR:
        if not np.array_equal(getattr(state, name), getattr(fresh, name)):
            raise StateError(f"saved array {name!r} is not what these settings ask for")
    _indices_inside(state)
    return state


def _same_form(name: str, have: NDArray[Any], want: NDArray[Any]) -> None:
    if have.shape != want.shape or have.dtype != want.dtype:
        raise StateError(
            f"saved array {name!r} is {have.dtype} {have.shape}; "
            f"these settings ask for {want.dtype} {want.shape}"
        )


def _indices_inside(state: State) -> None:
    pushed, slots = state.counts[kernels.PUSHED], state.waiting_at.size
    sound = {
        "taps": (state.taps >= 0) & (state.taps < state.x.size),
        "counts": (state.counts >= 0) & (state.counts < 2**62),
        "due": (state.due >= max(0, pushed - slots)) & (state.due <= pushed),
        "stride": state.stride >= 1,
        "waiting_seq": (state.waiting_seq >= 0) & (state.waiting_seq <= state.counts[kernels.SEQ]),
    }
    for name, inside in sound.items():
        if not inside.all():
            raise StateError(f"saved array {name!r} points outside of what there is")
