"""Saved arrays as a model's state again: checked, and brought under the settings given.

The compiled loops trust what passes here. What was learned comes from the saved arrays; what only
the settings decide, the level of the bands and the cadence where it is given, from the settings,
so that a changed one holds from the next record on. The random units stay those that the readouts
learned on: a changed seed is for a model that begins anew, and a reservoir that was given has as
many connections a unit as it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.errors import StateError
from streamlnn.model.clock import CADENCE, FIXED_CADENCE, median
from streamlnn.model.intervals import rescaled
from streamlnn.model.state import GAPS, PUSHED, SEQ, State
from streamlnn.model.waiting import MOST_WAITING, grown

_ASKED_FOR = ("by_time", "horizons", "targets", "joint_sizes", "own_sizes")
"""Arrays that say what was asked for: they must be what the settings say."""


def checked(fresh: State, arrays: Mapping[str, NDArray[Any]]) -> State:
    """Return copies of `arrays` as a state, if they fit `fresh`, made from the settings.

    Raises `StateError` naming the first thing that differs: names, shapes, dtypes, what was asked
    for, or an index that points out of its array.
    """
    if set(arrays) != set(State._fields):
        odd = ", ".join(sorted(set(arrays) ^ set(State._fields)))
        raise StateError(f"saved state has other arrays than this version: {odd}")
    fresh = _connected(fresh, arrays["taps"])
    while fresh.waiting_at.size < min(len(arrays["waiting_at"]), MOST_WAITING):
        fresh = grown(fresh)
    for name, want in fresh._asdict().items():
        same_form(name, arrays[name], want)
    state = State(**{name: np.array(arrays[name], order="C") for name in State._fields})
    for name in _ASKED_FOR:
        if not np.array_equal(getattr(state, name), getattr(fresh, name)):
            raise StateError(f"saved array {name!r} is not what these settings ask for")
    _indices_inside(state)
    return _under(fresh, state)


def _connected(fresh: State, taps: NDArray[Any]) -> State:
    """Return `fresh` with room for as many connections a unit as `taps` has."""
    units = fresh.x.size
    if taps.ndim != 2 or not 1 <= taps.shape[1] <= units:
        return fresh
    names = ("taps", "W", "W_gate")
    have = {name: getattr(fresh, name) for name in names}
    return fresh._replace(
        **{name: np.empty((units, taps.shape[1]), one.dtype) for name, one in have.items()}
    )


def _under(fresh: State, state: State) -> State:
    """Return what `state` has learned, under what the settings of `fresh` fix."""
    given = fresh.clock[FIXED_CADENCE]
    if state.clock[FIXED_CADENCE] != given:
        state.clock[FIXED_CADENCE] = given
        state.clock[CADENCE] = given or _usual_gap(state)
    kept = rescaled(state, float(fresh.alpha[0]))
    return kept._replace(
        alpha=fresh.alpha,
        joint_settings=fresh.joint_settings,
        own_settings=fresh.own_settings,
        plasticity=fresh.plasticity,
    )


def _usual_gap(state: State) -> float:
    gaps = state.gaps[: state.counts[GAPS]]
    return float(median(gaps)) if gaps.size else 0.0


def same_form(name: str, have: NDArray[Any], want: NDArray[Any]) -> None:
    """Raise `StateError` if a saved array is not of the shape and dtype asked for."""
    if have.shape != want.shape or have.dtype != want.dtype:
        raise StateError(
            f"saved array {name!r} is {have.dtype} {have.shape}; "
            f"these settings ask for {want.dtype} {want.shape}"
        )


def _indices_inside(state: State) -> None:
    pushed, slots = state.counts[PUSHED], state.waiting_at.size
    sound = {
        "taps": (state.taps >= 0) & (state.taps < state.x.size),
        "counts": (state.counts >= 0) & (state.counts < 2**62),
        "due": (state.due >= max(0, pushed - slots)) & (state.due <= pushed),
        "stride": state.stride >= 1,
        "waiting_seq": (state.waiting_seq >= 0) & (state.waiting_seq <= state.counts[SEQ]),
    }
    for name, inside in sound.items():
        if not inside.all():
            raise StateError(f"saved array {name!r} points outside of what there is")
