"""The two MQTT clients of the demo: one plays the sensors, one watches the forecasts come back.

Both drive paho in its own thread, where nothing may raise: it would end that thread for good.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from typing import Any, Self

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from streamlnn.daemon.feed import Message
from streamlnn.errors import StreamlnnError
from streamlnn.pipeline.messages import EventMessage, ForecastMessage

HOST = "127.0.0.1"
MOST_UNCONFIRMED = 100
"""A broker slower than the feed slows the feed down, rather than a queue growing without end."""
SHOWN_EVENTS = 3
SUBSCRIBE_SECS = 5.0


class Feeder:
    """Publishes messages at QoS 1, each when it is due, from when the block is entered."""

    def __init__(self, port: int, messages: Iterable[Message], speed: float) -> None:
        self.published = 0
        self._messages = messages
        self._speed = speed
        self._stopped = threading.Event()
        self._slots = threading.BoundedSemaphore(MOST_UNCONFIRMED)
        self._port = port
        self._client = _client()
        self._client.on_publish = lambda *_: self._slots.release()
        self._thread = threading.Thread(target=self._play, name="streamlnn-feed", daemon=True)

    def __enter__(self) -> Self:
        _start(self._client, self._port)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        _end(self._client)

    def _play(self) -> None:
        due = time.monotonic()
        for topic, payload, delay in self._messages:
            due += delay / self._speed
            if self._stopped.wait(max(0.0, due - time.monotonic())) or not self._slot():
                return
            self._client.publish(topic, json.dumps(payload), qos=1)
            self.published += 1

    def _slot(self) -> bool:
        """Wait for a confirmation where too many are missing; False once stopped."""
        while not self._slots.acquire(timeout=0.1):
            if self._stopped.is_set():
                return False
        return True


class Watcher:
    """Subscribes to the daemon's forecasts and events and keeps the newest.

    `received` counts the forecasts, `first` is when the first one came (monotonic seconds),
    `happened` counts the events, and `events` are the last few. Entering the block waits for the
    subscription; raises `StreamlnnError` when it is not confirmed within 5 seconds.
    """

    def __init__(self, port: int, base: str) -> None:
        self.received = 0
        self.happened = 0
        self.first: float | None = None
        self.events: deque[EventMessage] = deque(maxlen=SHOWN_EVENTS)
        self._newest: dict[str, ForecastMessage] = {}
        self._subscribed = threading.Event()
        self._client = _client()
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._port = port
        self._base = base

    def __enter__(self) -> Self:
        _start(self._client, self._port)
        if not self._subscribed.wait(SUBSCRIBE_SECS):
            _end(self._client)
            raise StreamlnnError(
                f"the broker at {HOST}:{self._port} did not confirm a subscription in "
                f"{SUBSCRIBE_SECS:g} s; is the machine overloaded? try again"
            )
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._client)

    def newest(self) -> list[ForecastMessage]:
        """Return the newest forecast of every stream, by the stream's id."""
        newest = self._newest.copy()
        return [newest[stream] for stream in sorted(newest)]

    def events_after(self, count: int) -> list[EventMessage]:
        """Return the events after the first `count`, as far as they are still kept."""
        events = list(self.events)
        return events[max(0, len(events) - (self.happened - count)) :]

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._base}/stream/#", qos=1)

    def _on_message(
        self,
        client: mqtt.Client,  # noqa: ARG002
        userdata: Any,  # noqa: ARG002
        message: mqtt.MQTTMessage,
    ) -> None:
        if message.topic.endswith("/forecast"):
            self._keep(msgspec.json.decode(message.payload, type=ForecastMessage))
        elif message.topic.endswith("/event"):
            self.events.append(msgspec.json.decode(message.payload, type=EventMessage))
            self.happened += 1

    def _keep(self, forecast: ForecastMessage) -> None:
        self._newest[forecast.stream] = forecast
        self.received += 1
        self.first = self.first or time.monotonic()


def _client() -> mqtt.Client:
    return mqtt.Client(CallbackAPIVersion.VERSION2)


def _start(client: mqtt.Client, port: int) -> None:
    client.connect(HOST, port)
    client.loop_start()


def _end(client: mqtt.Client) -> None:
    client.disconnect()
    client.loop_stop()
