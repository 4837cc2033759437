"""The records of a recording that the daemon would take, and what it would leave out."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace

from streamlnn.pipeline.admission import TAKEN, admit
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.judge import Clock
from streamlnn.pipeline.streams import Reading


@dataclass(slots=True)
class Judged:
    """One stream: the `readings` that are taken, and how many are dropped, by verdict.

    Keeps all values by time: of a repeat older than the daemon's journal, it still knows.
    """

    readings: list[Reading] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    falls: int = 0
    """How often the time of a record was before that of the one before it."""
    _clock: Clock = field(default_factory=Clock)
    _before: int | None = None
    _at: defaultdict[int, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    @property
    def records(self) -> int:
        """How many there were in all."""
        return len(self.readings) + self.dropped.total()

    def take(self, reading: Reading, message: Message) -> None:
        """Judge what a message says, and keep it if it is the stream's next record."""
        self._note(reading.time)
        verdict, time = admit(
            self._clock,
            reading,
            message,
            has_begun=bool(self.readings),
            seen=lambda at: self._at.get(at, ()),
        )
        if verdict not in TAKEN:
            self.dropped[verdict.value] += 1
            return
        self.readings.append(replace(reading, time=time))
        if time is not None:
            self._at[time].append(reading.values.tobytes())

    def _note(self, time: int | None) -> None:
        if time is not None and self._before is not None:
            self.falls += time < self._before
        self._before = time
