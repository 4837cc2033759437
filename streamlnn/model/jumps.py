"""Jumps: a value far from all that was expected is a glitch that will be gone, or a new level.

Nobody can tell which when it comes, but the next value can: it is nearer to where the sensor was,
or to where it jumped. Where the latest jumps of a sensor came back more often than not, a jump is
*held*: the model hears its own forecast instead, as for a missing value, and no weight learns from
it; it is scored as it came all the same. If it stays, it is put right a record later. While the
first jump is judged, and where levels shift, all are taken as they come.

A jump of many spreads is kept from the running scales: when it has stayed, the mean moves with it,
and the old relation still holds on the new level.

A value jumps when it is further than `FAR` usual changes both from the last value and from the one
expected. Once more than `OFTEN` of the records jump, that is what the sensor does: a pulse every 24
records can be learned. Nothing is held then, and the usual change grows until it fits. A rarer
pulse of one record is a glitch for ever, also where another field announces it: to learn from held
values makes the error six times as large where 1 % of the values are outliers. Cost: a few
comparisons a record.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from streamlnn.model.compiled import exact
from streamlnn.model.scaling import (
    CAME_BACK,
    FRESH,
    HIGH,
    JUMP,
    JUMP_FROM,
    JUMP_TO,
    JUMPS,
    LOW,
    MEAN,
    MOVED,
    REPEATED,
    RESETTLED,
    SETTLED_MEAN,
    SMOOTHED,
    SPREAD,
    STANDS_STILL,
    STAYED,
    STEPS,
    USUAL_CHANGE,
)

# scale[JUMP]: what the newest value was
NO_JUMP, TAKEN, HELD = range(3)

FAR, WIDE = 10.0, 8.0
"""Usual changes, and spreads, that a jump exceeds; WIDE ones are kept from the running scales."""

OFTEN, FEWEST = 0.03, 32.0
REMEMBERED = 0.95
"""How much the outcome of a jump counts when the next is known."""


@exact
def _follow(scale, change, least):
    """Track the usual change and how often a value jumps."""
    rate = max(1.0 / (scale[STEPS] + 1.0), 0.01)
    limit = least if scale[STEPS] >= FEWEST else change
    scale[USUAL_CHANGE] += rate * (min(change, limit) - scale[USUAL_CHANGE])


@exact
def watch_jump(scale, value, last, expected):
    """Say what a value is: NO_JUMP, TAKEN or HELD."""
    change, least = abs(value - last), FAR * scale[USUAL_CHANGE]
    known = scale[STEPS] >= FEWEST and least > 0.0
    jumped = known and change > least and abs(value - expected) > least
    scale[JUMPS] += 0.005 * (float(int(jumped)) - scale[JUMPS])
    rare = scale[JUMPS] < OFTEN
    held = jumped and rare and scale[CAME_BACK] > scale[STAYED]
    if scale[FRESH] > 0.0 and not held and scale[REPEATED] <= STANDS_STILL:
        _follow(scale, change, least)
    scale[JUMP] = HELD if held else TAKEN if jumped else NO_JUMP
    if jumped:
        scale[JUMP_FROM], scale[JUMP_TO] = last, value
    return scale[JUMP]


@exact
def is_wide(scale):
    """Say whether the newest jump is kept from the running scales."""
    far = abs(scale[JUMP_TO] - scale[JUMP_FROM])
    return scale[JUMP] != NO_JUMP and scale[JUMPS] < OFTEN and far > WIDE * scale[SPREAD]


@exact
def settle_jump(scale, history, value):
    """Learn from the next value what became of the newest jump.

    Return whether it came back, and how far the level has moved with it.
    """
    if scale[JUMP] == NO_JUMP:
        return False, 0.0
    far = 0.0
    stayed = abs(value - scale[JUMP_TO]) < abs(value - scale[JUMP_FROM])
    scale[STAYED] = REMEMBERED * scale[STAYED] + (1.0 if stayed else 0.0)
    scale[CAME_BACK] = REMEMBERED * scale[CAME_BACK] + (0.0 if stayed else 1.0)
    if stayed:
        history[0], scale[RESETTLED] = scale[JUMP_TO], MOVED  # past values are others now
        scale[LOW] = min(scale[LOW], scale[JUMP_TO])
        scale[HIGH] = max(scale[HIGH], scale[JUMP_TO])
        if is_wide(scale):
            far = scale[JUMP_TO] - scale[JUMP_FROM]
            scale[MEAN] += far
            scale[SETTLED_MEAN] += far
            scale[SMOOTHED] += far
    scale[JUMP] = NO_JUMP
    return not stayed, far
