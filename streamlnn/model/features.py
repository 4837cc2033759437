"""What the readouts look at: from a record to the vectors of features.

The joint features of a stream, which its large readout maps to every target:
    [1 | lags of every field | calendar | usual changes | units on the lags | reservoir]
and the own features of each target, of which its small readouts take the first so many:
    [1 | its lags | calendar | its usual changes | its modes]
The lags of a field are its level and its latest changes; the usual changes are those from now to
some of the horizons, of each season, the day and the week (`profiles`). A missing value, and a held
one (`jumps`), is filled by the model's own forecast (feeding the mean or the last value is worse,
methods with a mask no better).
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# ruff: noqa: D103 - most of these are named after the one thing they do
from __future__ import annotations

from typing import Any

import numpy as np

from streamlnn.model.calendar import CALENDAR, tell_calendar
from streamlnn.model.clock import CADENCE
from streamlnn.model.compiled import exact
from streamlnn.model.jumps import HELD, is_wide, settle_jump, watch_jump
from streamlnn.model.modes import MODES, turn
from streamlnn.model.plasticity import adapt
from streamlnn.model.profiles import CLOCKED, move_profiles, usual_values
from streamlnn.model.readout import add_scaled, copy, drop_tiny, fill
from streamlnn.model.reservoir import hear_others, leak, open_gate
from streamlnn.model.scaling import (
    FRESH,
    KEPT,
    LAGS,
    LARGEST,
    OBSERVED,
    REPEATED,
    RESETTLED,
    SEEN,
    SMALLEST,
    STANDS_STILL,
    level,
    settle_level,
    settled_level,
    step_scale,
    update_scale,
)
from streamlnn.model.squash import squash
from streamlnn.model.state import YHAT

USUAL_HORIZONS, MOST_USUAL = 4, 48
"""Over so many horizons, evenly chosen, the readouts hear the usual changes; over fewer where the
profiles of all targets together would have more of them than that."""


def lags_of(fields: int) -> int:
    """How many past values of each field the joint features hold."""
    return max(4, min(LAGS, 192 // fields))


def usual_horizons(horizons: int, profiles: int) -> int:
    """Over how many horizons so many profiles tell the usual change."""
    return min(USUAL_HORIZONS, horizons, max(1, MOST_USUAL // profiles))


_usual_horizons: Any = exact(usual_horizons)


def _usual_features(horizons: int, seasons: int, targets: int) -> int:
    profiles = targets * (seasons + CLOCKED)
    return profiles * usual_horizons(horizons, profiles)


def own_parts(horizons: int, seasons: int) -> tuple[int, int, int]:
    """Lengths of a target's own features up to its lags, its seasons and its modes."""
    lags = 1 + LAGS
    linear = lags + CALENDAR + _usual_features(horizons, seasons, 1)
    return lags, linear, linear + 2 * MODES


def joint_parts(
    fields: int, targets: int, horizons: int, seasons: int, units: int
) -> tuple[int, int]:
    """Lengths of the joint features up to the seasons, and with both kinds of units."""
    sizes = list(joint_groups(fields, targets, horizons, seasons, units).values())
    return sum(sizes[:-2]), sum(sizes)


def joint_groups(
    fields: int, targets: int, horizons: int, seasons: int, units: int
) -> dict[str, int]:
    """Return the groups that the joint features consist of, in their order, and how many of each.

    >>> joint_groups(fields=1, targets=1, horizons=3, seasons=1, units=100)["reservoir"]
    100
    """
    return {
        "bias": 1,
        "lags": fields * lags_of(fields),
        "calendar": CALENDAR,
        "usual changes": _usual_features(horizons, seasons, targets),
        "units on the lags": units,
        "reservoir": units,
    }


# ---------------------------------------------------------------------------------------- filling


@exact
def _target_of(s, field):
    for t in range(s.targets.size):
        if s.targets[t] == field:
            return t
    return -1


@exact
def _filled(s, field, steps):
    """Stand in for a missing value: a straight line towards the shortest forecast."""
    last = s.history[field, 0]
    t = _target_of(s, field)
    if t < 0 or np.isnan(s.forecast[YHAT, 0, t]):
        return last
    usual = s.clock[CADENCE] if s.by_time[0] else 1.0
    share = min(1.0, steps * usual / s.horizons[0]) if usual > 0.0 else 1.0
    return last + share * (s.forecast[YHAT, 0, t] - last)


@exact
def _is_taken(s, field, value, steps):
    """Say whether an observed value is heard, or held because it is likely to be a glitch."""
    scale, history = s.scales[field], s.history[field]
    came_back, moved = settle_jump(scale, history, value)
    if moved != 0.0:
        move_profiles(s, field, moved)
    if came_back:
        return True
    return watch_jump(scale, value, history[0], _filled(s, field, steps)) != HELD


@exact
def take_value(s, field, value, steps):
    scale, history = s.scales[field], s.history[field]
    seen = abs(value) <= LARGEST
    if abs(value) < SMALLEST:
        value = 0.0
    s.values[field], scale[RESETTLED] = value if seen else np.nan, KEPT
    if scale[SEEN] == 0.0:
        fill(history, value if seen else 0.0)
    taken = seen and _is_taken(s, field, value, steps)
    now = value if taken else _filled(s, field, steps)
    if taken and not is_wide(scale):
        update_scale(scale, value, history[0])
        if scale[REPEATED] <= STANDS_STILL:
            settle_level(scale)
    scale[FRESH] = 1.0 if taken else 0.0
    scale[OBSERVED] = value if seen else scale[OBSERVED]
    for k in range(LAGS - 1, 0, -1):
        history[k] = history[k - 1]
    history[0] = now


# ----------------------------------------------------------------------------------------- making


@exact
def _lags_into(out, scale, history, lags):
    """One field's level and its latest changes, in scales."""
    out[0] = level(scale, history[0])
    per_step = 1.0 / step_scale(scale)
    for k in range(1, lags):
        change = (history[k - 1] - history[k]) * per_step
        out[k] = min(max(change, -32.0), 32.0)


@exact
def _usual_into(s, t, chosen, out):
    """Write the usual changes over `chosen` of the horizons, in scales; 0 if unknown."""
    per_step = 1.0 / step_scale(s.scales[s.targets[t]])
    for i in range(s.profile_manner.shape[0]):
        for k in range(chosen):
            h = k * (s.horizons.size - 1) // max(1, chosen - 1)
            now, then = usual_values(s, t, s.horizons[h], i)
            change = 0.0 if np.isnan(then - now) else (then - now) * per_step
            out[i * chosen + k] = min(max(change, -100.0), 100.0)


@exact
def _make_linear(s, time):
    """Lags, calendar and usual changes into the joint features; return where they end."""
    fields = s.history.shape[0]
    lags = s.V.shape[0] // fields
    s.features[0] = 1
    for i in range(fields):
        _lags_into(s.features[1 + i * lags :], s.scales[i], s.history[i], lags)
    end = 1 + fields * lags
    tell_calendar(time, s.clock[CADENCE], s.features[end:])
    end += CALENDAR
    profiles = s.profile_manner.shape[0]
    chosen = _usual_horizons(s.horizons.size, s.targets.size * profiles)
    for t in range(s.targets.size):
        _usual_into(s, t, chosen, s.features[end:])
        end += profiles * chosen
    return end


@exact
def _hear_past(s, since):
    """Sum up what the units on the lags hear but for the next values; `since` 1: the newest."""
    lags = s.V.shape[0] // s.history.shape[0]
    copy(s.V_bias, s.lag_drive)
    for i in range(s.history.shape[0]):
        for k in range(1, lags):
            heard = settled_level(s.scales[i], s.history[i, k - 1 + since])
            add_scaled(s.lag_drive, s.x.dtype.type(heard), s.V[i * lags + k])


@exact
def hear_ahead(s):
    """Sum up what all units will hear when the next values come, the values themselves left out."""
    hear_others(s.x, s.taps, s.W, s.bias, s.drive)
    hear_others(s.x, s.taps, s.W_gate, s.gate_bias, s.gate)
    _hear_past(s, 0)


@exact
def _hear_values(s):
    """Let all units hear the newest values, too."""
    lags, moved = s.V.shape[0] // s.history.shape[0], False
    for i in range(s.history.shape[0]):
        moved |= s.scales[i, RESETTLED] != KEPT
    if moved:
        _hear_past(s, 1)
    for i in range(s.history.shape[0]):
        u = s.x.dtype.type(settled_level(s.scales[i], s.history[i, 0]))
        add_scaled(s.lag_drive, u, s.V[i * lags])
        add_scaled(s.drive, u, s.W_in[i])
        add_scaled(s.gate, u, s.gate_in[i])


@exact
def _advance_reservoir(s, steps, drive):
    for i in range(drive.size):
        drive[i] = s.ip_gain[i] * s.drive[i] + s.ip_bias[i]
    squash(drive)
    if s.plasticity[0] > 0.0:
        adapt(s.ip_gain, s.ip_bias, s.drive, drive, s.x.dtype.type(s.plasticity[0]))
    open_gate(s.gate)
    leak(s.x, drive, s.gate, s.tau, steps)


@exact
def make_features(s, time, steps):
    end = _make_linear(s, time)
    on_lags, reservoir = s.features[end : end + s.x.size], s.features[end + s.x.size :]
    _hear_values(s)
    copy(s.lag_drive, on_lags)
    squash(on_lags)
    _advance_reservoir(s, steps, reservoir)
    copy(s.x, reservoir)


@exact
def make_own_features(s, time, steps):
    profiles = s.profile_manner.shape[0]
    chosen = _usual_horizons(s.horizons.size, profiles)
    for t in range(s.targets.size):
        field, own = s.targets[t], s.own[t]
        own[0] = 1
        _lags_into(own[1:], s.scales[field], s.history[field], LAGS)
        tell_calendar(time, s.clock[CADENCE], own[1 + LAGS :])
        _usual_into(s, t, chosen, own[1 + LAGS + CALENDAR :])
        turn(s.modes[t], level(s.scales[field], s.history[field, 0]), steps)
        drop_tiny(s.modes[t].reshape(-1))
        copy(s.modes[t].reshape(-1), own[1 + LAGS + CALENDAR + profiles * chosen :])
