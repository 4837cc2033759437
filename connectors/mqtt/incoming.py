"""What a PUBLISH packet holds, and the queue in which messages wait to be taken.

paho's own reading is not used: MQTT 5 properties, which nobody here looks at, cost it time that
grows with the square of their number. 256 KiB of them, which any publisher may send, took it 10 s.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

HEAD_BYTES = 2 + 65_535 + 2
"""The topic and the packet id end here at the latest."""
_LEFT_OVER = 4096
_WAITING_QOS0 = 65_536  # QoS 1 is bounded by the packet ids, QoS 0 by nothing


class Publish(NamedTuple):
    """A PUBLISH as it came; `mid` is 0 for QoS 0, `payload` None when only the head was kept."""

    topic: bytes
    mid: int
    payload: bytes | None
    retained: bool


def parse_publish(
    command: int, body: bytes | bytearray, *, fresh: bool, head_only: bool = False
) -> Publish:
    r"""Read a packet's `body` behind its first byte `command` and its length.

    `fresh` says that it is MQTT 5: the properties are stepped over. Raises `ValueError`, saying
    what is wrong, for what no broker may send us.

    >>> parse_publish(0x32, b"\0\1a\0\7x", fresh=False)
    Publish(topic=b'a', mid=7, payload=b'x', retained=False)
    """
    qos = command >> 1 & 3
    if qos > 1:
        raise ValueError(f"a message of QoS {qos}, which was not asked for")
    at = 2 + int.from_bytes(body[:2], "big")
    topic = bytes(body[2:at])
    mid = int.from_bytes(body[at : at + 2], "big") if qos else 0
    at += 2 * qos
    if len(body) < at:
        raise ValueError("a message that is shorter than it says")
    if qos and not mid:
        raise ValueError("a message of QoS 1 without a packet id")
    payload = None if head_only else bytes(memoryview(body)[_payload_start(body, at, fresh) :])
    return Publish(topic, mid, payload, bool(command & 1))


def _payload_start(body: bytes | bytearray, at: int, fresh: bool) -> int:
    if not fresh:
        return at
    length = 0
    for place in range(4):
        if at >= len(body):
            break
        digit = body[at]
        at += 1
        length |= (digit & 0x7F) << 7 * place
        if digit < 0x80 and at + length <= len(body):
            return at + length
    raise ValueError("a message whose properties are longer than itself")


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
        if not arrival.mid and len(self._waiting) >= _WAITING_QOS0:
            self.overflows += 1
            return
        self._waiting.append(arrival)
        self.bytes += len(arrival.payload or b"")

    def drop_repeats(self) -> None:
        """Drop what a broker that kept our session is about to send again, if it is much.

        A little is kept, for a broker that has lost some of it in between. Without a bound a
        connection that breaks again and again, before anybody takes a message, would pile it up.
        """
        if len(self._waiting) > _LEFT_OVER:
            self._waiting = deque(arrival for arrival in self._waiting if not arrival.mid)
            self.bytes = sum(len(arrival.payload or b"") for arrival in self._waiting)

    def popleft(self) -> Arrival:
        """Hand out the oldest."""
        arrival = self._waiting.popleft()
        self.bytes -= len(arrival.payload or b"")
        return arrival
