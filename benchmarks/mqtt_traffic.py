"""What surrounds the client that is measured: a stock mosquitto, a publisher, a consumer.

Publisher and consumer are raw sockets that do the least there is to do, in processes of their own,
so that they take little of the two cores from what is measured.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from connectors.mqtt import packets

AHEAD = 900
"""A stock mosquitto drops what exceeds a queue of 1,000: no more than that is under way."""
STREAMS = 20
START_MS = 1_700_000_000_000
_AT_ONCE = 64
_MIDS = 65_535


@contextlib.contextmanager
def stock_broker(folder: Path) -> Iterator[int]:
    """Run a mosquitto with its own defaults; give its port."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        raise SystemExit("mosquitto is not installed: apt-get install mosquitto")
    port, config = free_port(), folder / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    folder.chmod(0o755)
    broker = subprocess.Popen([program, "-c", str(config)], stderr=subprocess.DEVNULL)  # noqa: S603
    try:
        time.sleep(0.3)
        yield port
    finally:
        broker.kill()
        broker.wait()


def publish(port: int, taken: Any, sent: Any, stop: Any, rate: float) -> None:
    """Publish at QoS 1, `rate` a second (0: as many as are taken), never far ahead of `taken`."""
    sock = _dial(port, b"publisher")
    threading.Thread(target=_drop_answers, args=(sock,), daemon=True).start()
    noise = np.random.default_rng(1).normal(size=4096)
    began = time.perf_counter()
    while not stop.is_set():
        n = sent.value
        due = round(rate * (time.perf_counter() - began)) if rate else n + _AT_ONCE
        room = min(taken.value + AHEAD - n, due - n, _AT_ONCE)
        if room <= 0:
            time.sleep(0.0005)
            continue
        sock.sendall(b"".join(_sample(k, noise) for k in range(n, n + room)))
        sent.value = n + room


def consume(port: int, ready: Any) -> None:
    """Take what is published under `out/`, and confirm it."""
    sock = _dial(port, b"consumer")
    topic = b"out/#"
    body = b"\x00\x01" + struct.pack("!H", len(topic)) + topic + b"\x01"
    sock.sendall(bytes([0x82, len(body)]) + body)
    ready.set()
    stream = sock.makefile("rb", buffering=1 << 20)
    while head := stream.read(1):
        body = stream.read(_length(stream))
        if head[0] >> 4 == packets.PUBLISH and head[0] & 0x06:
            at = 2 + int.from_bytes(body[:2], "big")
            sock.sendall(b"\x40\x02" + body[at : at + 2])


def _sample(n: int, noise: Any) -> bytes:
    stream, i = n % STREAMS, n // STREAMS
    value = np.sin(i / 20 + stream) + 0.1 * noise[n % noise.size]
    payload = b'{"t": %d, "v": %.6f}' % (START_MS + 1000 * i, value)
    return packets.publish(f"in/{stream}", payload, 1, False, n % _MIDS + 1, b"")


def _drop_answers(sock: socket.socket) -> None:
    while sock.recv(65_536):
        pass


def _length(stream: Any) -> int:
    value = shift = 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value


def _dial(port: int, name: bytes) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = b"\x00\x04MQTT\x04\x02\x00\x00" + struct.pack("!H", len(name)) + name
    sock.sendall(bytes([0x10, len(body)]) + body)
    if sock.recv(4)[3:] != b"\x00":
        raise SystemExit("the broker does not let us in")
    return sock


def free_port() -> int:
    """Return a port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
