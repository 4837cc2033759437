"""The sensors: samples go out at a rate, and each counts once the broker has confirmed it.

What a lost connection left unconfirmed goes out again, in order, before anything new: the broker
then holds each stream's samples in their order, some twice.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from streamlnn.pipeline.testing.soak.samples import HOSTILE, Sample

_WINDOW = 500
_RETRY_SECS = 0.05
_GARBAGE = None


class _Parcel(NamedTuple):
    number: int | None
    topic: str
    payload: bytes


class Publisher:
    """Publishes samples at QoS 1 from a thread of its own, for as long as the block lasts.

    `limit` is how many samples may be handed out, `rate` how many a second; `handed` counts them,
    `confirmed[number]` is 1 for what the broker has confirmed. A share `garbage` of further
    messages can be read by nobody.
    """

    def __init__(
        self, port: int, samples: Iterator[Sample], *, rate: float, garbage: float, seed: int
    ) -> None:
        self.limit = 0
        self.handed = 0
        self.confirmed = bytearray()
        self.confirmations = 0
        self.rubbish = 0
        self._port = port
        self._samples = samples
        self._rate = rate
        self._garbage = garbage
        self._random = np.random.default_rng([seed, 0x9A])
        self._again: deque[_Parcel] = deque()
        self._flying: dict[int, _Parcel] = {}
        self._client: mqtt.Client | None = None
        self._connected = False
        self._ended = threading.Event()
        self._began = 0.0
        self._thread = threading.Thread(target=self._work, name="soak-publisher", daemon=True)

    @property
    def all_confirmed(self) -> bool:
        """True when all that may be handed out was, and the broker has confirmed it."""
        return self.confirmations == self.limit

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._turn(self._client or self._connect())
            except OSError:
                self._lose()
                time.sleep(_RETRY_SECS)
        if self._client is not None:
            self._client.disconnect()

    def _connect(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, "soak-publisher", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.max_inflight_messages = 0  # the window is ours
        client.on_connect = self._on_connect
        client.on_publish = self._on_publish
        client.connect("127.0.0.1", self._port, clean_start=True)
        self._client = client
        return client

    def _turn(self, client: mqtt.Client) -> None:
        if self._connected:
            while len(self._flying) < _WINDOW and (parcel := self._next()) is not None:
                self._send(client, parcel)
        if client.loop(0.005) != mqtt.MQTT_ERR_SUCCESS:
            self._lose()

    def _lose(self) -> None:
        # Python keeps the order of insertion, which is that of sending.
        self._again = deque([*self._flying.values(), *self._again])
        self._flying = {}
        self._client, self._connected = None, False

    def _next(self) -> _Parcel | None:
        if self._again:
            return self._again.popleft()
        due = min(self.limit, self._rate * (time.monotonic() - self._began))
        if self.handed >= due:
            return None
        if self._random.random() < self._garbage:
            self.rubbish += 1
            topic = f"soak/s{self._random.integers(0, 10)}"
            return _Parcel(_GARBAGE, topic, HOSTILE[self._random.integers(0, len(HOSTILE))])
        sample = next(self._samples)
        self.handed += 1
        self.confirmed.append(0)
        return _Parcel(sample.number, sample.topic, sample.payload)

    def _send(self, client: mqtt.Client, parcel: _Parcel) -> None:
        info = client.publish(parcel.topic, parcel.payload, qos=1)
        self._flying[info.mid] = parcel

    def _on_connect(
        self, _client: Any, _data: Any, _flags: Any, reason: ReasonCode, _: Any
    ) -> None:
        self._connected = not reason.is_failure

    def _on_publish(self, _client: Any, _data: Any, mid: int, reason: ReasonCode, _: Any) -> None:
        parcel = self._flying.pop(mid)
        if reason.is_failure or parcel.number is None:
            return
        if not self.confirmed[parcel.number]:
            self.confirmed[parcel.number] = 1
            self.confirmations += 1
