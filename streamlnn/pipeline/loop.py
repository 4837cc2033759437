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

from streamlnn.pipeline.announce import Announcer
from streamlnn.pipeline.contract import Batch, Sink, Source
from streamlnn.pipeline.delivery import Delivery
from streamlnn.pipeline.feed import Feed
from streamlnn.pipeline.intake import Accepted, Intake
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.notices import Notices
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.recovery import recover
from streamlnn.pipeline.settings import MAX_STREAMS
from streamlnn.pipeline.snapshots import Retention, Snapshots
from streamlnn.pipeline.streams import StreamMap

RECOVERED_LIMIT = 2_000
"""After so much recovery some state is written down first: crashes may come in rows."""
RECOVERED_SECS = 0.5
STEPS_A_GO = 64
"""After so many steps the sinks get a turn: the other side works while we go on."""
DRAIN_SECS = 4.0
IDLE_SECS = 0.05


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
        self._streams = {source.id: streams for source, streams in sources}
        self._feeds = [Feed(source, journal.position, observer) for source, _ in sources]
        self._carriers = [Feed(source, journal.position, observer) for source in carriers]
        retention = retention or Retention()
        self._delivery = Delivery(journal, sinks, observer, retention.max_bytes)
        self._intake = Intake(
            journal,
            observer,
            instance=instance,
            model=model,
            max_streams=max_streams,
            keep=self._delivery.keep,
        )
        self._announcer = Announcer(instance)
        self._notices = Notices(
            journal, self._delivery, self._announcer, observer, self._streams, self._source_of
        )
        self._snapshots = Snapshots(journal, self._delivery.keep, retention, observer, clock)

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
        self._delivery.push(timeout=0.0)
        if not any(took):
            self._wait()
        self._watch()
        self._announce()
        self._snapshots.some(self._intake.lives)

    def _open_feeds(self) -> list[Feed]:
        # Where there is no room the broker and the files wait, not our memory.
        if self._delivery.full:
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
            self._delivery.push(timeout=IDLE_SECS)
            self.stop.wait(0.001 if self._delivery.has_work else IDLE_SECS)
        self._delivery.save_if_new()

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
            speaking = self._notices.end_silences(name, accepted, self._clock())
            self._journal.save_position(name, batch.position)
            self._delivery.save()
        feed.source.ack(batch.position)
        self._observer.count("messages_total", len(batch.messages), source=name)
        self._observer.count("records_total", len(accepted), source=name)
        for at in range(0, len(accepted), STEPS_A_GO):
            self._step_all(accepted[at : at + STEPS_A_GO])
            self._delivery.push(timeout=0.0)
        self._notices.tell(speaking)

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
        self._delivery.add(outputs)
        self._announcer.stepped(item.live)
        self._observer.count("forecasts_total")
        self._observer.stream(forecast.stream, item.live)
        self._observer.forecast(forecast.stream, forecast.payload)
        for event in events:
            self._observer.count("events_total", type=event.identity["type"])
            self._observer.event(event.payload)

    def _watch(self) -> None:
        """Look at what no record causes: silence, and sessions that were lost."""
        listened_to = [feed.source.id for feed in self._open_feeds() if feed.live]
        sources = [feed.source for feed in self._feeds]
        self._notices.look(self._clock(), self._intake.lives, sources, listened_to)

    def _announce(self) -> None:
        ready = all(feed.ready for feed in self._feeds)
        self._delivery.add(self._announcer.due(ready, time.monotonic()))

    # Begin and end

    def _recover(self) -> None:
        self._beat()
        lives, redone = recover(
            self._journal,
            self._instance,
            outputs_after=self._delivery.confirmed,
            beat=self._beat_unless_stopped,
        )
        self._intake.lives = lives
        for streams in self._streams.values():
            streams.layouts = {name: live.row.plan.layout for name, live in lives.items()}
        with self._journal.transaction():
            self._delivery.refill(redone)
            self._notices.restore(lives)
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
        self._observer.stream(live.row.name, live)
        self._observer.forecast(live.row.name, live.speaker.forecast(*live.last))
        self._observer.stale(live.row.name, live.stale)

    def _finish(self) -> None:
        """Stop reading, let the sinks confirm what they can, write everything down."""
        self._delivery.add(self._announcer.rest())
        self._delivery.push(timeout=0.0)
        deadline = time.monotonic() + self.drain_secs
        while self._delivery.has_work and time.monotonic() < deadline:
            for feed in self._carriers:
                feed.idle()
            self._delivery.push(timeout=IDLE_SECS)
        self._snapshots.all(self._intake.lives, self._beat)
        self._delivery.save_if_new()
        self.undelivered = len(self._delivery)
        self._delivery.close()
        for feed in [*self._feeds, *self._carriers]:
            feed.source.close()
