"""From a source's messages to accepted records: read, owned by one topic, judged, journalled.

What is not accepted is counted with its reason; what cannot be read becomes a dead letter.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from streamlnn.errors import DecodeError
from streamlnn.model.records import Record
from streamlnn.pipeline.admission import TAKEN, admit
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.live import LiveStream, adopt, begin
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings, plan_for
from streamlnn.pipeline.streams import Reading, StreamMap

log = logging.getLogger("streamlnn.intake")

MOST_TROUBLES_TOLD = 1_000
REASON_LETTERS = 1_000
ORIGIN_LETTERS = 1_000


@dataclass(frozen=True, slots=True)
class Accepted:
    """A record that is in the journal, under its log number, and the stream that is to step it."""

    lsn: int
    live: LiveStream
    record: Record


class Intake:
    """Admits messages; `lives` are the streams that run, by name.

    `keep` writes down, within the transaction, the unconfirmed outputs of streams up to log numbers
    behind which recovery will not look any more.
    """

    def __init__(
        self,
        journal: Journal,
        observer: Observer,
        *,
        instance: str,
        model: ModelSettings,
        max_streams: int,
        keep: Callable[[Mapping[str, int]], None],
    ) -> None:
        self.lives: dict[str, LiveStream] = {}
        self._journal = journal
        self._observer = observer
        self._instance = instance
        self._model = model
        self._max_streams = max_streams
        self._keep = keep
        self._touched: dict[str, StreamRow] = {}
        self._told: set[tuple[str, str]] = set()

    def admit(self, source: str, streams: StreamMap, message: Message) -> list[Accepted]:
        """Journal what the message says and return it; the caller holds the transaction."""
        try:
            told = streams.read_each(message)
        except DecodeError as error:
            self._bury(source, message, error)
            return []
        if not told:
            self._observer.count("dropped_total", source=source, reason="no_stream_or_number")
        accepted = [self._accept(source, streams, one, message) for one in told]
        return [item for item in accepted if item is not None]

    def settle(self) -> None:
        """Write the rows of the streams that were touched since the last call."""
        for row in self._touched.values():
            self._journal.save_stream(row)
        self._touched = {}

    def _accept(
        self, source: str, streams: StreamMap, reading: Reading | DecodeError, message: Message
    ) -> Accepted | None:
        if isinstance(reading, DecodeError):
            self._bury(source, message, reading)
            return None
        try:
            _check_clock(reading)
            live = self._live(reading)
            _check_layout(live.row, reading)
        except DecodeError as error:
            self._restore_layout(streams, reading.stream)
            self._bury(source, message, error)
            return None
        self._touched[reading.stream] = live.row
        row = live.row
        verdict, time = admit(
            row.clock,
            reading,
            message,
            has_begun=bool(live.forecaster.seq or row.last_lsn > row.since_lsn),
            seen=lambda at: self._journal.values_at(row, at),
        )
        if verdict not in TAKEN:
            self._observer.count("dropped_total", source=source, reason=verdict.value)
            return None
        record = Record(reading.stream, time, reading.values, message.received)
        return Accepted(self._journal.append(row, record), live, record)

    def _live(self, reading: Reading) -> LiveStream:
        live = self.lives.get(reading.stream)
        if live is not None:
            _check_owner(live.row, reading)
            if live.agreed:
                return live
        elif len(self.lives) >= self._max_streams:
            raise DecodeError(
                f"there are {self._max_streams} streams already and {reading.stream!r:.200} would "
                "be one more: raise max_streams in [daemon], or correct the topic or the id"
            )
        _check_targets(reading)
        plan = plan_for(reading, self._model)
        if live is None:
            row = StreamRow(reading.stream, reading.owner, plan, since_lsn=self._journal.last_lsn)
            live = begin(row, self._instance)
        elif plan != live.row.plan:
            self._keep({live.row.name: live.lsn})
            live = adopt(live, plan, self._journal, self._instance)
        self._journal.save_stream(live.row)
        live.agreed = True
        self.lives[reading.stream] = live
        return live

    def _restore_layout(self, streams: StreamMap, name: str) -> None:
        """Let what was refused decide nothing for the messages after it, and leave nothing."""
        live = self.lives.get(name)
        if live is None:
            streams.layouts.pop(name, None)
        else:
            streams.layouts[name] = live.row.plan.layout

    def _bury(self, source: str, message: Message, error: DecodeError) -> None:
        known = replace(message, origin=message.origin[:ORIGIN_LETTERS])
        self._journal.bury(source, known, error.reason[:REASON_LETTERS])
        self._observer.count("dead_letters_total", source=source)
        key = (source, message.origin)
        if key not in self._told and len(self._told) < MOST_TROUBLES_TOLD:
            self._told.add(key)
            log.warning(
                "source %r, %.200s: %.1000s; kept as a dead letter, further ones are only counted",
                source,
                message.origin,
                error,
            )


def _check_clock(reading: Reading) -> None:
    if reading.time is None and reading.settings.clock == "time":
        raise DecodeError(
            f"stream {reading.stream!r} has horizons in seconds but its records have no time: "
            "give it a time = { path = ... }, or horizons in samples such as [1, 12, 48]"
        )


def _check_targets(reading: Reading) -> None:
    """Refuse targets that a table without fields named before anybody knew what there is."""
    fields = reading.layout.names
    for target in reading.settings.targets or ():
        if target not in fields:
            raise DecodeError(
                f"stream {reading.stream!r} has no {target!r} for its targets (it has: "
                f"{', '.join(fields)}): correct targets, or name the fields in fields = {{ ... }}"
            )


def _check_owner(row: StreamRow, reading: Reading) -> None:
    if row.owner != reading.owner:
        raise DecodeError(
            f"stream {row.name!r} is fed by {row.owner!r} already and this is {reading.owner!r}: "
            "one stream has one topic; put what tells them apart into the stream's id"
        )


def _check_layout(row: StreamRow, reading: Reading) -> None:
    if row.plan.layout != reading.layout:
        raise DecodeError(
            f"stream {row.name!r} has the fields {', '.join(row.plan.layout.names)} already and "
            f"another [[stream]] table gives it {', '.join(reading.layout.names)}: put what tells "
            "the tables apart into the id"
        )
