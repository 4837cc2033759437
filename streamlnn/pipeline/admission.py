"""Is a reading taken as its stream's next record? The same answer live and of a recording."""

from __future__ import annotations

from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.judge import Clock, Seen, Verdict, accept, judge, place
from streamlnn.pipeline.streams import Reading

TAKEN = (Verdict.NEW, Verdict.SET_BACK)
"""What is said of records that are taken; those of all other verdicts are dropped."""


def admit(
    clock: Clock, reading: Reading, message: Message, *, has_begun: bool, seen: Seen
) -> tuple[Verdict, int | None]:
    """Return the verdict on what a message says, and the record's time in nanoseconds or None.

    `clock` is the stream's, and is brought up to date; `has_begun` tells that the stream has
    records; `seen` returns the values of those that were taken at a time.
    """
    is_final = reading.stamped or reading.accepted
    time = reading.time if is_final else place(clock, reading.time)
    return _verdict(clock, reading, time, message, has_begun, seen), time


def _verdict(
    clock: Clock, reading: Reading, time: int | None, message: Message, has_begun: bool, seen: Seen
) -> Verdict:
    if message.retained and has_begun:
        return Verdict.RETAINED
    if not reading.accepted and _beyond_skew(reading, message):
        return Verdict.FUTURE
    if reading.accepted or not reading.stamped:
        return accept(clock, time)
    return judge(clock, time, reading.values.tobytes(), seen)


def _beyond_skew(reading: Reading, message: Message) -> bool:
    wanted = reading.settings.time
    if wanted is None or wanted.max_skew is None:
        return False
    if reading.time is None or message.received is None:
        return False
    return reading.time > message.received + round(wanted.max_skew * NANOSECONDS)
