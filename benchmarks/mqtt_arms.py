"""Who takes the messages: a bare paho client, and our pipeline. Each counts in `taken`."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from connectors.codecs import JsonCodec
from connectors.mqtt import MqttSink, MqttSource
from connectors.mqtt.client import properties
from streamlnn.model import stepping
from streamlnn.pipeline.contract import Context
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings

WINDOW = 4096
OUT_WINDOW = 1000
TABLE = {"topic": "in/{n}", "id": "{n}", "time": {"path": "t", "format": "unix_ms"}}


def bare(port: int, taken: Any, stop: Any, again: bool, _report: Any) -> None:
    """Receive and acknowledge by hand; with `again` publish what came, at QoS 1, before that."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, "arm", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    client.max_inflight_messages_set(OUT_WINDOW)

    def take(_client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        if again:
            client.publish(f"out/{message.topic}", message.payload, 1)
        client.ack(message.mid, message.qos)
        if not again:
            taken.value += 1

    def confirmed(*_: Any) -> None:
        taken.value += 1

    client.on_message = take
    client.on_publish = confirmed if again else None
    session = properties(PacketTypes.CONNECT, ReceiveMaximum=WINDOW, SessionExpiryInterval=600)
    client.connect("127.0.0.1", port, clean_start=True, properties=session)
    client.subscribe("in/#", 1)
    while not stop.is_set():
        client.loop(0.05)


def ours(port: int, taken: Any, stop: Any, forecast: bool, report: Any) -> None:
    """Journal and acknowledge; with `forecast` step the default model and publish, at QoS 1.

    Without it `report` gets the median and the 99th percentile of the milliseconds from a message's
    arrival to its acknowledgement.
    """
    stepping.warm()
    settings = MqttSource.Settings(kind="mqtt", id="arm", url=f"mqtt://127.0.0.1:{port}")
    source = MqttSource(settings, Context("bench", "arm", ("in/#",)))
    waits: list[float] = []
    if not forecast:
        _time_acks(source, waits)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = (Pipeline if forecast else _WithoutModel)(
            Journal(Path(folder)),
            [(source, StreamMap([StreamSettings(**TABLE)], JsonCodec()))],
            [_sink(source)] if forecast else [],
            _Counting(taken, "published_total" if forecast else "messages_total"),
            instance="bench",
            model=ModelSettings(),
        )
        threading.Thread(target=_end, args=(stop, pipeline), daemon=True).start()
        pipeline.run()
    report.put([float(np.percentile(waits, q)) * 1e3 for q in (50, 99)] if waits else None)


def _sink(source: MqttSource) -> MqttSink:
    settings = MqttSink.Settings(kind="mqtt", id="out", via="arm", base_topic="out")
    return MqttSink(settings, Context("bench", "out", connections={"arm": source}))


def _end(stop: Any, pipeline: Pipeline) -> None:
    stop.wait()
    pipeline.stop.set()


class _Counting(Observer):
    def __init__(self, taken: Any, name: str) -> None:
        self._taken, self._name = taken, name

    def count(self, name: str, n: int = 1, **_labels: str) -> None:
        if name == self._name:
            self._taken.value += n


class _WithoutModel(Pipeline):
    def _step(self, item: Any) -> None:
        pass


def _time_acks(source: MqttSource, waits: list[float]) -> None:
    connection = source.connection
    arrived: dict[int, float] = {}
    add, ack = connection.inbox.add, connection.ack

    def note(arrival: Any) -> None:
        arrived[arrival.mid] = time.perf_counter()
        add(arrival)

    def acked(mids: Any) -> None:
        ack(mids)
        now = time.perf_counter()
        waits.extend(now - arrived.pop(mid) for mid in mids)

    connection.inbox.add, connection.ack = note, acked  # type: ignore[method-assign]
