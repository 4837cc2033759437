"""The queue in which messages wait to be taken."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_LEFT_OVER = 4096
_LEFT_OVER_BYTES = 64 << 20
_WAITING_QOS0 = 65_536  # QoS 1 is bounded by the packet ids, QoS 0 by nothing
_WAITING_QOS0_BYTES = 64 << 20
MOST_WAITING_BYTES = 256 << 20
"""More than that is for the broker to keep."""


class Arrival(NamedTuple):
    """A message as it came on connection `epoch`.

    `topic` is None when it was no text, `payload` when it was too large; `mid` is 0 when the
    message needs no acknowledgement.
    """

    epoch: int
    mid: int
    topic: str | None
    payload: bytes | None
    retained: bool
    received: int


class Inbox:
    """Messages that wait to be taken, oldest first; `overflows` counts what found no room."""

    def __init__(self) -> None:
        self.overflows = 0
        self.bytes = 0
        self._waiting: deque[Arrival] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, arrival: Arrival) -> None:
        """Queue an arrival; one of QoS 0 is dropped when very many wait already."""
        much = len(self._waiting) >= _WAITING_QOS0 or self.bytes >= _WAITING_QOS0_BYTES
        if much and not arrival.mid:
            self.overflows += 1
            return
        self._waiting.append(arrival)
        self.bytes += len(arrival.payload or b"")

    def drop_repeats(self) -> None:
        """Drop what a broker that kept our session is about to send again, if it is much.

        A little is kept, for a broker that has lost some of it in between. Without a bound a
        connection that breaks again and again, before anybody takes a message, would pile it up.
        """
        if len(self._waiting) > _LEFT_OVER or self.bytes > _LEFT_OVER_BYTES:
            self._waiting = deque(arrival for arrival in self._waiting if not arrival.mid)
            self.bytes = sum(len(arrival.payload or b"") for arrival in self._waiting)

    def popleft(self) -> Arrival:
        """Hand out the oldest."""
        arrival = self._waiting.popleft()
        self.bytes -= len(arrival.payload or b"")
        return arrival
