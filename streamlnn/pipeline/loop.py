"""THE LOOP: read, journal, acknowledge, step, write, snapshot.

The order is the promise. A message is acknowledged only after its record is on disk; a forecast
counts as delivered only when its sink has confirmed it; a snapshot never waits for either. After a
crash the newest snapshots and the log behind them give the same state and the same forecasts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from typing import NamedTuple

from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.announce import Announcer
from streamlnn.pipeline.contract import Batch, Output, Sink, Source
from streamlnn.pipeline.feed import Feed
from streamlnn.pipeline.intake import Accepted, Intake
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.outbox import Outbox
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.recovery import recover, refill
from streamlnn.pipeline.stale import StaleWatch
from streamlnn.pipeline.streams import StreamMap

REDO_LIMIT = 30_000
"""So many records are worth about 3 s of work after a crash: time for snapshots."""
RECOVERED_LIMIT = 2_000
"""After so much recovery the state is written down first: crashes may come in rows."""
SNAPSHOTS_A_TURN = 4
SNAPSHOTS_AT_ONCE = 32
STEPS_A_GO = 64
"""After so many steps the sinks get a turn: the other side works while we go on."""
DRAIN_SECS = 4.0
IDLE_SECS = 0.05


@dataclass(frozen=True, slots=True)
class Retention:
    """How often state is written down, and how long records stay beyond what recovery needs."""

    snapshot_every_secs: float = 3600.0
    keep_secs: float = 86400.0
    max_bytes: int = 2_000_000_000


class Notice(NamedTuple):
    """What no record caused: the event of a stream, and a copy for each sink as it is kept."""

    live: LiveStream
    output: Output
    copies: list[Output]


class _Stopped(Exception):  # noqa: N818 - told to, no failure
    """Told to stop while the past is still being redone."""


class Pipeline:
    """Carries records from sources through one forecaster per stream to sinks, in one thread.

    Set `stop`, from anywhere, to end it in order; its sinks then have `drain_secs` to confirm, and
    `undelivered` says how much they had not confirmed at the end. `carriers` are sources that
    sinks go via and that nothing is read from.
    """

    def __init__(
        self,
        journal: Journal,
        sources: Sequence[tuple[Source, StreamMap]],
        sinks: Sequence[Sink],
        observer: Observer,
        *,
        instance: str,
        model: ModelSettings,
        retention: Retention = Retention(),
        carriers: Sequence[Source] = (),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.stop = threading.Event()
        self.drain_secs = DRAIN_SECS
        self.undelivered = 0
        self._journal = journal
        self._observer = observer
        self._instance = instance
        self._retention = retention
        self._clock = clock
        self._intake = Intake(journal, observer, instance=instance, model=model)
        self._streams = {source.id: streams for source, streams in sources}
        self._feeds = [Feed(source, journal.position, observer) for source, _ in sources]
        self._carriers = [Feed(source, journal.position, observer) for source in carriers]
        self._outboxes = [Outbox(sink, self._watermark(sink)) for sink in sinks]
        self._announcer = Announcer(instance)
        self._stale = StaleWatch(journal, self._streams)
        self._snapshots_due: list[str] = []
        self._snapshots_at = time.monotonic()
        self._fresh = 0

    def run(self) -> None:
        """Recover, carry records until `stop` is set or every source has ended, let go of all.

        Raises `StoreError` when the journal cannot be written: nothing more is acknowledged then,
        and the next start goes on from what is on disk.
        """
        with closing(self._journal), suppress(_Stopped):
            with self._journal.reading():
                self._recover()
            while not self.stop.is_set() and not all(feed.ended for feed in self._feeds):
                self._turn()
            self._finish()

    def _turn(self) -> None:
        self._beat()
        took = [self._take_from(feed, timeout=0.0) for feed in self._open_feeds()]
        self._idle()
        self._deliver(timeout=0.0)
        if not any(took):
            self._wait()
        self._watch_silence()
        self._announce()
        self._snapshot_some()

    def _open_feeds(self) -> list[Feed]:
        # A full outbox stops the reading: the broker and the files wait, not our memory.
        if any(outbox.full for outbox in self._outboxes):
            return []
        return [feed for feed in self._feeds if not feed.ended]

    def _idle(self) -> None:
        """Keep the connections that nothing is read from now: a sink may go via one of them."""
        read = self._open_feeds()
        for feed in [*self._feeds, *self._carriers]:
            if feed not in read and not feed.ended:
                feed.idle()

    def _wait(self) -> None:
        connected = [feed for feed in self._open_feeds() if feed.link.up]
        for feed in connected:
            self._take_from(feed, timeout=IDLE_SECS / len(connected))
        if not connected:
            self._deliver(timeout=IDLE_SECS)
            self.stop.wait(0.001 if self._sinks_have_work() else IDLE_SECS)
        self._mark_written()

    def _sinks_have_work(self) -> bool:
        return any(len(outbox) and outbox.link.up for outbox in self._outboxes)

    def _beat(self) -> None:
        self._observer.beat(self._clock())

    def _beat_unless_stopped(self) -> None:
        # What is redone is still in the log: the next start begins with it again.
        self._beat()
        if self.stop.is_set():
            raise _Stopped

    # Read, journal, acknowledge, step

    def _take_from(self, feed: Feed, timeout: float) -> bool:
        batch = feed.read(timeout)
        if batch is not None:
            self._take(feed, batch)
        return batch is not None

    def _take(self, feed: Feed, batch: Batch) -> None:
        name, accepted = feed.source.id, list[Accepted]()
        with self._journal.transaction():
            for message in batch.messages:
                accepted += self._intake.admit(name, self._streams[name], message)
            self._intake.settle()
            speaking = self._end_silences(name, accepted)
            self._journal.save_position(name, batch.position)
            self._save_watermarks()
        feed.source.ack(batch.position)
        self._observer.count("messages_total", len(batch.messages), source=name)
        self._observer.count("records_total", len(accepted), source=name)
        for nth, item in enumerate(accepted, start=1):
            self._step(item)
            if nth % STEPS_A_GO == 0:
                self._deliver(timeout=0.0)
        self._tell(speaking)

    def _step(self, item: Accepted) -> None:
        forecast, *events = outputs = item.live.step(item.lsn, item.record)
        self._fresh += 1
        for outbox in self._outboxes:
            outbox.add(outputs)
        self._announcer.stepped(item.live)
        self._observer.count("forecasts_total")
        self._observer.stream(forecast.stream, item.live.explanation)
        self._observer.forecast(forecast.stream, forecast.payload)
        for event in events:
            self._observer.count("events_total", type=event.identity["type"])
            self._observer.event(event.payload)

    # Silence

    def _watch_silence(self) -> None:
        now = self._clock()
        self._stale.listen(now, [feed.source.id for feed in self._open_feeds() if feed.live])
        fallen = self._stale.fallen(self._intake.lives)
        if fallen:
            with self._journal.transaction():
                notices = [self._notice(live, self._stale.start(live, now)) for live in fallen]
            self._tell(notices)

    def _end_silences(self, source: str, accepted: list[Accepted]) -> list[Notice]:
        for item in accepted:
            self._stale.expect(item.live.row.name, source)
        return [
            self._notice(
                item.live, self._stale.end(item.live, item.record.received or self._clock())
            )
            for item in accepted
            if item.live.stale
        ]

    def _notice(self, live: LiveStream, output: Output) -> Notice:
        """Keep for every sink what no record caused; the caller holds the transaction."""
        keep, lsn = self._journal.keep_notice, self._journal.last_lsn
        return Notice(
            live,
            output,
            [replace(output, lsn=lsn, notice=keep(box.sink.id, output)) for box in self._outboxes],
        )

    def _tell(self, notices: list[Notice]) -> None:
        for live, output, copies in notices:
            for outbox, copy in zip(self._outboxes, copies, strict=True):
                outbox.add([copy])
            self._announcer.changed(live)
            self._observer.stale(live.row.name, live.stale)
            self._observer.count("events_total", type="stale")
            self._observer.event(output.payload)

    # Write

    def _deliver(self, timeout: float) -> None:
        for outbox in self._outboxes:
            before = outbox.delivered
            outbox.push(timeout)
            name = outbox.sink.id
            self._observer.gauge("outbox_waiting", len(outbox), sink=name)
            self._observer.count("published_total", outbox.delivered - before, sink=name)

    def _mark_written(self) -> None:
        if any(outbox.unsaved for outbox in self._outboxes):
            with self._journal.transaction():
                self._save_watermarks()

    def _save_watermarks(self) -> None:
        for outbox in self._outboxes:
            if outbox.unsaved:
                self._journal.save_watermark(outbox.sink.id, outbox.watermark)
                self._journal.drop_notices(outbox.told)
                outbox.unsaved, outbox.told = False, []

    def _announce(self) -> None:
        ready = all(feed.ready for feed in self._feeds)
        outputs = self._announcer.due(ready, time.monotonic())
        for outbox in self._outboxes:
            outbox.add(outputs)

    # Snapshot

    def _snapshot_some(self) -> None:
        if not self._snapshots_due and self._snapshots_wanted():
            self._snapshots_due = [name for name, live in self._intake.lives.items() if live.fresh]
            self._snapshots_at, self._fresh = time.monotonic(), 0
        now, self._snapshots_due = (
            self._snapshots_due[:SNAPSHOTS_A_TURN],
            self._snapshots_due[SNAPSHOTS_A_TURN:],
        )
        self._snapshot([self._intake.lives[name] for name in now])

    def _snapshots_wanted(self) -> bool:
        age = time.monotonic() - self._snapshots_at
        return self._fresh > REDO_LIMIT or age > self._retention.snapshot_every_secs

    def _snapshot(self, lives: list[LiveStream]) -> None:
        """Write the state of some streams, and beside it the outputs that it has passed."""
        if not lives:
            return
        passed = {live.row.name: live.lsn for live in lives}
        with self._journal.transaction():
            for outbox in self._outboxes:
                self._journal.keep_outputs(outbox.sink.id, outbox.unconfirmed(passed))
            for live in lives:
                live.snapshot(self._journal)
                self._journal.prune(live.row, received_before=self._keep_from())
        self._observer.count("snapshots_total", len(lives))

    def _snapshot_all(self) -> None:
        fresh = [live for live in self._intake.lives.values() if live.fresh]
        for at in range(0, len(fresh), SNAPSHOTS_AT_ONCE):
            self._beat()
            self._snapshot(fresh[at : at + SNAPSHOTS_AT_ONCE])

    def _keep_from(self) -> int | None:
        if self._journal.volatile or self._journal.size() > self._retention.max_bytes:
            return None
        return self._clock() - round(self._retention.keep_secs * NANOSECONDS)

    # Begin and end

    def _watermark(self, sink: Sink) -> int:
        # A sink that is new has no claim on what came before it.
        found = self._journal.watermark(sink.id)
        return self._journal.last_lsn if found is None else found

    def _recover(self) -> None:
        self._beat()
        confirmed = min((box.watermark for box in self._outboxes), default=self._journal.last_lsn)
        lives, redone = recover(
            self._journal, self._instance, outputs_after=confirmed, beat=self._beat_unless_stopped
        )
        self._intake.lives = lives
        for streams in self._streams.values():
            streams.layouts = {name: live.row.plan.layout for name, live in lives.items()}
        for outbox in self._outboxes:
            refill(outbox, self._journal.kept_outputs(outbox.sink.id), redone)
            outbox.add(self._journal.notices(outbox.sink.id))
        with self._journal.transaction():
            self._stale.restore(lives, self._source_of)
        for live in lives.values():
            if self._source_of(live.row.owner) is not None:
                self._show(live)
        if sum(live.fresh for live in lives.values()) > RECOVERED_LIMIT:
            self._snapshot_all()
        self._observer.recovered()

    def _source_of(self, owner: str) -> str | None:
        found = (name for name, streams in self._streams.items() if streams.follows(owner))
        return next(found, None)

    def _show(self, live: LiveStream) -> None:
        """Let those who look see how a stream stood when the last run ended."""
        if live.last is None:
            return
        self._announcer.changed(live)
        self._observer.stream(live.row.name, live.explanation)
        self._observer.forecast(live.row.name, live.speaker.forecast(*live.last))
        self._observer.stale(live.row.name, live.stale)

    def _finish(self) -> None:
        """Stop reading, let the sinks confirm what they can, write everything down."""
        rest = self._announcer.rest()
        for outbox in self._outboxes:
            outbox.add(rest)
        self._deliver(timeout=0.0)
        deadline = time.monotonic() + self.drain_secs
        while self._sinks_have_work() and time.monotonic() < deadline:
            for feed in self._carriers:
                feed.idle()
            self._deliver(timeout=IDLE_SECS)
        self._snapshot_all()
        self._mark_written()
        self.undelivered = sum(map(len, self._outboxes))
        for outbox in self._outboxes:
            outbox.sink.close()
        for feed in [*self._feeds, *self._carriers]:
            feed.source.close()
