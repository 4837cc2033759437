"""What is on its way to the broker: a queue, and a window of what it has not answered."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt.client import properties

_WINDOW = 1000


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

    @property
    def size(self) -> int:
        """An upper bound of the packet's bytes, a character of the topic counting as four."""
        words = sum(len(key) + len(value) for key, value in self.identity.items())
        return 64 + 4 * (len(self.topic) + words) + len(self.payload)


class Outgoing:
    """Sends publications in order through one client, as many at once as the broker takes.

    paho's own queue is not used: it ignores the broker's receive maximum and packet size, and
    keeps for the next connection what its owner will send again.
    """

    def __init__(self) -> None:
        self._queue: deque[Publication] = deque()
        self._flying: dict[int, Publication] = {}
        self._window = _WINDOW
        self._packet_limit = math.inf

    def begin(self, limits: Properties | None) -> None:
        """Forget everything, and take the limits from the broker's answer to CONNECT."""
        self.drop_queue()
        self._flying.clear()
        self._window = min(_WINDOW, getattr(limits, "ReceiveMaximum", _WINDOW))
        self._packet_limit = getattr(limits, "MaximumPacketSize", math.inf)

    def drop_queue(self) -> None:
        """Forget what was not sent."""
        self._queue.clear()

    def add(self, publication: Publication) -> None:
        """Put a publication at the end of the queue."""
        self._queue.append(publication)

    def pump(self, client: paho.Client, *, with_identity: bool) -> None:
        """Send what the window and the socket have room for."""
        while self._queue and len(self._flying) < self._window and not client.want_write():
            publication = self._queue.popleft()
            if publication.size > self._packet_limit:
                publication.refusal, publication.done = "larger than the broker accepts", True
            elif not self._send(client, publication, with_identity):
                self._queue.appendleft(publication)
                return

    def answered(self, mid: int, reason: ReasonCode) -> None:
        """Note the broker's answer to the publication under packet id `mid`."""
        publication = self._flying.pop(mid, None)
        if publication is not None:
            publication.refusal = str(reason) if reason.is_failure else ""
            publication.done = True

    def _send(self, client: paho.Client, publication: Publication, with_identity: bool) -> bool:
        """Return False when the packet id is still taken; the next try has another."""
        info = client.publish(
            publication.topic,
            publication.payload,
            publication.qos,
            publication.retain,
            _identify(publication.identity) if with_identity else None,
        )
        if info.rc == MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            return False
        publication.sent = True
        if publication.qos == 0:
            publication.done = True
        else:
            self._flying[info.mid] = publication
        return True


def _identify(identity: Mapping[str, str]) -> Properties | None:
    if not identity:
        return None
    return properties(PacketTypes.PUBLISH, UserProperty=list(identity.items()))
