"""THE LOOP: read, journal, acknowledge, step, write, snapshot.

The order is the promise. A message is acknowledged only after its record is on disk; a forecast
counts as delivered only when its sink has confirmed it; a snapshot never waits for either. After a
crash the newest snapshots and the log behind them give the same state and the same forecasts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from typing import NamedTuple

from streamlnn.pipeline.announce import Announcer
from streamlnn.pipeline.contract import Batch, Output, Sink, Source
from streamlnn.pipeline.feed import Feed
from streamlnn.pipeline.intake import Accepted, Intake
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.outbox import Outbox
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.recovery import recover
from streamlnn.pipeline.sessions import SessionWatch
from streamlnn.pipeline.settings import MAX_STREAMS
from streamlnn.pipeline.snapshots import Retention, Snapshots
from streamlnn.pipeline.stale import StaleWatch
from streamlnn.pipeline.streams import StreamMap

log = logging.getLogger("streamlnn.loop")

RECOVERED_LIMIT = 2_000
"""After so much recovery some state is written down first: crashes may come in rows."""
RECOVERED_SECS = 0.5
STEPS_A_GO = 64
"""After so many steps the sinks get a turn: the other side works while we go on."""
DRAIN_SECS = 4.0
IDLE_SECS = 0.05


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
        retention: Retention | None = None,
        max_streams: int = MAX_STREAMS,
        carriers: Sequence[Source] = (),
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.stop = threading.Event()
        self.drain_secs = DRAIN_SECS
        self.undelivered = 0
        self._journal = journal
        self._observer = observer
        self._instance = instance
        self._clock = clock
        self._intake = Intake(
            journal, observer, instance=instance, model=model, max_streams=max_streams
        )
        self._streams = {source.id: streams for source, streams in sources}
        self._feeds = [Feed(source, journal.position, observer) for source, _ in sources]
        self._carriers = [Feed(source, journal.position, observer) for source in carriers]
        with journal.reading():
            self._outboxes = [Outbox(sink, journal) for sink in sinks]
        self._announcer = Announcer(instance)
        self._stale = StaleWatch(journal, self._streams)
        self._sessions = SessionWatch()
        retention = retention or Retention()
        self._max_bytes = retention.max_bytes
        self._snapshots = Snapshots(journal, self._outboxes, retention, observer, clock)
        self._held_up: set[str] = set()

    def run(self) -> None:
        """Recover, carry records until `stop` is set or every source has ended, let go of all.

        Raises `StoreError` when the journal cannot be written: nothing more is acknowledged then,
        and the next start goes on from what is on disk.
        """
        with closing(self._journal), suppress(_Stopped), self._journal.reading():
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
        self._watch_sessions()
        self._announce()
        self._snapshots.some(self._intake.lives)

    def _open_feeds(self) -> list[Feed]:
        # Where there is no room the broker and the files wait, not our memory.
        if self._held_up:
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
        if not connected and not all(feed.ended for feed in self._feeds):
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
            for outbox in self._outboxes:
                outbox.spill()
        feed.source.ack(batch.position)
        self._observer.count("messages_total", len(batch.messages), source=name)
        self._observer.count("records_total", len(accepted), source=name)
        for at in range(0, len(accepted), STEPS_A_GO):
            self._step_all(accepted[at : at + STEPS_A_GO])
            self._deliver(timeout=0.0)
        self._tell(speaking)

    def _step_all(self, accepted: list[Accepted]) -> None:
        began = time.monotonic()
        for item in accepted:
            self._step(item)
        self._snapshots.worked(len(accepted), time.monotonic() - began)

    def _step(self, item: Accepted) -> None:
        outputs = item.live.step(item.lsn, item.record)
        if not outputs:
            self._observer.count("failures_total")
            return
        forecast, *events = outputs
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

    def _watch_sessions(self) -> None:
        lost = {feed.source.id for feed in self._feeds if self._sessions.has_lost(feed.source)}
        lives = self._intake.lives.values() if lost else ()
        gaps = [live for live in lives if self._source_of(live.row.owner) in lost]
        if gaps:
            now = self._clock()
            with self._journal.transaction():
                notices = [self._notice(live, self._sessions.told(live, now)) for live in gaps]
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
            self._observer.count("events_total", type=output.identity["type"])
            self._observer.event(output.payload)

    # Write

    def _deliver(self, timeout: float) -> None:
        for outbox in self._outboxes:
            before = outbox.delivered
            outbox.push(timeout)
            name = outbox.sink.id
            self._observer.gauge("outbox_waiting", len(outbox), sink=name)
            self._observer.count("published_total", outbox.delivered - before, sink=name)
        self._hold_up()

    def _hold_up(self) -> None:
        """Stop the reading while what a sink is behind by has no room, and say so."""
        full = {outbox.sink.id for outbox in self._outboxes if outbox.full(self._max_bytes)}
        if full and not self._held_up:
            log.warning(
                "no room for what sink %s has not taken: nothing is read until it takes it; raise "
                "max_size in [daemon] to let more wait",
                ", ".join(map(repr, sorted(full))),
            )
        if self._held_up and not full:
            log.warning("the sinks have room again: reading goes on")
        self._held_up = full
        for outbox in self._outboxes:
            name, link = outbox.sink.id, outbox.link
            state = "full" if name in full else "ready" if link.up else "lost"
            self._observer.sink(name, state, link.trouble)

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

    # Begin and end

    def _recover(self) -> None:
        self._beat()
        confirmed = min((box.watermark for box in self._outboxes), default=self._journal.last_lsn)
        lives, redone = recover(
            self._journal, self._instance, outputs_after=confirmed, beat=self._beat_unless_stopped
        )
        self._intake.lives = lives
        for streams in self._streams.values():
            streams.layouts = {name: live.row.plan.layout for name, live in lives.items()}
        with self._journal.transaction():
            for outbox in self._outboxes:
                outbox.refill(redone)
            self._stale.restore(lives, self._source_of)
        for live in lives.values():
            if self._source_of(live.row.owner) is not None:
                self._show(live)
        fresh = sum(live.fresh for live in lives.values())
        self._snapshots.worked(fresh, 0.0)
        if fresh > RECOVERED_LIMIT:
            self._snapshots.all(lives, self._beat_unless_stopped, RECOVERED_SECS)
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
        self._snapshots.all(self._intake.lives, self._beat)
        self._mark_written()
        self.undelivered = sum(map(len, self._outboxes))
        for outbox in self._outboxes:
            outbox.sink.close()
        for feed in [*self._feeds, *self._carriers]:
            feed.source.close()
