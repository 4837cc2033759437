"""What a sink has still to confirm, in order; the watermark is what it has confirmed."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice

from streamlnn.errors import NotConnected
from streamlnn.pipeline.contract import Output, Sink
from streamlnn.pipeline.link import Link

WINDOW = 2_000
"""So many outputs are in a sink's hands at most; the rest wait here."""
FULL = 20_000
"""From so many on the sources are not read: the broker and the files wait instead of memory."""


class Outbox:
    """The outputs on their way to one sink.

    `watermark` is the highest log number up to which everything has been confirmed, `unsaved`
    while the journal does not know it, `delivered` counts the outputs confirmed in this run.
    `told` are the numbers of the notices confirmed since the journal was told.
    """

    def __init__(self, sink: Sink, watermark: int) -> None:
        self.sink = sink
        self.watermark = watermark
        self.delivered = 0
        self.unsaved = True
        self.told: list[int] = []
        self.link = Link(f"sink {sink.id!r}", self._connect)
        self._waiting: deque[Output] = deque()
        self._written = 0
        self._flushed = 0
        self._latest: dict[tuple[str, str], Output] = {}

    def add(self, outputs: Iterable[Output]) -> None:
        """Take outputs in the order of their log numbers; those confirmed before are skipped."""
        for output in outputs:
            if output.lsn is None:
                self._latest[output.kind, output.stream] = output
            elif output.notice is not None or output.lsn > self.watermark:
                self._waiting.append(output)

    def push(self, timeout: float) -> None:
        """Hand over what fits into the window, and note what has been confirmed."""
        if not self.link.try_connect():
            return
        try:
            self._write()
            self._confirm(self.sink.flush(timeout))
        except NotConnected as error:
            self.link.lost(error)

    def unconfirmed(self, passed: Mapping[str, int]) -> list[Output]:
        """Return what is still on its way of some streams, each up to a log number."""
        return [
            output
            for output in self._waiting
            if output.notice is None and (output.lsn or 0) <= passed.get(output.stream, 0)
        ]

    @property
    def full(self) -> bool:
        """True when the sources had better wait."""
        return len(self._waiting) >= FULL

    def __len__(self) -> int:
        return len(self._waiting)

    def _connect(self) -> None:
        self.sink.connect()
        self._written = self._flushed = 0

    def _write(self) -> None:
        news = list(islice(self._waiting, self._written, WINDOW))
        if news or self._latest:
            self.sink.write([*news, *self._latest.values()])
        self._written += len(news)
        self._latest = {}

    def _confirm(self, flushed: int) -> None:
        for _ in range(flushed - self._flushed):
            output = self._waiting.popleft()
            assert output.lsn is not None
            self._written -= 1
            self.delivered += 1
            if output.notice is not None:
                self.told.append(output.notice)
            if not self._waiting or self._waiting[0].lsn != output.lsn:
                # One kept from an earlier run comes late, behind higher numbers.
                self.watermark, self.unsaved = max(self.watermark, output.lsn), True
        self._flushed = flushed
