"""What is usual at each part of a season: the typical day of a sensor, kept up to date.

A profile has up to `MOST_PARTS` parts, evenly spaced, and is read on the straight line between two.
A value moves the two parts around it towards itself: `RATE` of the way with each season, further
while few have passed (the seasonal half of exponential smoothing: Winters 1960). Every stream has a
profile for each season that is given or found and, where there is a clock, for the day and the
week; a season of that length leaves it to them. A profile says nothing before a whole season has
passed, and nothing of a part that it has not heard.

Two experts ask each of them: "as usual at that time", and "from now on as usual", that is the last
value and the usual change from now to then, which the readouts hear as well. The value of one
season ago, which they stand for, carries that season's noise: it made errors 3 % larger over the
recordings, 6 % on ETTm1 a day ahead. For horizons in samples on a clock the target's time is what
the mean pace makes it.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.clock import CADENCE, PACE
from streamlnn.model.compiled import exact
from streamlnn.model.readout import fill
from streamlnn.model.scaling import JUMP, SPREAD

RATE = 0.12
MOST_PARTS, MOST_DAY_PARTS = 336, 96

DAY, WEEK = 86400.0, 604800.0
CLOCKED = 2
"""Profiles by the clock, behind those of the seasons: the day's and the week's."""

FINEST = 5.75
"""Usual steps that a day or a week must have to be worth a profile: 6, rounded."""

FARTHEST = 5.0
"""A value counts as no further from what is usual than so many spreads: an outlier is forgotten."""

# State.profile_manner, per profile: its PERIOD (0: none), how many PARTS it has, whether it goes
# BY_CLOCK where the stream goes by sample, how many periods have PASSED, and the LATEST coordinate
MANNER = 5
PERIOD, PARTS, BY_CLOCK, PASSED, LATEST = range(MANNER)


def initial_profiles(targets: int, seasons: int) -> dict[str, NDArray[Any]]:
    """Return profiles that have heard nothing."""
    return {
        "profiles": np.full((targets, seasons + CLOCKED, MOST_PARTS), np.nan),
        "profile_manner": np.zeros((seasons + CLOCKED, MANNER)),
    }


# --------------------------------------------------------------------------------- which and when


@exact
def _is(length, period, slack):
    return abs(length - period) < slack * period


@exact
def _by_season(s, season, clocked, before):
    """Return the period of a season's profile; 0 if the clock's profiles stand for it."""
    length = season if s.by_time[0] else season * s.clock[CADENCE]
    slack = 0.03 if before == 0.0 else 0.01  # else a cadence that wavers would begin it anew
    covered = _is(length, DAY, slack) or _is(length, WEEK, slack)
    return 0.0 if clocked and covered else season


@exact
def _by_the_clock(s, period, clocked):
    cadence = s.clock[CADENCE]
    return period if clocked and 0.0 < FINEST * cadence <= period else 0.0


@exact
def _period(s, i, clocked):
    if i < s.seasons.size:
        return _by_season(s, s.seasons[i], clocked, s.profile_manner[i, PERIOD])
    return _by_the_clock(s, DAY if i == s.seasons.size else WEEK, clocked)


@exact
def _usual_step(s, by_clock):
    """Return the usual distance of two records in a profile's coordinates; 1 if unknown."""
    cadence = s.clock[CADENCE] if s.by_time[0] or by_clock else 1.0
    return cadence if cadence > 0.0 else 1.0


@exact
def _parts(s, i, period, by_clock):
    steps = math.ceil(period / _usual_step(s, by_clock) - 0.01)
    return float(min(steps, MOST_DAY_PARTS if i == s.seasons.size else MOST_PARTS))


@exact
def _lay_out(s, i, manner, time, at):
    """See that profile i has the period and the parts that it should; return its coordinate."""
    by_clock = i >= s.seasons.size
    here = time if by_clock else at
    period = _period(s, i, not np.isnan(time))
    parts = _parts(s, i, period, by_clock) if period > 0.0 else 0.0
    if period != manner[PERIOD] or parts > 1.5 * manner[PARTS]:
        manner[PERIOD], manner[PARTS], manner[BY_CLOCK] = period, parts, int(by_clock)
        manner[PASSED], manner[LATEST] = 0.0, here
        for t in range(s.targets.size):
            fill(s.profiles[t, i], np.nan)
    return here


@exact
def _place(manner, here):
    """Return the part before a coordinate, the one behind it, and how far it is on the way."""
    n = manner[PARTS]
    place = (here % manner[PERIOD]) / manner[PERIOD] * n
    low = math.floor(place + 1e-3)
    return int(low % n), int((low + 1) % n), max(0.0, place - low)


# ---------------------------------------------------------------------------- learning and reading


@exact
def _move(profile, part, share, y, farthest):
    if np.isnan(profile[part]):
        profile[part] = y if share > 0.0 else np.nan
    else:
        profile[part] += share * min(max(y - profile[part], -farthest), farthest)


@exact
def _learn(s, t, i, manner, here, rate):
    scale, y = s.scales[s.targets[t]], s.values[s.targets[t]]
    if np.isnan(y) or scale[JUMP] > 0.0:
        return
    low, high, share = _place(manner, here)
    _move(s.profiles[t, i], low, rate * (1.0 - share), y, FARTHEST * scale[SPREAD])
    _move(s.profiles[t, i], high, rate * share, y, FARTHEST * scale[SPREAD])


@exact
def learn_profiles(s, time, at):
    """Let every profile hear the newest values. `time` in seconds, NaN without a clock."""
    for i in range(s.profile_manner.shape[0]):
        manner = s.profile_manner[i]
        if i >= s.seasons.size and np.isnan(time):
            continue
        here = _lay_out(s, i, manner, time, at)
        if manner[PERIOD] == 0.0:
            continue
        manner[PASSED] += max(0.0, here - manner[LATEST]) / manner[PERIOD]
        manner[LATEST] = here
        per_part = manner[PERIOD] / manner[PARTS] / _usual_step(s, manner[BY_CLOCK] > 0.0)
        rate = max(RATE, 1.0 / (1.0 + manner[PASSED])) / max(1.0, per_part)
        for t in range(s.targets.size):
            _learn(s, t, i, manner, here, rate)


@exact
def move_profiles(s, field, far):
    """Let the profiles of a field move with its level."""
    for t in range(s.targets.size):
        if s.targets[t] == field:
            for i in range(s.profile_manner.shape[0]):
                for part in range(MOST_PARTS):
                    s.profiles[t, i, part] += far


@exact
def _read(profile, manner, here):
    low, high, share = _place(manner, here)
    if share < 1e-3:
        return profile[low]
    return profile[low] + share * (profile[high] - profile[low])


@exact
def usual_values(s, t, ahead, i):
    """Return what profile i has for target t now and `ahead` from now; NaN where unknown."""
    manner = s.profile_manner[i]
    if manner[PERIOD] == 0.0 or manner[PASSED] < 1.0:
        return np.nan, np.nan
    here, profile = manner[LATEST], s.profiles[t, i]
    pace = s.clock[PACE] if manner[BY_CLOCK] > 0.0 and not s.by_time[0] else 1.0
    return _read(profile, manner, here), _read(profile, manner, here + ahead * pace)
