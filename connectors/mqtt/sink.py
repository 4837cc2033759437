"""The MQTT sink: forecasts, events and the daemon's state, each delivered when confirmed."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel

from connectors.mqtt.client import Session, random_id
from connectors.mqtt.connection import MqttConnection
from connectors.mqtt.examine import examine_sink
from connectors.mqtt.outgoing import Publication
from connectors.mqtt.settings import MqttSinkSettings
from connectors.mqtt.source import MqttSource
from connectors.mqtt.topics import is_topic
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, NotConnected, Output

log = logging.getLogger("streamlnn.mqtt")

_OF_A_STREAM = ("forecast", "event", "state")


class MqttSink:
    """Forecasts, events and the daemon's state, under `<base_topic>/<instance>/`.

    Via a source it shares that connection, which the source's owner connects and connects again:
    such a sink is never lost itself, it keeps what is not confirmed and publishes that on the new
    connection. The retained topics of the instance are published again after every connect,
    because a broker may have forgotten them and our last will has overwritten the status.
    """

    Settings: ClassVar[type[BaseModel]] = MqttSinkSettings
    examine = staticmethod(examine_sink)

    def __init__(self, settings: MqttSinkSettings, context: Context) -> None:
        self.settings = settings
        self.id = settings.id
        self.prefix = self._prefix(context)
        self._daemon = context.daemon
        self.connection = self._connection(context)
        self._announce(context)
        self._outbox: deque[tuple[Publication, bool]] = deque()
        self._newest: dict[str, Publication] = {}
        self._unsent: list[Publication] = []
        self._epoch = 0
        self._delivered = 0
        self._published = 0
        self._refused: Counter[str] = Counter()

    def connect(self) -> None:
        """Connect; via a source there is nothing to do. Raises `NotConnected`."""
        if not self._shares:
            self.connection.open()
        self._epoch = 0
        self._outbox.clear()
        self._unsent.clear()
        self._delivered = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Publish `outputs` in order. Raises `NotConnected` when a connection of its own is lost.

        What the broker has not confirmed stays in memory: the caller bounds it by `flush`. Of what
        is not durable only the newest waits.
        """
        if not self._shares:
            self.connection.check()
        self._catch_up()
        for output in outputs:
            self._take(output)
        self._send()

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
        if self._shares:
            self.connection.farewell()
        else:
            self.connection.close()

    def _prefix(self, context: Context) -> str:
        return f"{self.settings.base_topic}/{context.instance}/"

    @property
    def _shares(self) -> bool:
        """Whether the connection is a source's, which its owner connects."""
        return bool(self.settings.via)

    def _connection(self, context: Context) -> MqttConnection:
        return self._shared(context) if self._shares else self._own(context)

    def _shared(self, context: Context) -> MqttConnection:
        source = context.connections.get(self.settings.via)
        if isinstance(source, MqttSource):
            return source.connection
        known = [name for name, one in context.connections.items() if isinstance(one, MqttSource)]
        raise ConfigError(
            [
                f"mqtt sink {self.id!r}: via = {self.settings.via!r} is no mqtt source "
                f"(there are: {', '.join(known) or 'none'}); name one, or give the sink a url"
            ]
        )

    def _own(self, context: Context) -> MqttConnection:
        name = self.settings.client_id or f"{context.instance}-{self.id}-sink"
        session = Session(name if context.daemon else random_id())
        return MqttConnection(self.settings, f"mqtt sink {self.id!r}", session, context.clock)

    def _announce(self, context: Context) -> None:
        """Tell every source on this broker what it must not read, and the broker our last will."""
        if not is_topic(self.prefix):
            raise ConfigError(
                [f"instance {context.instance!r} cannot stand in an MQTT topic: no + # or control"]
            )
        self._hide(self.prefix, context)
        if self._daemon:
            self._make_will()

    def _hide(self, prefix: str, context: Context) -> None:
        """Let no source on this broker read what we publish under `prefix`."""
        self.connection.own_prefixes.add(prefix)
        for source in context.connections.values():
            connection = getattr(source, "connection", None)
            if (
                isinstance(connection, MqttConnection)
                and connection.address == self.connection.address
            ):
                connection.own_prefixes.add(prefix)

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
            if not self._shares:
                raise
            time.sleep(max(0.0, timeout))  # the source tells, and its owner connects again

    def _catch_up(self) -> None:
        """On a new connection publish what the one before has not confirmed."""
        if self._epoch == self.connection.epoch or not self.connection.up:
            return
        self._epoch = self.connection.epoch
        self._outbox = deque(entry for entry in self._outbox if entry[1])
        self._unsent = [publication for publication, _ in self._outbox]
        for publication in list(self._newest.values()):
            self._renew(replace(publication, sent=False, done=False, refusal=""))
        self._send()

    def _take(self, output: Output) -> None:
        if output.lsn is None:
            self._tell(self._publication(output))
        else:
            self._queue(self._publication(output), durable=True)

    def _tell(self, made: Publication) -> None:
        """Publish how things are now; what still waits to say how they were is overwritten."""
        waiting = self._newest.get(made.topic)
        if waiting is not None and not (waiting.sent or waiting.done):
            waiting.payload = made.payload
        elif made.done:
            self._queue(made, durable=False)
        else:
            self._renew(made)

    def _renew(self, made: Publication) -> None:
        self._newest[made.topic] = made
        self._queue(made, durable=False)

    def _queue(self, publication: Publication, *, durable: bool) -> None:
        self._outbox.append((publication, durable))
        self._published += 1
        self._unsent.append(publication)

    def _send(self) -> None:
        """Publish what was queued; without a connection it waits in the outbox for the next."""
        unsent, self._unsent = self._unsent, []
        if not self.connection.up:
            return
        try:
            self.connection.publish(*(one for one in unsent if not one.done))
        except NotConnected:
            if not self._shares:
                raise

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
            self._forget(publication)
            if publication.refusal:
                self._note_refusal(publication)

    def _forget(self, publication: Publication) -> None:
        """Keep for the next connection what is said once, but not the state of every stream."""
        topic = publication.topic
        if topic.startswith(f"{self.prefix}stream/") and self._newest.get(topic) is publication:
            del self._newest[topic]

    def _note_refusal(self, publication: Publication) -> None:
        if publication.refusal not in self._refused:
            log.error(
                "mqtt sink %r cannot publish %.200r: %s; it is dropped, and so are others like it "
                "(told once): let this user write to %s#, and look at the broker's limits",
                self.id,
                publication.topic,
                publication.refusal,
                self.prefix,
            )
        self._refused[publication.refusal] += 1
