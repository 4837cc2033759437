"""What the broker has said on one connection: its messages, and what paho's callbacks tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt.guarded import GuardedClient
from connectors.mqtt.incoming import Arrival, Inbox
from connectors.mqtt.outgoing import Outgoing
from connectors.mqtt.packets import Published

_KEEPALIVE_TIMEOUT = 0x8D
_PROTOCOL_ERROR = 0x82


class Heard:
    """The broker's answers; nothing in a callback may raise, so they only write down.

    `connack` answers CONNECT; `goodbye` is the reason the broker gave for hanging up, `silent`
    says that it answered no ping, `garbled` that it sent what is no MQTT. `answers` are those to
    the requests that were announced by `expect`, by packet id; messages go to the inbox.
    """

    def __init__(
        self, epoch: int, inbox: Inbox, outgoing: Outgoing, clock: Callable[[], int]
    ) -> None:
        self.connack: ReasonCode | None = None
        self.session_present = False
        self.goodbye: ReasonCode | None = None
        self.silent = False
        self.garbled = False
        self.answers: dict[int, list[ReasonCode]] = {}
        self._epoch = epoch
        self._inbox = inbox
        self._outgoing = outgoing
        self._clock = clock
        self._expected: set[int] = set()

    @property
    def accepted(self) -> bool:
        """True once the broker has let us in."""
        return self.connack is not None and not self.connack.is_failure

    @property
    def answered(self) -> bool:
        """True when every request that was announced has its answer."""
        return self._expected <= self.answers.keys()

    def expect(self, mids: Iterable[int]) -> None:
        """Announce requests by packet id; what answers no request is not kept."""
        self._expected = set(mids)
        self.answers = {}

    def listen(self, client: GuardedClient) -> None:
        """Have `client` call us."""
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = client.on_unsubscribe = self._on_answer

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self.connack = reason
        self.session_present = flags.session_present
        self._outgoing.begin(properties)
        if self.session_present:
            self._inbox.drop_repeats()

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self.goodbye = reason if flags.is_disconnect_packet_from_server else None
        self.silent = reason.value == _KEEPALIVE_TIMEOUT and self.goodbye is None
        self.garbled = reason.value == _PROTOCOL_ERROR and self.goodbye is None

    def _on_answer(
        self,
        _client: paho.Client,
        _data: Any,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Any,
    ) -> None:
        if mid in self._expected:
            self.answers[mid] = reasons

    def arrive(self, message: Published, *, whole: bool) -> None:
        """Put a message into the inbox; of one that is not `whole` there is only the head."""
        try:
            topic: str | None = message.topic.decode()
        except UnicodeDecodeError:
            topic = None
        payload = message.payload if whole else None
        self._inbox.add(
            Arrival(self._epoch, message.mid, topic, payload, message.retained, self._clock())
        )
