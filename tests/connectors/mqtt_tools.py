"""What the MQTT tests share: making a source and a sink, and reading until something holds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from brokers import DEADLINE_SECS, Broker

from connectors.mqtt import MqttSink, MqttSource
from connectors.mqtt.settings import MqttSinkSettings, MqttSourceSettings
from streamlnn.pipeline.contract import Batch, Context, Message, NotConnected


def make_source(url: str, *topics: str, daemon: bool = True, **settings: Any) -> MqttSource:
    settings = {"id": "plant", "url": url, "topics": topics, **settings}
    context = Context(instance="plant1", daemon=daemon)
    return MqttSource(MqttSourceSettings(**settings), context)


def make_sink(
    source: MqttSource | None = None, *, daemon: bool = True, **settings: Any
) -> MqttSink:
    connections = {source.id: source} if source else {}
    via = {"via": source.id} if source else {}
    context = Context(instance="plant1", connections=connections, daemon=daemon)
    return MqttSink(MqttSinkSettings(**via, **settings), context)


@contextmanager
def connected(
    broker: Broker, *topics: str, position: str | None = None, **settings: Any
) -> Iterator[MqttSource]:
    source = make_source(broker.url, *topics, **settings)
    source.connect(position)
    try:
        yield source
    finally:
        source.close()


class Reader:
    """Reads a source as the pipeline does, keeping the messages and the last position."""

    def __init__(self, source: MqttSource, *, ack: bool = True) -> None:
        self.source = source
        self.ack = ack
        self.messages: list[Message] = []
        self.position: str | None = None

    @property
    def payloads(self) -> list[bytes]:
        return [message.payload for message in self.messages]

    def until(self, condition: Callable[[], bool], secs: float = DEADLINE_SECS) -> list[Message]:
        deadline = time.monotonic() + secs
        while not condition():
            assert time.monotonic() < deadline, f"waited in vain; {len(self.messages)} messages"
            self._keep(self.source.read(0.05))
        return self.messages

    def until_count(self, n: int) -> list[Message]:
        return self.until(lambda: len(self.messages) >= n)

    def until_count_of(self, n: int) -> set[bytes]:
        """Read until so many different payloads have come."""
        self.until(lambda: len(set(self.payloads)) >= n)
        return set(self.payloads)

    def until_quiet(self) -> list[Message]:
        """Read until the source has nothing more for a quarter of a second."""
        while (batch := self.source.read(0.25)) is not None:
            self._keep(batch)
        return self.messages

    def until_lost(self) -> str:
        """Read until the source says that it is not connected, and return its words."""
        try:
            self.until(lambda: False)
        except NotConnected as error:
            return str(error)
        raise AssertionError

    def _keep(self, batch: Batch | None) -> None:
        if batch is not None:
            self.messages += batch.messages
            self.position = batch.position
            if self.ack:
                self.source.ack(batch.position)


def connect_again(source: MqttSource, position: str | None, secs: float = DEADLINE_SECS) -> None:
    """Connect as the pipeline does: again and again until it works."""
    deadline = time.monotonic() + secs
    while True:
        try:
            return source.connect(position)
        except NotConnected:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
