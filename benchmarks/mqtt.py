"""How much MQTT one daemon carries, beside a bare paho client that does the least there is to do.

    python -m benchmarks.mqtt [--secs 10] [--rounds 3] [--hold 60]

Four arms take turns on one stock mosquitto, a publisher and a consumer of raw sockets around each:

- `take`: messages in, journalled durably, acknowledged; no model. Beside it a bare paho client of
  version 5 that acknowledges by hand and does nothing else.
- `forecast`: messages in, forecasts of the default model out at QoS 1, one for each. Beside it a
  bare paho client that publishes again, at QoS 1, what it receives.

The publisher never runs more than `AHEAD` messages ahead of what the arm has taken, because a
stock mosquitto drops what exceeds a queue of 1,000. So the rate is what the arm can take.
"""

from __future__ import annotations

import multiprocessing
import socket
import statistics
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
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

AHEAD = 900
WINDOW = 4096
STREAMS = 20
TABLE = {"topic": "in/{n}", "id": "{n}", "time": {"path": "t", "format": "unix_ms"}}


def main_broker(folder: Path, port: int) -> subprocess.Popen[bytes]:
    conf = folder / "mosquitto.conf"
    user = ["user root"]
    conf.write_text("\n".join([f"listener {port} 127.0.0.1", "allow_anonymous true", *user, ""]))
    return subprocess.Popen(["/usr/sbin/mosquitto", "-c", str(conf)], stderr=subprocess.DEVNULL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dial(port: int, name: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
    sock.sendall(bytes([0x10, len(body)]) + body)
    assert sock.recv(4)[3] == 0
    return sock


def remaining(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80, n >> 7])


def publish(port: int, taken: Any, stop: Any) -> None:
    sock = dial(port, b"publisher")

    def drop() -> None:
        while sock.recv(65536):
            pass

    threading.Thread(target=drop, daemon=True).start()
    rng = np.random.default_rng(1)
    noise = rng.normal(size=4096)
    n = 0
    start = 1_700_000_000_000
    while not stop.is_set():
        room = min(taken.value + AHEAD - n, 64)
        if room <= 0:
            time.sleep(0.0005)
            continue
        packets = []
        for _ in range(room):
            k, i = n % STREAMS, n // STREAMS
            value = np.sin(i / 20 + k) + 0.1 * noise[n % 4096]
            topic = b"in/%d" % k
            payload = b'{"t": %d, "v": %.6f}' % (start + 1000 * i, value)
            body = (
                struct.pack("!H", len(topic)) + topic + struct.pack("!H", n % 65535 + 1) + payload
            )
            packets.append(b"\x32" + remaining(len(body)) + body)
            n += 1
        sock.sendall(b"".join(packets))


def consume(port: int, ready: Any) -> None:
    """Take what comes at QoS 1 and confirm it, at the least cost."""
    sock = dial(port, b"consumer")
    topic = b"out/#"
    body = b"\x00\x01" + struct.pack("!H", len(topic)) + topic + b"\x01"
    sock.sendall(bytes([0x82, len(body)]) + body)
    stream = sock.makefile("rb", buffering=1 << 20)
    ready.set()
    while head := stream.read(1):
        size = shift = 0
        while True:
            byte = stream.read(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if byte < 128:
                break
        body = stream.read(size)
        if head[0] >> 4 == 3 and head[0] & 0x06:
            at = 2 + int.from_bytes(body[:2], "big")
            sock.sendall(b"\x40\x02" + body[at : at + 2])


# --- the arms: each counts in `taken` what it has taken


def bare(port: int, taken: Any, stop: Any, again: bool, report: Any) -> None:
    client = paho.Client(
        CallbackAPIVersion.VERSION2, "arm", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    client.max_inflight_messages = 0
    client.max_inflight_messages_set(1000)

    def take(_c: Any, _d: Any, message: paho.MQTTMessage) -> None:
        if again:
            client.publish(f"out/{message.topic}", message.payload, 1)
        client.ack(message.mid, message.qos)
        if not again:
            taken.value += 1

    def confirmed(*_: Any) -> None:
        taken.value += 1

    client.on_message = take
    if again:
        client.on_publish = confirmed
    client.connect(
        "127.0.0.1",
        port,
        clean_start=True,
        properties=properties(
            PacketTypes.CONNECT, ReceiveMaximum=WINDOW, SessionExpiryInterval=600
        ),
    )
    client.subscribe("in/#", 1)
    while not stop.is_set():
        client.loop(0.05)


class _Counting(Observer):
    def __init__(self, taken: Any, name: str) -> None:
        self._taken, self._name = taken, name

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        if name == self._name:
            self._taken.value += n


class _NoModel(Pipeline):
    def _step(self, item: Any) -> None:
        pass


def ours(port: int, taken: Any, stop: Any, forecast: bool, report: Any) -> None:
    stepping.warm()
    url = f"mqtt://127.0.0.1:{port}"
    source = MqttSource(
        MqttSource.Settings(kind="mqtt", id="arm", url=url), Context("bench", "arm", ("in/#",))
    )
    context = Context("bench", "out", connections={"arm": source})
    sinks = [
        MqttSink(MqttSink.Settings(kind="mqtt", id="out", via="arm", base_topic="out"), context)
    ]
    streams = StreamMap([StreamSettings(**TABLE)], JsonCodec())
    waits: list[float] = []
    if not forecast:
        _time_acks(source, waits)
    with tempfile.TemporaryDirectory() as folder:
        kind = Pipeline if forecast else _NoModel
        pipeline = kind(
            Journal(Path(folder)),
            [(source, streams)],
            sinks if forecast else [],
            _Counting(taken, "published_total" if forecast else "messages_total"),
            instance="bench",
            model=ModelSettings(),
        )

        def end() -> None:
            stop.wait()
            pipeline.stop.set()

        threading.Thread(target=end, daemon=True).start()
        pipeline.run()
    if waits:
        report.put([float(np.percentile(waits, q)) * 1e3 for q in (50, 99)])


def _time_acks(source: MqttSource, waits: list[float]) -> None:
    """Note how long each message waits for its acknowledgement, from its arrival here."""
    connection, arrived = source.connection, {}
    arrive, ack = connection._arrive, connection.ack

    def note(message: Any, packet: Any) -> None:
        arrived[message.mid] = time.perf_counter()
        arrive(message, packet)

    def acked(mids: Any) -> None:
        ack(mids)
        now = time.perf_counter()
        waits.extend(now - arrived.pop(mid) for mid in mids)

    connection._arrive, connection.ack = note, acked  # type: ignore[method-assign]


ARMS: dict[str, tuple[Callable[..., None], bool]] = {
    "bare take": (bare, False),
    "ours take": (ours, False),
    "bare forecast": (bare, True),
    "ours forecast": (ours, True),
}


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def measure(arm: str, secs: float) -> tuple[float, list[float], Any]:
    """Return messages a second, the rate of each second, and what the arm reports."""
    work, flag = ARMS[arm]
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        broker = main_broker(Path(folder), port)
        time.sleep(0.3)
        context = multiprocessing.get_context("spawn")
        taken, stop, done = context.Value("q", 0, lock=False), context.Event(), context.Event()
        ready, report = context.Event(), context.Queue()
        consumer = context.Process(target=consume, args=(port, ready), daemon=True)
        consumer.start()
        ready.wait()
        process = context.Process(target=work, args=(port, taken, stop, flag, report))
        process.start()
        time.sleep(4)
        publisher = context.Process(target=publish, args=(port, taken, done), daemon=True)
        publisher.start()
        while taken.value < 2000:
            time.sleep(0.05)
        marks = [(time.perf_counter(), taken.value)]
        before = cpu(process.pid)
        for _ in range(round(secs)):
            time.sleep(1)
            marks.append((time.perf_counter(), taken.value))
        spent = (cpu(process.pid) - before) / (marks[-1][1] - marks[0][1])
        done.set()
        time.sleep(0.5)
        stop.set()
        process.join(15)
        told = report.get() if not report.empty() else None
        for one in (publisher, consumer, process):
            one.kill()
        broker.kill()
        broker.wait()
    rates = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in zip(marks, marks[1:])]
    return (
        (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0]),
        rates,
        (round(spent * 1e6), told),
    )


@click.command()
@click.option("--secs", default=10.0)
@click.option("--rounds", default=3)
@click.option("--arm", multiple=True)
def main(secs: float, rounds: int, arm: tuple[str, ...]) -> None:
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name in arm or ARMS:
            rate, each, told = measure(name, secs)
            rates.setdefault(name, []).append(rate)
            print(
                f"{name:14} {rate:8.0f}/s  min {min(each):.0f} max {max(each):.0f} {told or ''}",
                flush=True,
            )
    for name, found in rates.items():
        print(f"{name:14} median {statistics.median(found):8.0f}/s")


if __name__ == "__main__":
    main()
