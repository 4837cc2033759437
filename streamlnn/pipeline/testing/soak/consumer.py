"""Who wants the forecasts: a client with a session that outlives every connection."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import IO, Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from streamlnn.pipeline.testing.soak.tally import Tally
from streamlnn.pipeline.testing.soak.waiting import wait_until

_FOR_EVER = 0xFFFF_FFFF
_RETRY_SECS = 0.05
_SUBSCRIBE_SECS = 20.0


class Consumer:
    """Counts all that comes below a topic in `tally`, from a thread of its own.

    With `keep` every forecast's payload is written to that file too. Entering the block waits until
    the broker has confirmed the subscription: from then on it keeps what we have not acknowledged.
    """

    def __init__(self, port: int, below: str, *, keep: Path | None = None) -> None:
        self.tally = Tally()
        self._port = port
        self._below = below
        self._path = keep
        self._file: IO[bytes] | None = None
        self._client: mqtt.Client | None = None
        self._subscribed = threading.Event()
        self._ended = threading.Event()
        self._frozen_until = 0.0
        self._thread = threading.Thread(target=self._work, name="soak-consumer", daemon=True)

    def __enter__(self) -> Self:
        self._file = self._path.open("wb") if self._path else None
        self._thread.start()
        wait_until(self._subscribed.is_set, "the consumer's subscription", _SUBSCRIBE_SECS)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._file is not None:
            self._file.close()

    def freeze(self, secs: float) -> None:
        """Take nothing for so long, while the connection stands. Returns at once."""
        self._frozen_until = time.monotonic() + secs

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._turn(self._client or self._connect())
            except OSError:
                self._client = None
                time.sleep(_RETRY_SECS)
        if self._client is not None:
            self._client.disconnect()

    def _turn(self, client: mqtt.Client) -> None:
        if time.monotonic() < self._frozen_until:
            time.sleep(_RETRY_SECS)
        elif client.loop(0.05) != mqtt.MQTT_ERR_SUCCESS:
            self._client = None

    def _connect(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, "soak-consumer", protocol=MQTTProtocolVersion.MQTTv5
        )
        session = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        session.SessionExpiryInterval = _FOR_EVER
        session.ReceiveMaximum = 65_535
        client.on_connect = self._on_connect
        client.on_subscribe = lambda *_: self._subscribed.set()
        client.on_message = self._on_message
        client.connect("127.0.0.1", self._port, clean_start=False, properties=session)
        self._client = client
        return client

    def _on_connect(self, client: mqtt.Client, *_: Any) -> None:
        client.subscribe(f"{self._below}/#", qos=1)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/forecast"):
            self.tally.forecast(bytes(message.payload))
            if self._file is not None:
                self._file.write(message.payload + b"\n")
        elif message.topic.endswith("/event"):
            self.tally.event(bytes(message.payload))
