"""MQTT in and out: `MqttSource` follows topics, `MqttSink` publishes what the pipeline tells.

The source acknowledges a message only when the pipeline says that it is durable, so the broker
keeps what a crash would lose. A sink `via` a source shares its connection; the source's `read` and
the sink's `flush` both drive it.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import msgspec
from pydantic import BaseModel

from connectors.mqtt_client import Session
from connectors.mqtt_connection import Arrival, MqttConnection, Publication
from connectors.mqtt_settings import MqttSinkSettings, MqttSourceSettings
from connectors.mqtt_topics import check_filter, is_topic
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Batch, Context, Message, NotConnected, Output

log = logging.getLogger("streamlnn.mqtt")

_MAX_BATCH = 1024
_RETAIN_NEVER, _RETAIN_NEW = 2, 1  # MQTT 5: retained messages at a subscription; if it is new
_OF_A_STREAM = ("forecast", "event", "state")


class Position(msgspec.Struct, frozen=True):
    """Where a source stands: `n` messages of connection `epoch`, and what it subscribed to."""

    epoch: int = 0
    n: int = 0
    filters: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str | None) -> Position:
        """Read what `text` was; a position that is none counts as the beginning."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            log.warning("the stored position %.80r is not of an mqtt source: ignored", text)
            return cls()

    def text(self) -> str:
        """Return the form in which it is stored.

        >>> Position(1, 2, ("a/#",)).text()
        '{"epoch":1,"n":2,"filters":["a/#"]}'
        """
        return msgspec.json.encode(self).decode()


class _Unacked(NamedTuple):
    """A message to acknowledge under `mid` once `n` messages are durable."""

    n: int
    mid: int


class MqttSource:
    """Messages of the topics that the streams ask for.

    Positions count messages per connection: an acknowledgement that comes after a reconnect is
    dropped, because it would hit another message. A connector outside the daemon has a client id
    and a session of its own, so it acknowledges nothing on the daemon's behalf.
    """

    Settings: ClassVar[type[BaseModel]] = MqttSourceSettings

    def __init__(self, settings: MqttSourceSettings, context: Context) -> None:
        self.settings = settings
        self.id = settings.id
        self.format = settings.format
        self.filters = _filters(settings.topics or context.topics, self.id)
        self.connection = MqttConnection(
            settings, f"mqtt source {self.id!r}", _session(settings, context), context.clock
        )
        self._daemon = context.daemon
        self._sessions_lost = 0
        self._messages = 0
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._unacked: deque[_Unacked] = deque()
        self._taken = 0
        self._durable = 0
        self._known = Position()
        self._ready = False

    def connect(self, position: str | None) -> None:
        """Connect, subscribe, and forget subscriptions of an earlier configuration.

        Takes about 5 s at most. Raises `NotConnected`, with the way out.
        """
        self._ready = False
        expected = position is not None or self.connection.connects > 0
        self._known = Position.parse(position)
        self.connection.epoch = max(self.connection.epoch, self._known.epoch)
        self.connection.open()
        self._unacked.clear()
        self._taken = self._durable = 0
        self._look_at_session(expected)
        self._subscribe()
        self._ready = True

    def read(self, timeout: float) -> Batch | None:
        """Return what has come, at most 1,024 messages, waiting `timeout` seconds for the first.

        A batch may be empty: it then carries a new position to be stored.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._receive(deadline - time.monotonic())
            batch = self._take()
            if batch is not None or time.monotonic() >= deadline:
                return batch

    def ack(self, position: str) -> None:
        """Acknowledge to the broker, in order, all messages up to `position`."""
        durable = Position.parse(position)
        if durable.epoch == self.connection.epoch and self.connection.up:
            self._durable = max(self._durable, durable.n)
            self._acknowledge()

    @property
    def ready(self) -> bool:
        """True while the connection stands and every subscription is granted."""
        return self._ready and self.connection.up

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the start, for the status page and the metrics."""
        overflows = {"overflow": self.connection.overflows} if self.connection.overflows else {}
        return {
            "messages": self._messages,
            "bytes": self._bytes,
            "dropped": {**self._dropped, **overflows},
            "connects": self.connection.connects,
            "sessions_lost": self._sessions_lost,
            "unacked": len(self._unacked),
            "version": self.connection.version,
        }

    def close(self) -> None:
        """Disconnect; the broker queues for us until the session expires."""
        self._ready = False
        self.connection.close()

    def _subscribe(self) -> None:
        retained = _RETAIN_NEVER if self.settings.retained == "ignore" else _RETAIN_NEW
        self.connection.subscribe(self.filters, self.settings.qos, retained)
        outdated = [one for one in self._known.filters if one not in self.filters]
        if outdated and self.connection.session_present:
            log.info("mqtt source %r no longer follows %s", self.id, ", ".join(outdated))
            self.connection.unsubscribe(outdated)

    def _look_at_session(self, expected: bool) -> None:
        present = self.connection.session_present
        log.info(
            "mqtt source %r is connected to %s (MQTT %s, %s session)",
            self.id,
            self.settings.url,
            self.connection.version,
            "resumed" if present else "new",
        )
        if self._daemon and expected and not present:
            self._sessions_lost += 1
            log.warning(
                "mqtt source %r: the broker has forgotten our session; what it queued while we "
                "were away is lost: switch the broker's persistence on, or raise session_expiry",
                self.id,
            )

    def _receive(self, timeout: float) -> None:
        """Let the connection move; what came before it broke is handed out first."""
        waiting = len(self.connection.inbox)
        told = self._known.filters == self.filters
        try:
            self.connection.turn(
                timeout if told and not waiting else 0.0, max(0, _MAX_BATCH - waiting)
            )
        except NotConnected:
            if not self.connection.inbox:
                raise

    def _take(self) -> Batch | None:
        messages: list[Message] = []
        while self.connection.inbox and len(messages) < _MAX_BATCH:
            arrival = self.connection.inbox.popleft()
            if self._is_wanted(arrival):
                messages.append(self._message(arrival))
            if arrival.mid and arrival.epoch == self.connection.epoch:
                self._unacked.append(_Unacked(self._taken, arrival.mid))
        self._acknowledge()
        if not messages and self._known.filters == self.filters:
            return None
        self._known = Position(self.connection.epoch, self._taken, self.filters)
        return Batch(messages, self._known.text())

    def _is_wanted(self, arrival: Arrival) -> bool:
        reason = self._why_dropped(arrival)
        if reason and reason not in self._dropped:
            log.warning("mqtt source %r drops messages: %s (told once)", self.id, reason)
        if reason:
            self._dropped[reason] += 1
        return not reason

    def _why_dropped(self, arrival: Arrival) -> str:
        if not arrival.topic:
            return "topic is not text"
        if arrival.retained and self.settings.retained == "ignore":
            return "retained"
        if arrival.topic.startswith(tuple(self.connection.own_prefixes)):
            return "own output"
        return ""

    def _message(self, arrival: Arrival) -> Message:
        self._taken += 1
        self._messages += 1
        self._bytes += len(arrival.payload)
        return Message(
            arrival.topic or "", arrival.payload, arrival.received, retained=arrival.retained
        )

    def _acknowledge(self) -> None:
        """Acknowledge in the order of arrival; a dropped message waits for those before it."""
        while self._unacked and self._unacked[0].n <= self._durable and self.connection.up:
            self.connection.ack(self._unacked.popleft().mid)


class MqttSink:
    """Forecasts, events and the daemon's state, under `<base_topic>/<instance>/`.

    Via a source it shares that connection, which the source's owner connects and connects again:
    such a sink is never lost itself, it keeps what is not confirmed and publishes that on the new
    connection. The retained topics of the instance are published again after every connect,
    because a broker may have forgotten them and our last will has overwritten the status.
    """

    Settings: ClassVar[type[BaseModel]] = MqttSinkSettings

    def __init__(self, settings: MqttSinkSettings, context: Context) -> None:
        self.settings = settings
        self.id = settings.id
        self.prefix = f"{settings.base_topic}/{context.instance}/"
        self._daemon = context.daemon
        self.connection = self._shared(context) if settings.via else self._own(context)
        self._announce(context)
        self._outbox: deque[tuple[Publication, bool]] = deque()
        self._latest: dict[str, Output] = {}
        self._epoch = 0
        self._delivered = 0
        self._published = 0
        self._refused: Counter[str] = Counter()

    def connect(self) -> None:
        """Connect; via a source there is nothing to do. Raises `NotConnected`."""
        if not self.settings.via:
            self.connection.open()
        self._epoch = 0
        self._outbox.clear()
        self._delivered = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Publish `outputs` in order. Raises `NotConnected` when a connection of its own is lost.

        What the broker has not confirmed stays in memory: the caller bounds it by `flush`.
        """
        if not self.settings.via:
            self.connection.check()
        self._catch_up()
        for output in outputs:
            if output.kind not in _OF_A_STREAM:
                self._latest[output.kind] = output
            self._publish(output)

    def flush(self, timeout: float) -> int:
        """Drive the connection until all is confirmed, for up to `timeout` seconds.

        Call it now and then even when nothing waits: a connection of its own is kept alive here.
        Raises `NotConnected` when that is lost.
        """
        deadline = time.monotonic() + timeout
        while True:
            self._turn(deadline - time.monotonic() if self._outbox else 0.0)
            self._settle()
            if not self._outbox or time.monotonic() >= deadline:
                return self._delivered

    @property
    def stats(self) -> dict[str, Any]:
        """Counters since the start, for the status page and the metrics."""
        return {
            "published": self._published,
            "refused": dict(self._refused),
            "backlog": len(self._outbox),
            "connects": self.connection.connects,
        }

    def close(self) -> None:
        """Publish `offline`, and disconnect when the connection is our own."""
        if self.settings.via:
            self.connection.farewell()
        else:
            self.connection.close()

    def _shared(self, context: Context) -> MqttConnection:
        source = context.connections.get(self.settings.via)
        connection = getattr(source, "connection", None)
        if isinstance(connection, MqttConnection):
            return connection
        known = [name for name, one in context.connections.items() if isinstance(one, MqttSource)]
        raise ConfigError(
            [
                f"mqtt sink {self.id!r}: via = {self.settings.via!r} is no mqtt source "
                f"(there are: {', '.join(known) or 'none'}); name one, or give the sink a url"
            ]
        )

    def _own(self, context: Context) -> MqttConnection:
        name = self.settings.client_id or f"{context.instance}-{self.id}-sink"
        session = Session(name if context.daemon else _random_id())
        return MqttConnection(self.settings, f"mqtt sink {self.id!r}", session, context.clock)

    def _announce(self, context: Context) -> None:
        """Tell every source on this broker what it must not read, and the broker our last will."""
        if not is_topic(self.prefix):
            raise ConfigError(
                [f"instance {context.instance!r} cannot stand in an MQTT topic: no + # or control"]
            )
        self.connection.own_prefixes.add(self.prefix)
        for source in context.connections.values():
            connection = getattr(source, "connection", None)
            if (
                isinstance(connection, MqttConnection)
                and connection.address == self.connection.address
            ):
                connection.own_prefixes.add(self.prefix)
        if self._daemon:
            self._make_will()

    def _make_will(self) -> None:
        will = Publication(f"{self.prefix}status", b"offline", retain=True)
        if self.connection.will is not None:
            raise ConfigError(
                [
                    f"mqtt sink {self.id!r}: source {self.settings.via!r} already carries an mqtt "
                    "sink, and a connection has one last will; give this sink a url of its own"
                ]
            )
        self.connection.will = will

    def _turn(self, timeout: float) -> None:
        try:
            self._catch_up()
            self.connection.turn(timeout)
        except NotConnected:
            if not self.settings.via:
                raise
            time.sleep(max(0.0, timeout))  # the source tells, and its owner connects again

    def _catch_up(self) -> None:
        """On a new connection publish what the one before has not confirmed."""
        if self._epoch == self.connection.epoch or not self.connection.up:
            return
        self._epoch = self.connection.epoch
        for publication, _ in self._outbox:
            if not publication.done:
                self.connection.publish(publication)
        for output in self._latest.values():
            self._publish(output)

    def _publish(self, output: Output) -> None:
        publication = self._publication(output)
        self._outbox.append((publication, output.lsn is not None))
        self._published += 1
        if not publication.done and self.connection.up:
            self.connection.publish(publication)

    def _publication(self, output: Output) -> Publication:
        of_a_stream = output.kind in _OF_A_STREAM
        made = Publication(
            f"{self.prefix}stream/{output.stream}/{output.kind}"
            if of_a_stream
            else f"{self.prefix}{output.kind}",
            output.payload,
            0 if output.kind == "state" else self.settings.qos,
            self.settings.retain_state if output.kind == "state" else not of_a_stream,
            output.identity,
        )
        self._refuse_impossible(made, output)
        return made

    def _refuse_impossible(self, made: Publication, output: Output) -> None:
        if not is_topic(made.topic):
            made.done, made.refusal = True, "the stream's id cannot be an MQTT topic"
        elif output.kind == "status" and not self._daemon:
            made.done = True

    def _settle(self) -> None:
        while self._outbox and self._outbox[0][0].done:
            publication, durable = self._outbox.popleft()
            self._delivered += durable
            if publication.refusal:
                self._note_refusal(publication)

    def _note_refusal(self, publication: Publication) -> None:
        if publication.refusal not in self._refused:
            log.error(
                "mqtt sink %r cannot publish %r: %s; it is dropped, and so are others like it "
                "(told once): let this user write to %s#, and look at the broker's limits",
                self.id,
                publication.topic,
                publication.refusal,
                self.prefix,
            )
        self._refused[publication.refusal] += 1


def _filters(wanted: Sequence[str], source_id: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(check_filter(one) for one in wanted))
    except ValueError as error:
        raise ConfigError([f"mqtt source {source_id!r}: {error}"]) from None


def _session(settings: MqttSourceSettings, context: Context) -> Session:
    if not context.daemon:
        return Session(_random_id(), receive_maximum=settings.receive_maximum)
    name = settings.client_id or f"{context.instance}-{settings.id}"
    return Session(name, settings.session_expiry, settings.receive_maximum)


def _random_id() -> str:
    return f"streamlnn-{secrets.token_hex(6)}"
