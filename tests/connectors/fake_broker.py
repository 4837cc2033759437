"""A broker that does what a test says, packet by packet, and writes down what it gets.

It speaks MQTT 5, or 3.1.1 when it is `old`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import NamedTuple, Self

from brokers import wait_until

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, UNSUBSCRIBE, PINGREQ = 1, 3, 4, 8, 10, 12


class Packet(NamedTuple):
    """What came on the `connection`-th connection, counted from 1."""

    connection: int
    kind: int
    body: bytes


class FakeBroker:
    """Lets everybody in, grants every subscription, and answers nothing else by itself.

    `session_present`, `answer_to_connect` and `properties` go into the answer to CONNECT, `granted`
    answers SUBSCRIBE, after `backlog` messages; UNSUBSCRIBE is answered while `unsubscribes`.
    """

    def __init__(self, *, properties: bytes = b"", session_present: bool = False) -> None:
        self.properties = properties
        self.session_present = session_present
        self.granted = 1
        self.backlog = 0
        self.answer_to_connect = 0
        self.unsubscribes = True
        self.old = False
        self.packets: list[Packet] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._peer: socket.socket | None = None
        self._count = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def publish(self, topic: bytes, payload: bytes, mid: int, *, dup: bool = False) -> None:
        """Send a QoS 1 message under packet id `mid`."""
        head = struct.pack("!H", len(topic)) + topic + struct.pack("!H", mid)
        body = head + (b"" if self.old else b"\0") + payload
        self.send(0x32 | (0x08 if dup else 0), body)

    def send_raw(self, data: bytes) -> None:
        """Send bytes, whatever they are, on the newest connection."""
        assert self._peer is not None
        self._peer.sendall(data)

    def send(self, head: int, body: bytes) -> None:
        """Send one packet on the newest connection."""
        self.send_raw(bytes([head]) + length(len(body)) + body)

    def hang_up(self) -> None:
        """Cut the newest connection without a word."""
        assert self._peer is not None
        self._peer.shutdown(socket.SHUT_RDWR)

    def mids(self, kind: int, connection: int) -> list[int]:
        """The packet ids of PUBACKs that came on a connection, in order."""
        found = [one for one in self.packets if (one.connection, one.kind) == (connection, kind)]
        return [int.from_bytes(one.body[:2], "big") for one in found]

    def count(self, kind: int) -> int:
        """How many packets of a kind have come."""
        return sum(packet.kind == kind for packet in self.packets)

    def wait(self, kind: int, n: int) -> None:
        """Return once `n` packets of a kind have come."""
        wait_until(lambda: self.count(kind) >= n, f"{n} packets of kind {kind}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._peer is not None:
            with contextlib.suppress(OSError):
                self.hang_up()
            self._peer.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            if self._peer is not None:
                self._peer.close()
            self._peer, self._count = peer, self._count + 1
            self._talk(peer)

    def _talk(self, peer: socket.socket) -> None:
        try:
            with peer.makefile("rb") as stream:
                while head := stream.read(1):
                    body = stream.read(_read_length(stream))
                    self._answer(head[0] >> 4, body)
                    self.packets.append(Packet(self._count, head[0] >> 4, body))
        except OSError:
            return

    def _answer(self, kind: int, body: bytes) -> None:
        fresh = b"" if self.old else b"\x00"
        if kind == CONNECT:
            properties = b"" if self.old else bytes([len(self.properties)]) + self.properties
            self.send(0x20, bytes([self.session_present, self.answer_to_connect]) + properties)
        elif kind == SUBSCRIBE:
            for mid in range(1, self.backlog + 1):
                self.publish(b"queued", b"1", mid)
            self.send(0x90, body[:2] + fresh + bytes([self.granted]))
        elif kind == UNSUBSCRIBE and self.unsubscribes:
            self.send(0xB0, body[:2] + fresh + fresh)


def length(n: int) -> bytes:
    digits = bytearray()
    while True:
        n, digit = divmod(n, 128)
        digits.append(digit | (0x80 if n else 0))
        if not n:
            return bytes(digits)


def _read_length(stream) -> int:  # type: ignore[no-untyped-def]
    value, shift = 0, 0
    while True:
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value
