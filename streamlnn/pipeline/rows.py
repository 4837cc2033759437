"""What the journal's rows say of streams and records."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from streamlnn.pipeline.judge import Clock
from streamlnn.pipeline.plan import Plan

REPEATS_KEPT = 4096
"""A repeat is recognised among at least so many last records of its stream."""

LogRow = tuple[int, str, int | None, int | None, bytes]
"""A record as the log has it: its number, stream, time, moment of receiving, and raw values."""


@dataclass(slots=True)
class StreamRow:
    """What the journal knows of a stream besides its records and its state."""

    name: str
    owner: str
    plan: Plan
    id: int = 0
    epoch: int = 0
    since_lsn: int = 0
    """Learning began after this log number; older snapshots and records belong to the past."""
    last_lsn: int = 0
    clock: Clock = field(default_factory=Clock)
    marks: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Two log numbers with `REPEATS_KEPT` records between them, and how many came after the newer.
    Up to the older one no record is needed any more to recognise a repeat."""
    _written: tuple[Plan, bytes] | None = field(default=None, repr=False, compare=False)

    def count(self, lsn: int) -> None:
        """Note that the stream has a new record."""
        self.last_lsn = lsn
        self.marks[2] += 1
        if self.marks[2] == REPEATS_KEPT:
            self.marks = [self.marks[1], lsn, 0]

    def columns(self) -> tuple[Any, ...]:
        """Return the row as the journal's table has it."""
        return (
            self.id,
            self.name,
            self.owner,
            self._plan_as_json(),
            self.epoch,
            self.since_lsn,
            self.last_lsn,
            msgspec.json.encode(self.clock),
            msgspec.json.encode(self.marks),
        )

    def _plan_as_json(self) -> bytes:
        # A row is written with every batch, and its plan hardly ever changes.
        if self._written is None or self._written[0] is not self.plan:
            self._written = self.plan, msgspec.json.encode(self.plan)
        return self._written[1]

    @classmethod
    def of(cls, columns: tuple[Any, ...]) -> StreamRow:
        """Return the row that `columns` made. Raises `msgspec.DecodeError` for any other."""
        number, name, owner, plan, epoch, since_lsn, last_lsn, clock, marks = columns
        return cls(
            name,
            owner,
            msgspec.json.decode(plan, type=Plan),
            number,
            epoch,
            since_lsn,
            last_lsn,
            msgspec.json.decode(clock, type=Clock),
            msgspec.json.decode(marks, type=list[int]),
        )
