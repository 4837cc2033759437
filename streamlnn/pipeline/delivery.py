"""All sinks together: what is for all of them, what they have confirmed, when to wait for them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence

from streamlnn.pipeline.contract import Output, Sink
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.outbox import Outbox

log = logging.getLogger("streamlnn.delivery")


class Delivery:
    """An outbox for each sink. `full` are the sinks that are so far behind that there is no room.

    While there are such the sources had better not be read: the broker and the files wait then,
    not our memory and, beyond `max_bytes`, not our disk.
    """

    def __init__(
        self, journal: Journal, sinks: Sequence[Sink], observer: Observer, max_bytes: int
    ) -> None:
        self.full: set[str] = set()
        with journal.reading():
            self.outboxes = [Outbox(sink, journal) for sink in sinks]
        self._journal = journal
        self._observer = observer
        self._max_bytes = max_bytes

    @property
    def confirmed(self) -> int:
        """The log number up to which every sink has confirmed all."""
        return min((box.watermark for box in self.outboxes), default=self._journal.last_lsn)

    @property
    def has_work(self) -> bool:
        """True while a sink that is there has something to confirm."""
        return any(len(outbox) and outbox.link.up for outbox in self.outboxes)

    def __len__(self) -> int:
        return sum(map(len, self.outboxes))

    def add(self, outputs: Sequence[Output]) -> None:
        """Take outputs for every sink, in the order of their log numbers."""
        for outbox in self.outboxes:
            outbox.add(outputs)

    def push(self, timeout: float) -> None:
        """Hand over what the sinks take, and note what they have confirmed."""
        for outbox in self.outboxes:
            before = outbox.delivered
            outbox.push(timeout)
            name = outbox.sink.id
            self._observer.gauge("outbox_waiting", len(outbox), sink=name)
            self._observer.count("published_total", outbox.delivered - before, sink=name)
        self._look_for_room()

    def save(self) -> None:
        """Write down what has been confirmed, and what no longer fits into memory.

        The caller holds the transaction.
        """
        for outbox in self.outboxes:
            if outbox.unsaved:
                self._journal.save_watermark(outbox.sink.id, outbox.watermark)
                self._journal.drop_notices(outbox.told)
                outbox.unsaved, outbox.told = False, []
            outbox.spill()

    def save_if_new(self) -> None:
        """Write down what has been confirmed since, if anything has."""
        if any(outbox.unsaved for outbox in self.outboxes):
            with self._journal.transaction():
                self.save()

    def keep(self, passed: Mapping[str, int]) -> None:
        """Write down what is about to be passed unconfirmed; the caller holds the transaction."""
        for outbox in self.outboxes:
            outbox.keep(passed)

    def refill(self, redone: list[Output]) -> None:
        """Take up after a crash; the caller holds the transaction."""
        for outbox in self.outboxes:
            outbox.refill(redone)

    def close(self) -> None:
        """Let go of the sinks."""
        for outbox in self.outboxes:
            outbox.sink.close()

    def _look_for_room(self) -> None:
        full = {outbox.sink.id for outbox in self.outboxes if outbox.full(self._max_bytes)}
        if full and not self.full:
            log.warning(
                "no room for what sink %s has not taken: nothing is read until it takes it; raise "
                "max_size in [daemon] to let more wait",
                _listed(full),
            )
        if self.full and not full:
            log.warning("the sinks have room again: reading goes on")
        self.full = full
        for outbox in self.outboxes:
            name, link = outbox.sink.id, outbox.link
            state = "full" if name in full else "ready" if link.up else "lost"
            self._observer.sink(name, state, link.trouble)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, sorted(names)))
