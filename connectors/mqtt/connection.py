"""One connection to an MQTT broker, driven by its owner.

There is no thread: bytes move only inside `open`, `turn` and `close`, so a busy owner leaves
messages in the socket and the broker holds back. Each `open` makes a new client; what belonged to
the one before (packet ids, unconfirmed publications) is void, and `epoch` counts them.

Measured facts behind the choices (paho-mqtt 2.2, mosquitto 2.0): a session survives only with
`clean_start=False` and an expiry; without a receive maximum of our own a broker sends 20 messages
and waits; an exception in a callback would end the client, so callbacks only note what came.
"""

from __future__ import annotations

import contextlib
import logging
import math
import select
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import paho.mqtt.client as paho
from paho.mqtt.client import ConnectFlags, DisconnectFlags
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.mqtt import packets
from connectors.mqtt.client import Session, dial, make_client
from connectors.mqtt.explain import (
    KEEPALIVE_TIMEOUT,
    SESSION_TAKEN_OVER,
    UNSUPPORTED_VERSION,
    why_not_reached,
    why_refused,
)
from connectors.mqtt.outgoing import Outgoing, Publication
from connectors.mqtt.rivals import Rivals
from connectors.mqtt.settings import BrokerSettings
from connectors.mqtt.wire import Packet, Wire
from streamlnn.pipeline.contract import NotConnected

log = logging.getLogger("streamlnn.mqtt")

PACKETS_PER_TURN = 1024
_OPEN_SECS = 5.0
_GOODBYE_SECS = 2.0
_WAIT_SECS = 1.0  # keepalive is looked after at least this often
_FILTERS_A_PACKET = 8  # some hosted brokers take no more
_WAITING_QOS0 = 65_536  # QoS 1 is bounded by the receive maximum, QoS 0 by nothing


class Arrival(NamedTuple):
    """A message as it came: `topic` is None when it was no text, `mid` 0 when it needs no ack.

    `payload` is None when the message was larger than we take.
    """

    epoch: int
    mid: int
    topic: str | None
    payload: bytes | None
    retained: bool
    received: int


class _VersionRefused(NotConnected):
    """The broker may not speak the version we tried: it said so, hung up, or kept silent."""

    def __init__(self, text: str, *, said: bool = False) -> None:
        super().__init__(text)
        self.said = said


class MqttConnection:
    """One client of one broker. `who` names the owner in messages.

    `inbox` holds what came, oldest first; `own_prefixes` are the topics that sinks on this
    connection write, which its source must not read. Every method that moves bytes raises
    `NotConnected`, with the way out, once the connection is lost, until `open` succeeds.
    """

    def __init__(
        self, settings: BrokerSettings, who: str, session: Session, clock: Callable[[], int]
    ) -> None:
        self.settings = settings
        self.address = settings.address
        self.who = who
        self.session = session
        self.epoch = 0
        self.connects = 0
        self.overflows = 0
        self.session_present = False
        self.version = ""
        self.inbox: deque[Arrival] = deque()
        self.own_prefixes: set[str] = set()
        self.will: Publication | None = None
        self._clock = clock
        self._client: paho.Client | None = None
        self._wire: Wire | None = None
        self._outgoing = Outgoing()
        self._subacks: dict[int, list[ReasonCode]] = {}
        self._connack: ReasonCode | None = None
        self._goodbye: ReasonCode | None = None
        self._silent = False
        self._farewelled = 0
        self._only_old = False
        self._warned_old = False
        self._rivals = Rivals()
        self._why = f"{who} is not connected"

    @property
    def up(self) -> bool:
        """True between a successful `open` and the loss of the connection."""
        return self._client is not None and self._accepted and self._client.socket() is not None

    @property
    def _fresh(self) -> bool:
        return self.version == "5"

    def check(self) -> None:
        """Raise `NotConnected`, saying why, unless the connection stands as far as we know."""
        self._live()

    def open(self) -> None:
        """Connect and log in, within about 5 s; what was unconfirmed before is forgotten."""
        self._drop()
        self._leave_the_field()
        if self.settings.version != "auto":
            self._open(self.settings.version, _OPEN_SECS)
        elif self._only_old:
            self._open("3.1.1", _OPEN_SECS)
        else:
            self._try_both()

    def turn(self, timeout: float, most: int = PACKETS_PER_TURN) -> None:
        """Wait up to `timeout` seconds for the socket, then read up to `most` packets and write.

        Returns as soon as something was read and the socket is drained.
        """
        client, wire = self._live()
        if self._wait(wire, min(timeout, _WAIT_SECS)):
            self._read(client, wire, most)
        self._outgoing.pump(wire, fresh=self._fresh)
        if client.want_write():
            client.loop_write()
        client.loop_misc()
        wire.flush()
        self._check(client)

    def subscribe(self, filters: Sequence[str], qos: int, retain_handling: int) -> None:
        """Subscribe, never to what this connection publishes, and wait for the broker's word."""
        client, _ = self._live()
        asked = {self._ask(client, some, qos, retain_handling): some for some in _few(filters)}
        self._await(lambda: asked.keys() <= self._subacks.keys(), _OPEN_SECS)
        for mid, some in asked.items():
            self._judge_grants(dict(zip(some, self._subacks.pop(mid), strict=False)), qos)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Ask the broker to forget subscriptions of an earlier life."""
        client, wire = self._live()
        for some in _few(filters):
            client.unsubscribe(list(some))
        wire.flush()
        self._check(client)

    def ack(self, mids: Iterable[int]) -> None:
        """Acknowledge the QoS 1 messages that came on *this* connection under `mids`, in order."""
        if self._wire is not None:
            self._wire.send(b"".join(map(packets.puback, mids)))
            self._wire.flush()

    def publish(self, *publications: Publication) -> None:
        """Send, in order, as soon as the broker's window has room; see `Publication.done`."""
        _, wire = self._live()
        for publication in publications:
            self._outgoing.add(publication)
        self._outgoing.pump(wire, fresh=self._fresh)
        wire.flush()

    def farewell(self) -> None:
        """Publish now what the broker would publish for us if we died, waiting at most 2 s."""
        if self.will is None or not self.up or self._farewelled == self.epoch:
            return
        self._farewelled = self.epoch
        self._outgoing.drop_queue()
        last = Publication(self.will.topic, self.will.payload, 1, retain=True)
        deadline = time.monotonic() + _GOODBYE_SECS
        with contextlib.suppress(NotConnected):
            self.publish(last)
            while not last.done and time.monotonic() < deadline:
                self.turn(0.1)

    def close(self) -> None:
        """Take leave of the broker: `farewell`, then DISCONNECT. It keeps the session."""
        self.farewell()
        if self._client is not None and self._client.socket() is not None:
            self._client.disconnect()
        self._drop()

    # --- connecting ---------------------------------------------------------------------------

    @property
    def _accepted(self) -> bool:
        return self._connack is not None and not self._connack.is_failure

    def _try_both(self) -> None:
        try:
            self._open("5", _OPEN_SECS * 0.4)
        except _VersionRefused as refusal:
            self._open("3.1.1", _OPEN_SECS * 0.6)
            self._only_old = refusal.said
            self._warn_old()

    def _open(self, version: str, secs: float) -> None:
        self._drop()
        self.version = version
        self.epoch += 1  # before the first packet: messages follow the broker's answer at once
        self._connack = self._goodbye = None
        self._silent = False
        try:
            self._client = client = self._new_client(version)
            self._dial(client)
            self._await(lambda: self._accepted, secs)
        except NotConnected as error:
            self._why = str(error)
            self._drop()
            raise
        self.connects += 1
        if not self.session.clean and not self.session_present:
            self._rivals.absent()

    def _new_client(self, version: str) -> paho.Client:
        try:
            client = make_client(self.settings, self.session, version)
        except OSError as error:
            raise NotConnected(
                f"{self._cannot()}: a file of the tls table is no use ({error}): "
                "check ca, cert and key"
            ) from None
        if self.will is not None:
            client.will_set(self.will.topic, self.will.payload, 1, retain=True)
        self._listen(client)
        return client

    def _listen(self, client: paho.Client) -> None:
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe

    def _dial(self, client: paho.Client) -> None:
        try:
            self._wire = dial(client, self.settings, self.session, self.version)
        except (OSError, ValueError) as error:
            self._rivals.absent()
            raise NotConnected(
                f"{self._cannot()}: {why_not_reached(error, self.address)}"
            ) from error
        self._check(client)

    def _await(self, condition: Callable[[], bool], secs: float) -> None:
        deadline = time.monotonic() + secs
        while not condition():
            if time.monotonic() > deadline:
                self._why = (
                    f"{self._cannot()}: it did not answer within {secs:g} s: "
                    f"check that a broker of MQTT {self.version} listens there"
                )
                self._drop()
                raise NotConnected(self._why) if self._accepted else _VersionRefused(self._why)
            self.turn(0.1)

    def _leave_the_field(self) -> None:
        if rest := self._rivals.rest_secs:
            raise NotConnected(f"{self._why}; the next try is in {math.ceil(rest)} s")

    def _warn_old(self) -> None:
        if not self._warned_old:
            self._warned_old = True
            log.warning(
                "%s: the broker at %s speaks only MQTT 3.1.1: it sends few messages at once and "
                'refuses in silence; version = "3.1.1" in the configuration ends this warning',
                self.who,
                self.settings.url,
            )

    # --- moving bytes -------------------------------------------------------------------------

    def _live(self) -> tuple[paho.Client, Wire]:
        if self._client is None or self._wire is None:
            raise NotConnected(self._why)
        self._check(self._client)
        return self._client, self._wire

    def _check(self, client: paho.Client) -> None:
        if client.socket() is None:
            self._lose()

    def _wait(self, wire: Wire, timeout: float) -> bool:
        """Return whether there is something to read, after at most `timeout` seconds."""
        wire.flush()
        if wire.ready:
            return True
        poller = select.poll()
        poller.register(wire, select.POLLIN | (select.POLLOUT if wire.wants_write else 0))
        return any(event & ~select.POLLOUT for _, event in poller.poll(max(timeout, 0.0) * 1000))

    def _read(self, client: paho.Client, wire: Wire, most: int) -> None:
        try:
            for _ in range(most):
                packet = wire.next()
                if packet is None:
                    break
                self._take(client, wire, packet)
        except packets.Malformed as error:
            self._give_up(error)
        if wire.closing:
            client.loop_read()

    def _take(self, client: paho.Client, wire: Wire, packet: Packet) -> None:
        if packet.kind == packets.PUBLISH:
            self._arrive(packets.read_publish(packet.head, packet.body, fresh=self._fresh), packet)
        elif packet.kind == packets.PUBACK:
            self._outgoing.answered(*packets.read_puback(packet.body))
        else:
            wire.hand_over(packet)
            client.loop_read()
            self._check(client)

    def _arrive(self, message: packets.Published, packet: Packet) -> None:
        if not message.mid and len(self.inbox) >= _WAITING_QOS0:
            self.overflows += 1
            return
        try:
            topic: str | None = message.topic.decode()
        except UnicodeDecodeError:
            topic = None
        payload = message.payload if packet.whole else None
        self.inbox.append(
            Arrival(self.epoch, message.mid, topic, payload, message.retained, self._clock())
        )

    def _ask(self, client: paho.Client, some: Sequence[str], qos: int, retain_handling: int) -> int:
        if self._fresh:
            options = SubscribeOptions(qos, noLocal=True, retainHandling=retain_handling)
            _, mid = client.subscribe([(one, options) for one in some])
        else:
            _, mid = client.subscribe([(one, qos) for one in some])
        self._check(client)
        return mid or 0

    def _judge_grants(self, grants: Mapping[str, ReasonCode], qos: int) -> None:
        refused = {one: reason for one, reason in grants.items() if reason.is_failure}
        for one, reason in refused.items():
            self._why = (
                f"{self.who} at {self.settings.url}: the broker refuses the subscription {one!r} "
                f"({reason}): let this user read it, or correct topics"
            )
            self._drop()
            raise NotConnected(self._why)
        if any(reason.value < qos for reason in grants.values()):
            log.warning("%s: the broker grants only QoS 0: messages may be lost", self.who)

    # --- losing the connection ----------------------------------------------------------------

    def _lose(self) -> NoReturn:
        self._drop()
        if not self._accepted:
            raise self._refused()
        self._why = f"{self.who} lost {self.settings.url}: {self._why_lost()}"
        raise NotConnected(self._why)

    def _give_up(self, error: packets.Malformed) -> NoReturn:
        self._drop()
        self._why = f"{self.who} hung up on {self.settings.url}, which broke the standard: {error}"
        raise NotConnected(self._why)

    def _refused(self) -> NotConnected:
        if self._connack is not None and self._connack.value != UNSUPPORTED_VERSION:
            return NotConnected(f"{self._cannot()}: {why_refused(self._connack)}")
        if self._connack is not None:
            return _VersionRefused(f"{self._cannot()}: {why_refused(self._connack)}", said=True)
        return _VersionRefused(
            f"{self._cannot()}: it hung up before answering: check that an MQTT broker listens "
            "there, and whether it asks for tls or a client certificate"
        )

    def _why_lost(self) -> str:
        if self._goodbye is not None and self._goodbye.value == SESSION_TAKEN_OVER:
            self._rivals.met()
            return self._rival("another client has connected with the same id")
        if self._goodbye is not None:
            return f"it hung up ({self._goodbye})"
        if self._silent:
            return "there was no answer to our pings: the broker or the network stands still"
        if self._rivals.kicked():
            return self._rival("it keeps hanging up; most likely another client has our id")
        return "the connection broke"

    def _rival(self, what: str) -> str:
        return (
            f"{what}, {self.session.client_id!r}: stop one of the two, "
            "or give one of them another instance name or client_id"
        )

    def _drop(self) -> None:
        client, self._client, self._wire = self._client, None, None
        self._subacks.clear()
        if client is not None and (sock := client.socket()) is not None:
            sock.close()

    def _cannot(self) -> str:
        return f"{self.who} cannot connect to {self.settings.url}"

    # --- paho's callbacks: nothing here may raise ----------------------------------------------

    def _on_connect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._connack = reason
        self.session_present = flags.session_present
        self._outgoing.begin(properties)

    def _on_disconnect(
        self,
        _client: paho.Client,
        _data: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._goodbye = reason if flags.is_disconnect_packet_from_server else None
        self._silent = reason.value == KEEPALIVE_TIMEOUT

    def _on_subscribe(
        self,
        _client: paho.Client,
        _data: Any,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Any,
    ) -> None:
        self._subacks[mid] = reasons


def _few(filters: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(filters[start : start + _FILTERS_A_PACKET])
        for start in range(0, len(filters), _FILTERS_A_PACKET)
    ]
