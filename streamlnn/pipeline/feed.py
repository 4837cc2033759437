"""One source at work: connected again when it is lost, read when there is room, kept when not."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from streamlnn.errors import EndOfSource, NotConnected
from streamlnn.pipeline.contract import Batch, Source
from streamlnn.pipeline.link import Link
from streamlnn.pipeline.observer import Observer

REPORT_EVERY_SECS = 1.0


class Feed:
    """A source and its connection.

    `position` returns where a source stands, from the journal; `ended` is set when there is
    nothing more and never will be.
    """

    def __init__(
        self,
        source: Source,
        position: Callable[[str], str | None],
        observer: Observer,
    ) -> None:
        self.source = source
        self.ended = False
        self.link = Link(f"source {source.id!r}", lambda: source.connect(position(source.id)))
        self._observer = observer
        self._reported = (0.0, "")

    @property
    def ready(self) -> bool:
        """True while the source is connected and subscribed, and after its end."""
        return self.ended or (self.link.up and self.source.ready)

    @property
    def live(self) -> bool:
        """True where silence means that nothing was said: connected, not ended, no recording."""
        return self.ready and not self.ended and not getattr(self.source, "finite", False)

    def read(self, timeout: float) -> Batch | None:
        """Return what has come, connecting first where that is needed and not too early."""
        return self._attempt(lambda: self.source.read(timeout))

    def idle(self) -> None:
        """Keep the connection alive, taking nothing."""
        self._attempt(self.source.idle)

    def _attempt(self, action: Callable[[], Batch | None]) -> Batch | None:
        batch = None
        try:
            if self.link.try_connect():
                batch = action()
        except EndOfSource:
            self.ended = True
        except NotConnected as error:
            self.link.lost(error)
        self._report()
        return batch

    def _report(self) -> None:
        state = "ready" if self.ready else "connecting" if self.link.up else "lost"
        now, (then, told) = time.monotonic(), self._reported
        if state == told and now - then < REPORT_EVERY_SECS:
            return
        self._reported = (now, state)
        self._observer.source(self.source.id, state, self.link.trouble)
        for name, value in self.source.stats.items():
            self._gauge(f"source_{name}", value)

    def _gauge(self, name: str, value: int | Mapping[str, int]) -> None:
        if isinstance(value, Mapping):
            for reason, n in value.items():
                self._observer.gauge(name, n, source=self.source.id, reason=reason)
        else:
            self._observer.gauge(name, value, source=self.source.id)
