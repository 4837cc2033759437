"""Events that no record causes: a stream that falls silent and speaks again, a lost session.

They come from the wall clock and the world around, so they are no part of a replay. The journal
keeps each of them until every sink has confirmed it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from streamlnn.pipeline.announce import Announcer
from streamlnn.pipeline.contract import Output, Source
from streamlnn.pipeline.delivery import Delivery
from streamlnn.pipeline.intake import Accepted
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.sessions import SessionWatch
from streamlnn.pipeline.stale import StaleWatch

SourceOf = Callable[[str], str | None]
"""Which source feeds a stream, by the owner that its row names."""


class Notice(NamedTuple):
    """The event of a stream, and a copy for each sink as the journal keeps it."""

    live: LiveStream
    output: Output
    copies: list[Output]


class Notices:
    """Watches silence and sessions; `lives` are the streams that run, by name."""

    def __init__(
        self,
        journal: Journal,
        delivery: Delivery,
        announcer: Announcer,
        observer: Observer,
        sources: Iterable[str],
        source_of: SourceOf,
    ) -> None:
        self._journal = journal
        self._delivery = delivery
        self._announcer = announcer
        self._observer = observer
        self._source_of = source_of
        self._stale = StaleWatch(journal, sources)
        self._sessions = SessionWatch()

    def restore(self, lives: Mapping[str, LiveStream]) -> None:
        """Go on where the last run ended; the caller holds the transaction."""
        self._stale.restore(lives, self._source_of)

    def look(
        self,
        now: int,
        lives: Mapping[str, LiveStream],
        sources: Iterable[Source],
        listened_to: Collection[str],
    ) -> None:
        """Tell of the streams that have fallen silent by `now`, and of sessions that were lost.

        `listened_to` are the ids of the sources that are ready and read.
        """
        self._stale.listen(now, listened_to)
        fallen = self._stale.fallen(lives)
        gaps = self._gaps(lives, {one.id for one in sources if self._sessions.has_lost(one)})
        if fallen or gaps:
            with self._journal.transaction():
                made = [self._made(live, self._stale.start(live, now)) for live in fallen]
                made += [self._made(live, self._sessions.told(live, now)) for live in gaps]
            self.tell(made)

    def end_silences(self, source: str, accepted: Sequence[Accepted], now: int) -> list[Notice]:
        """Return what is to be told of streams that speak again; the caller holds the transaction.

        `now` stands for the moment of receiving where that is not known.
        """
        for item in accepted:
            self._stale.expect(item.live.row.name, source)
        return [
            self._made(item.live, self._stale.end(item.live, item.record.received or now))
            for item in accepted
            if item.live.stale
        ]

    def tell(self, notices: Iterable[Notice]) -> None:
        """Tell what the journal keeps by now."""
        for live, output, copies in notices:
            for outbox, copy in zip(self._delivery.outboxes, copies, strict=True):
                outbox.add([copy])
            self._announcer.changed(live)
            self._observer.stale(live.row.name, live.stale)
            self._observer.count("events_total", type=output.identity["type"])
            self._observer.event(output.payload)

    def _gaps(self, lives: Mapping[str, LiveStream], lost: Collection[str]) -> list[LiveStream]:
        """Return the streams of the sources that have lost their session: hardly ever any."""
        if not lost:
            return []
        return [live for live in lives.values() if self._source_of(live.row.owner) in lost]

    def _made(self, live: LiveStream, output: Output) -> Notice:
        keep, lsn = self._journal.keep_notice, self._journal.last_lsn
        copies = [
            replace(output, lsn=lsn, notice=keep(box.sink.id, output))
            for box in self._delivery.outboxes
        ]
        return Notice(live, output, copies)
