"""The MQTT source: a message is acknowledged only when the pipeline says that it is durable."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import msgspec
from pydantic import BaseModel

from connectors.mqtt.client import Session, random_id
from connectors.mqtt.connection import MqttConnection
from connectors.mqtt.examine import examine_source
from connectors.mqtt.incoming import Arrival
from connectors.mqtt.settings import MqttSourceSettings
from connectors.mqtt.subscribing import is_granted, subscribe, unsubscribe
from connectors.mqtt.topics import check_filter
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Batch, Context, Message, NotConnected

log = logging.getLogger("streamlnn.mqtt")

_MAX_BATCH = 1024
_NO_TEXT = "topic is not text"
_TOO_LARGE = "larger than max_packet_size"
_RETAIN_NEVER, _RETAIN_NEW = 2, 1  # MQTT 5: retained messages at a subscription; if it is new


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a source stands: `n` messages of connection `epoch`, and what it is subscribed to."""

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
    examine = staticmethod(examine_source)

    def __init__(self, settings: MqttSourceSettings, context: Context) -> None:
        self.settings = settings
        self.id = settings.id
        self.format = settings.format
        self.filters = _filters(context.topics or settings.topics, self.id)
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
        self._outdated: tuple[str, ...] = ()
        self._subscribed = self._granted = False

    def connect(self, position: str | None) -> None:
        """Connect, subscribe, and forget subscriptions of an earlier configuration.

        Takes about 5 s at most. Raises `NotConnected`, with the way out.
        """
        self._subscribed = self._granted = False
        expected = position is not None or self.connection.connects > 0
        self._known = Position.parse(position)
        self._outdated = tuple(one for one in self._known.filters if one not in self.filters)
        self.connection.epoch = max(self.connection.epoch, self._known.epoch)
        self.connection.open()
        self._unacked.clear()
        self._taken = self._durable = 0
        self._look_at_session(expected)
        self._subscribe()

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

    def idle(self) -> None:
        """Let the connection move; what comes waits here unacknowledged, a window at most.

        The socket is read all the same: answers to pings, and to a sink's publications, stand in
        it behind the messages.
        """
        self.connection.turn(0.0)
        self._look_for_grants()

    def ack(self, position: str) -> None:
        """Acknowledge to the broker, in order, all messages up to `position`."""
        durable = Position.parse(position)
        if durable.epoch == self.connection.epoch and self.connection.up:
            self._durable = max(self._durable, durable.n)
            self._acknowledge()

    @property
    def ready(self) -> bool:
        """True while the connection stands and everything is subscribed.

        A session that the broker has kept holds its subscriptions. That it grants them once more
        may stand behind all that it has queued.
        """
        return self._subscribed and self.connection.up

    @property
    def stats(self) -> dict[str, int | dict[str, int]]:
        """Counts since the start, for the metrics: what came, what was dropped, what is open."""
        overflows = (
            {"overflow": self.connection.inbox.overflows} if self.connection.inbox.overflows else {}
        )
        return {
            "messages": self._messages,
            "bytes": self._bytes,
            "dropped": {**self._dropped, **overflows},
            "connects": self.connection.connects,
            "sessions_lost": self._sessions_lost,
            "unacked": len(self._unacked),
        }

    def close(self) -> None:
        """Disconnect; the broker queues for us until the session expires."""
        self._subscribed = self._granted = False
        self.connection.close()

    def _subscribe(self) -> None:
        retained = _RETAIN_NEVER if self.settings.retained == "ignore" else _RETAIN_NEW
        if subscribe(self.connection, self.filters, self.settings.qos, retained):
            self._note_grants()
        elif self.connection.session_present:
            self._subscribed = set(self.filters) <= set(self._known.filters)

    def _note_grants(self) -> None:
        """Note that all subscriptions stand, and end those of an earlier configuration."""
        self._subscribed = self._granted = True
        if self._outdated and self.connection.session_present:
            log.info("mqtt source %r no longer follows %s", self.id, ", ".join(self._outdated))
            unsubscribe(self.connection, self._outdated)
        self._outdated = ()

    @property
    def _followed(self) -> tuple[str, ...]:
        """What the broker sends us: our filters, and those it has not been told to forget yet."""
        return (*self.filters, *self._outdated)

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
        told = self._known.filters == self._followed
        try:
            self.connection.turn(
                timeout if told and not waiting else 0.0, max(0, _MAX_BATCH - waiting)
            )
            self._look_for_grants()
        except NotConnected:
            if not self.connection.inbox:
                raise

    def _look_for_grants(self) -> None:
        if not self._granted and is_granted(self.connection, self.filters, self.settings.qos):
            self._note_grants()

    def _take(self) -> Batch | None:
        messages: list[Message] = []
        while self.connection.inbox and len(messages) < _MAX_BATCH:
            arrival = self.connection.inbox.popleft()
            if self._is_wanted(arrival):
                messages.append(self._message(arrival))
            if arrival.mid and arrival.epoch == self.connection.epoch:
                self._unacked.append(_Unacked(self._taken, arrival.mid))
        self._acknowledge()
        if not messages and self._known.filters == self._followed:
            return None
        self._known = Position(self.connection.epoch, self._taken, self._followed)
        return Batch(messages, self._known.text())

    def _is_wanted(self, arrival: Arrival) -> bool:
        reason = self._why_dropped(arrival)
        if reason and reason not in self._dropped:
            level = logging.WARNING if reason in (_NO_TEXT, _TOO_LARGE) else logging.INFO
            log.log(level, "mqtt source %r drops messages: %s (told once)", self.id, reason)
        if reason:
            self._dropped[reason] += 1
        return not reason

    def _why_dropped(self, arrival: Arrival) -> str:
        if not arrival.topic:
            return _NO_TEXT
        if arrival.payload is None:
            return _TOO_LARGE
        if arrival.retained and self.settings.retained == "ignore":
            return "retained"
        if arrival.topic.startswith(tuple(self.connection.own_prefixes)):
            return "own output"
        return ""

    def _message(self, arrival: Arrival) -> Message:
        payload = arrival.payload or b""
        self._taken += 1
        self._messages += 1
        self._bytes += len(payload)
        may_only_begin = arrival.retained and self.settings.retained == "seed"
        return Message(arrival.topic or "", payload, arrival.received, retained=may_only_begin)

    def _acknowledge(self) -> None:
        """Acknowledge in the order of arrival; a dropped message waits for those before it."""
        mids = []
        while self._unacked and self._unacked[0].n <= self._durable:
            mids.append(self._unacked.popleft().mid)
        if mids:
            self.connection.ack(mids)


def _filters(wanted: Sequence[str], source_id: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(check_filter(one) for one in wanted))
    except ValueError as error:
        raise ConfigError([f"mqtt source {source_id!r}: {error}"]) from None


def _session(settings: MqttSourceSettings, context: Context) -> Session:
    if not context.daemon:
        return Session(random_id(), receive_maximum=settings.receive_maximum)
    name = settings.client_id or f"{context.instance}-{settings.id}"
    return Session(name, settings.session_expiry, settings.receive_maximum)
