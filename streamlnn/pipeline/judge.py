"""Is a record new? The question asked before the journal, from times and values alone.

A broker that redelivers after a crash sends whole windows again; a sensor that uploads its memory
sends old records late; a sender whose clock is set back sends times that were there before. The
answer depends only on what the journal holds, so a crash between two records changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

SET_BACK_AFTER = 5
"""So many records in a row that are old, no repeats, and rise among themselves: a new clock."""
TICK = 1_000
"""Nanoseconds between records that were received at once: float seconds can tell them apart."""

JITTER = 1_000_000_000
"""Nanoseconds by which the moments of receiving may be out of order and mean nothing."""


class Verdict(StrEnum):
    """What to do with a record; all but `NEW` and `SET_BACK` are dropped and counted."""

    NEW = "new"
    SET_BACK = "set_back"
    REPEAT = "repeat"
    LATE = "late"
    CLASH = "clash"
    FUTURE = "future"
    RETAINED = "retained"


@dataclass(slots=True)
class Clock:
    """What is known of one stream's time; nanoseconds UTC."""

    last: int | None = None
    """The time of the newest accepted record."""
    highest: int | None = None
    """The highest time ever accepted: above `last` after the clock was set back."""
    late_run: int = 0
    late_time: int | None = None


Seen = Callable[[int], Iterable[bytes]]
"""The values, as raw bytes, of the journal's records of this stream at a time."""


def judge(clock: Clock, time: int | None, values: bytes, seen: Seen) -> Verdict:
    """Say what to do with a record and bring `clock` up to date.

    A record without a time is always new: repeats cannot be told there. Costs nothing for a
    rising time, one look into the journal otherwise.

    >>> clock = Clock()
    >>> judge(clock, 10, b"a", lambda time: []), judge(clock, 10, b"a", lambda time: [b"a"])
    (<Verdict.NEW: 'new'>, <Verdict.REPEAT: 'repeat'>)
    """
    if time is None:
        return Verdict.NEW
    if clock.highest is None or time > clock.highest:
        return _accept(clock, time, Verdict.NEW)
    known = list(seen(time))
    if values in known:
        return Verdict.REPEAT
    if clock.last is None or time > clock.last:
        return _accept(clock, time, Verdict.NEW)
    rising = clock.late_time is not None and time > clock.late_time
    clock.late_run = clock.late_run + 1 if rising else 1
    clock.late_time = time
    if clock.late_run >= SET_BACK_AFTER:
        return _accept(clock, time, Verdict.SET_BACK)
    return Verdict.CLASH if known else Verdict.LATE


def place(clock: Clock, received: int | None) -> int | None:
    """Return the time of a record that has none of its own: when it was received.

    Several may be received at one moment, each later than the one before by a tick then; our
    own clock being set back is something else, and stays to be seen.

    >>> place(Clock(last=1_000), 1_000), place(Clock(last=5 * JITTER), 17)
    (2000, 17)
    """
    if received is None or clock.last is None or not 0 <= clock.last - received < JITTER:
        return received
    return clock.last + TICK


def accept(clock: Clock, time: int | None) -> Verdict:
    """Take a record as it is: one whose time is not its own cannot be a repeat, nor late."""
    return Verdict.NEW if time is None else _accept(clock, time, Verdict.NEW)


def _accept(clock: Clock, time: int, verdict: Verdict) -> Verdict:
    clock.last = time
    clock.highest = time if clock.highest is None else max(clock.highest, time)
    clock.late_run, clock.late_time = 0, None
    return verdict
