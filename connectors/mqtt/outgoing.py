"""What is on its way to the broker: a queue, and a window of what it has not answered."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt import packets
from connectors.mqtt.wire import Wire

_WINDOW = 1000
_REFUSED = 0x80
# paho counts its own packet ids, for SUBSCRIBE, from 1 on: ours come from the upper half.
_MIDS = range(0x8000, 0x10000)


@dataclass(slots=True, eq=False)
class Publication:
    """A message to send: `sent` to the broker, `done` once it has answered.

    `refusal` is why it said no.
    """

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False
    identity: Mapping[str, str] = field(default_factory=dict)
    sent: bool = False
    done: bool = False
    refusal: str = ""


class Outgoing:
    """Sends publications in order over one wire, as many at once as the broker takes.

    It keeps the broker's receive maximum and packet size, which paho does not.
    """

    def __init__(self) -> None:
        self._queue: deque[Publication] = deque()
        self._flying: dict[int, Publication] = {}
        self._mids = itertools.cycle(_MIDS)
        self._window = _WINDOW
        self._limit = packets.LARGEST
        self._overtaken_at: float | None = None

    @property
    def overtaken_secs(self) -> float:
        """For how long answers have come to what was sent after the oldest without an answer."""
        return 0.0 if self._overtaken_at is None else time.monotonic() - self._overtaken_at

    def begin(self, limits: Properties | None) -> None:
        """Forget everything, and take the limits from the broker's answer to CONNECT."""
        self.drop_queue()
        self._flying.clear()
        self._overtaken_at = None
        self._window = min(_WINDOW, getattr(limits, "ReceiveMaximum", _WINDOW))
        self._limit = min(packets.LARGEST, getattr(limits, "MaximumPacketSize", packets.LARGEST))

    def drop_queue(self) -> None:
        """Forget what was not sent."""
        self._queue.clear()

    def add(self, publication: Publication) -> None:
        """Put a publication at the end of the queue."""
        self._queue.append(publication)

    def pump(self, wire: Wire, *, fresh: bool) -> None:
        """Send what window and wire have room for; in MQTT 5 (`fresh`) with its identity."""
        while self._queue and len(self._flying) < self._window and not wire.is_full:
            self._send(wire, self._queue.popleft(), fresh)

    def answered(self, mid: int, reason: int) -> None:
        """Note the broker's answer to the publication under packet id `mid`."""
        oldest = next(iter(self._flying), None)
        publication = self._flying.pop(mid, None)
        if mid == oldest:
            self._overtaken_at = None
        elif publication is not None and self._overtaken_at is None:
            self._overtaken_at = time.monotonic()
        if publication is not None:
            if reason >= _REFUSED:
                publication.refusal = str(ReasonCode(PacketTypes.PUBACK, identifier=reason))
            publication.done = True

    def _send(self, wire: Wire, publication: Publication, fresh: bool) -> None:
        mid = next(one for one in self._mids if one not in self._flying) if publication.qos else 0
        packet = packets.publish(
            publication.topic,
            publication.payload,
            publication.qos,
            publication.retain,
            mid,
            packets.user_properties(publication.identity) if fresh else b"",
        )
        if len(packet) > self._limit:
            publication.refusal, publication.done = "larger than the broker accepts", True
            return
        wire.send(packet)
        publication.sent = True
        if publication.qos == 0:
            publication.done = True
        else:
            self._flying[mid] = publication
