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
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt import packets
from connectors.mqtt.client import Session, dial, is_listened_to, make_client
from connectors.mqtt.explain import (
    NOT_NOW,
    SESSION_TAKEN_OVER,
    UNSUPPORTED_VERSION,
    why_lost,
    why_not_reached,
    why_refused,
)
from connectors.mqtt.guarded import GuardedClient
from connectors.mqtt.heard import Heard
from connectors.mqtt.incoming import MOST_WAITING_BYTES, Inbox
from connectors.mqtt.outgoing import Outgoing, Publication
from connectors.mqtt.restraint import Restraint
from connectors.mqtt.rivals import Rivals
from connectors.mqtt.settings import BrokerSettings
from connectors.mqtt.wire import Packet, Wire
from streamlnn.pipeline.contract import NotConnected

log = logging.getLogger("streamlnn.mqtt")

PACKETS_PER_TURN = 1024
_BYTES_PER_TURN = 16 << 20
_OPEN_SECS = 5.0
_GOODBYE_SECS = 2.0
_WAIT_SECS = 1.0  # keepalive is looked after at least this often
_TRIES_OF_5 = 3  # without an answer, where version 5 was spoken before


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
        self.version = ""
        self.inbox = Inbox()
        self.own_prefixes: set[str] = set()
        self.will: Publication | None = None
        self._clock = clock
        self._client: GuardedClient | None = None
        self._wire: Wire | None = None
        self._complaint = ""
        self._unacknowledged = 0
        self._left_over_bytes = 0
        self._outgoing = Outgoing()
        self._heard = self._new_ear()
        self._farewelled = 0
        self._only_old = False
        self._warned_old = False
        self._tries_of_5 = 1
        self._rivals = Rivals()
        self._restraint = Restraint()
        self._asked: dict[int, Sequence[str]] = {}
        self._why = f"{who} is not connected"

    @property
    def up(self) -> bool:
        """True between a successful `open` and the loss of the connection."""
        client = self._client
        return client is not None and self._heard.accepted and client.socket() is not None

    @property
    def session_present(self) -> bool:
        """True when the broker said at the last connect that it has kept our session."""
        return self._heard.session_present

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

    def turn(self, timeout: float, messages: int | None = None) -> None:
        """Wait up to `timeout` seconds for the socket, then read up to `messages` and write.

        Without `messages` so many are read as a broker may send before we acknowledge any. Returns
        as soon as something was read and the socket is drained. One message is always read: a
        connection on which nobody takes any stays alive, for answers may stand behind it.
        """
        client, wire = self._live()
        if messages is None:
            messages = self.session.receive_maximum - len(self.inbox)
        if self._wait(wire, min(timeout, _WAIT_SECS)):
            self._read(client, wire, max(1, messages))
        self._outgoing.pump(wire, fresh=self._fresh)
        if client.want_write():
            client.loop_write()
        client.loop_misc()
        wire.flush()
        self._check(client)
        self._look_for_harm()

    def request(
        self,
        groups: Sequence[Sequence[str]],
        send: Callable[[GuardedClient, Sequence[str]], int | None],
    ) -> dict[str, ReasonCode] | None:
        """Send something of each group of filters, and return the broker's answer to each filter.

        `send` returns the packet id. A filter of which the broker says nothing has no answer. None
        when so much stands before the answers that it has to be taken first: ask `answers` then.
        """
        client, wire = self._live()
        asked = {send(client, some) or 0: some for some in groups}
        wire.flush()
        self._check(client)
        self._asked = asked
        self._heard.expect(asked)
        self._await(lambda: self._heard.answered or self._is_flooded, _OPEN_SECS)
        return self.answers()

    def answers(self) -> dict[str, ReasonCode] | None:
        """Return the broker's answers to the last request; None while one of them is missing."""
        if not self._heard.answered:
            return None
        return {
            one: reason
            for mid, some in self._asked.items()
            for one, reason in zip(some, self._heard.answers[mid], strict=False)
        }

    @property
    def _is_flooded(self) -> bool:
        return len(self.inbox) >= self.session.receive_maximum

    def give_up(self, why: str) -> NoReturn:
        """Break off: the broker is there, and of no use as it is."""
        self._why = f"{self.who} at {self.settings.url}: {why}"
        self._drop()
        raise NotConnected(self._why)

    def ack(self, mids: Collection[int]) -> None:
        """Acknowledge the QoS 1 messages that came on *this* connection under `mids`, in order."""
        if self._wire is not None:
            self._unacknowledged -= len(mids)
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

    def _try_both(self) -> None:
        try:
            self._open("5", _OPEN_SECS * 0.4)
        except _VersionRefused as refusal:
            self._tries_of_5 -= 1
            if self._tries_of_5 > 0 and not refusal.said:
                raise  # it spoke version 5 before, so it is slow or on its way up
            self._open("3.1.1", _OPEN_SECS * 0.6)
            self._only_old = refusal.said
            self._warn_old()
        else:
            self._tries_of_5 = _TRIES_OF_5

    def _open(self, version: str, secs: float) -> None:
        self._drop()
        self.version = version
        self.epoch += 1  # before the first packet: messages follow the broker's answer at once
        self._heard = self._new_ear()
        self._complaint, self._unacknowledged = "", 0
        self._left_over_bytes = self.inbox.bytes
        try:
            self._client = client = self._new_client(version)
            self._dial(client)
            self._await(lambda: self._heard.accepted, secs)
        except NotConnected as error:
            self._why = str(error)
            self._drop()
            if self._heard.connack is None:
                self._rivals.absent()
            raise
        self.connects += 1
        self._restraint.welcome()
        if not self.session.clean and not self.session_present:
            self._rivals.absent()

    def _new_ear(self) -> Heard:
        return Heard(self.epoch, self.inbox, self._outgoing, self._clock)

    def _new_client(self, version: str) -> GuardedClient:
        try:
            client = make_client(self.settings, self.session, version)
        except (OSError, ValueError) as error:
            raise NotConnected(
                f"{self._cannot()}: a file of the tls table is no use ({error}): "
                "check ca, cert and key"
            ) from None
        if self.will is not None:
            client.will_set(self.will.topic, self.will.payload, 1, retain=True)
        self._heard.listen(client)
        return client

    def _dial(self, client: GuardedClient) -> None:
        try:
            self._wire = dial(client, self.settings, self.session, self.version)
        except (OSError, ValueError, IndexError) as error:  # the last: a websocket's odd greeting
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
                raise self._unanswered()
            self.turn(0.1)

    def _unanswered(self) -> NotConnected:
        kind = NotConnected if self._heard.accepted else _VersionRefused
        return kind(self._why)

    def _leave_the_field(self) -> None:
        if rest := max(self._rivals.rest_secs, self._restraint.rest_secs):
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

    @property
    def _fresh(self) -> bool:
        return self.version == "5"

    def _live(self) -> tuple[GuardedClient, Wire]:
        if self._client is None or self._wire is None:
            raise NotConnected(self._why)
        self._check(self._client)
        return self._client, self._wire

    def _check(self, client: GuardedClient) -> None:
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

    def _look_for_harm(self) -> None:
        """Break off where waiting will not help, or would take all memory."""
        overdue = self._outgoing.overtaken_secs
        if overdue > 2 * self.settings.keepalive:
            self.give_up(
                f"it has confirmed newer messages for {overdue:.0f} s but not an older one"
            )
        if self.inbox.bytes > MOST_WAITING_BYTES + self._left_over_bytes:
            self.give_up(
                f"{self.inbox.bytes >> 20} MiB of messages wait to be taken: see why the sinks "
                "take nothing, or lower receive_maximum or max_packet_size"
            )

    def _read(self, client: GuardedClient, wire: Wire, messages: int) -> None:
        inbox = self.inbox
        most, size = len(inbox) + messages, inbox.bytes + _BYTES_PER_TURN
        try:
            for _ in range(PACKETS_PER_TURN):
                packet = wire.next()
                if packet is None:
                    break
                self._take(client, wire, packet)
                if len(inbox) >= most or inbox.bytes >= size:
                    break
        except packets.Malformed as error:
            self._complaint = str(error)
            self._lose()
        if wire.closing:
            client.loop_read()
        self._check(client)

    def _take(self, client: GuardedClient, wire: Wire, packet: Packet) -> None:
        client.hear()
        if (packet.kind == packets.CONNACK) == (self._heard.connack is not None):
            raise packets.Malformed("it began to talk before it let us in, or let us in twice")
        if packet.kind == packets.PUBLISH:
            self._arrive(packet)
        elif packet.kind == packets.PUBACK:
            self._outgoing.answered(*packets.read_puback(packet.body))
        else:
            wire.hand_over(packet)
            client.loop_read()
            self._check(client)

    def _arrive(self, packet: Packet) -> None:
        message = packets.read_publish(packet.head, packet.body, fresh=self._fresh)
        self._unacknowledged += bool(message.mid)
        if self._unacknowledged > packets.IDS:
            raise packets.Malformed("it sent more messages at once than there are packet ids")
        self._heard.arrive(message, whole=packet.whole)

    # --- losing the connection ----------------------------------------------------------------

    def _lose(self) -> NoReturn:
        complaint = self._complaint
        self._drop()
        if not self._heard.accepted:
            raise self._refused()
        self._why = f"{self.who} lost {self.settings.url}: {self._why_lost(complaint)}"
        raise NotConnected(self._why)

    def _refused(self) -> NotConnected:
        answer = self._heard.connack
        if answer is None:
            return _VersionRefused(
                f"{self._cannot()}: it hung up before answering: check that an MQTT broker "
                "listens there, and whether it asks for tls or a client certificate"
            )
        words = f"{self._cannot()}: {why_refused(answer)}"
        if answer.value == UNSUPPORTED_VERSION:
            return _VersionRefused(words, said=True)
        if answer.value not in NOT_NOW:
            self._restraint.refused()
        return NotConnected(words)

    def _why_lost(self, complaint: str) -> str:
        heard = self._heard
        if heard.goodbye is not None and heard.goodbye.value == SESSION_TAKEN_OVER:
            self._rivals.met()
            return self._rival("another client has connected with the same id")
        if heard.goodbye is not None or heard.silent or heard.garbled or complaint:
            return why_lost(heard.goodbye, complaint, silent=heard.silent, version=self.version)
        if self._rivals.kicked(lambda: is_listened_to(self.address)):
            return self._rival("it keeps hanging up; most likely another client has our id")
        return "the connection broke"

    def _rival(self, what: str) -> str:
        return (
            f"{what}, {self.session.client_id!r}: stop one of the two, "
            "or give one of them another instance name or client_id"
        )

    def _drop(self) -> None:
        client, self._client, self._wire = self._client, None, None
        if client is not None and (sock := client.socket()) is not None:
            sock.close()

    def _cannot(self) -> str:
        return f"{self.who} cannot connect to {self.settings.url}"
