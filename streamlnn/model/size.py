"""How much memory a model takes, before there is one: from its settings, without compiling it."""

from __future__ import annotations

from streamlnn.model.initial import initial_state
from streamlnn.model.settings import Settings
from streamlnn.model.state import State
from streamlnn.model.waiting import FEWEST_WAITING, MOST_WAITING, turns


def model_bytes(settings: Settings) -> tuple[int, int]:
    """Return the bytes of a model's arrays, at least and at most, as `Forecaster.nbytes` counts.

    They differ where horizons are durations and `every` is not known: as many forecasts wait for
    their targets as there are records within the longest horizon, within bounds.

    >>> small, large = model_bytes(Settings(("1m",), 1, None, (), 0.9, 20, 1, "float32", None))
    >>> large > 2 * small
    True
    >>> model_bytes(Settings(("1m",), 1, None, (), 0.9, 20, 1, "float32", 10.0)) == (small, small)
    True
    """
    state = initial_state(settings)
    fewest, most = _slots(settings, state.waiting_at.size)
    return _with_slots(state, fewest), _with_slots(state, most)


def _slots(settings: Settings, least: int) -> tuple[int, int]:
    if not settings.by_time:
        return least, least
    if settings.every is None:
        return FEWEST_WAITING, MOST_WAITING
    slots, wanted = FEWEST_WAITING, settings.horizon_lengths[-1] / settings.every + 1
    while slots < min(wanted, MOST_WAITING):
        slots *= 2
    return slots, slots


def _with_slots(state: State, slots: int) -> int:
    have = state.waiting_at.size
    return sum(
        array.nbytes // have * slots
        if name.startswith("waiting_")
        else array.nbytes // turns(have) * turns(slots)
        if name.startswith("refresh_")
        else array.nbytes
        for name, array in state._asdict().items()
    )
