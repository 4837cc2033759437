"""A broker of MQTT 5 that keeps every rule, keeps a session, and notes whoever breaks one."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Self

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14
_ANSWER_AFTER_SECS = 0.02


@dataclass
class Script:
    """How the broker behaves.

    `window` is its receive maximum for what we publish. It cuts a connection after about
    `cut_after` messages, `cuts` times in all. `forgetful`: it loses the session at every cut, and
    what it had sent with it. `repeats` is how often it sends what was acknowledged once more, as a
    new message; `dup` is the flag of what it sends again after a cut.
    """

    window: int = 20
    cuts: int = 0
    cut_after: int = 50
    forgetful: bool = False
    repeats: int = 0
    dup: bool = True
    seed: int = 1


@dataclass
class Kept:
    """What the broker remembers of its one client."""

    queue: deque[bytes] = field(default_factory=deque)
    unacked: dict[int, bytes] = field(default_factory=dict)


class StrictBroker:
    """Delivers `payloads` under `topic`, in order, as many at once as the client allows.

    It gives the lowest packet id that is free, so that ids come back soon. `on_ack` sees each
    payload whose PUBACK has come, before anything else happens. `published` is what the client
    has published, with what it repeats; `violations` are the rules it broke.
    """

    def __init__(self, topic: str, payloads: Iterable[bytes], script: Script) -> None:
        self.violations: list[str] = []
        self.published: list[tuple[str, bytes]] = []
        self.connections = 0
        self.on_ack: Callable[[bytes], None] = lambda payload: None
        self._topic = topic.encode()
        self._script = script
        self._cuts = script.cuts
        self._repeats = script.repeats
        self._chance = random.Random(script.seed)
        self._kept = Kept(deque(payloads))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    @property
    def is_done(self) -> bool:
        """True when everything was delivered and acknowledged."""
        return not self._kept.queue and not self._kept.unacked

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while not self._stop.is_set():
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with peer:
                _Talk(self, peer).run()
            if self._script.forgetful:
                self._kept.unacked.clear()


class _Talk:
    """One connection. Everything happens in the broker's thread."""

    def __init__(self, broker: StrictBroker, peer: socket.socket) -> None:
        self.broker, self.kept, self.peer = broker, broker._kept, peer
        self.window = 0  # the client's, unknown before CONNECT
        self.subscribed = False
        self.unanswered: list[bytes] = []
        self.resend = deque[int]()
        self.budget = broker._chance.randint(1, 2 * broker._script.cut_after)
        self.buffer = bytearray()

    def run(self) -> None:
        try:
            while not self.broker._stop.is_set() and self._turn():
                pass
        except OSError:
            return

    def _turn(self) -> bool:
        """Read, answer and deliver; False when the connection is over."""
        if select.select([self.peer], [], [], _ANSWER_AFTER_SECS)[0]:
            data = self.peer.recv(65_536)
            self.buffer += data
            if not data or not all(map(self._handle, _packets(self.buffer))):
                return False
        else:
            self._answer_publications()
        return self._deliver()

    def _handle(self, packet: tuple[int, bytes]) -> bool:
        kind, body = packet[0] >> 4, packet[1]
        if (kind == CONNECT) != (self.window == 0):
            self._complain(f"packet {kind} where CONNECT comes first and once")
        if kind == CONNECT:
            self._connect(body)
        elif kind == SUBSCRIBE:
            self._send(0x90, body[:2] + b"\0\1")
            self.subscribed = True
        elif kind == PUBACK:
            self._acknowledged(int.from_bytes(body[:2], "big"))
        elif kind == PUBLISH:
            self._published(packet[0], body)
        elif kind == PINGREQ:
            self._send(0xD0, b"")
        return kind != DISCONNECT

    def _connect(self, body: bytes) -> None:
        at = body.index(b"\x21")  # receive maximum
        self.window = int.from_bytes(body[at + 1 : at + 3], "big")
        present = self.broker.connections > 1 and not self.broker._script.forgetful
        limit = b"\x21" + struct.pack("!H", self.broker._script.window)
        self._send(0x20, bytes([present, 0, len(limit)]) + limit)
        self.subscribed = present
        self.resend.extend(self.kept.unacked)

    def _acknowledged(self, mid: int) -> None:
        if mid not in self.kept.unacked or mid in self.resend:
            self._complain(f"PUBACK of {mid}, which is not under way")
            return
        payload = self.kept.unacked.pop(mid)
        self.broker.on_ack(payload)
        if self.broker._repeats:
            self.broker._repeats -= 1
            self.kept.queue.append(payload)

    def _published(self, command: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        topic, qos = body[2:end].decode(), command >> 1 & 3
        if qos:
            self.unanswered.append(body[end : end + 2])
            end += 2
        self.broker.published.append((topic, body[end + 1 + body[end] :]))
        if len(self.unanswered) > self.broker._script.window:
            self._complain(f"{len(self.unanswered)} publications at once")

    def _answer_publications(self) -> None:
        # Only when the client has fallen silent: it has filled the window, or has no more.
        answered, self.unanswered = self.unanswered, []
        for mid in answered:
            self._send(0x40, mid)

    def _deliver(self) -> bool:
        """Send what the client's window has room for; False when it is time for a cut."""
        while self.resend:
            mid = self.resend.popleft()
            self._publish(mid, again=self.broker._script.dup)
        while self.subscribed and self.kept.queue and len(self.kept.unacked) < self.window:
            if self.broker._cuts and self.budget <= 0:
                self.broker._cuts -= 1
                return False
            mid = next(mid for mid in range(1, 65_536) if mid not in self.kept.unacked)
            self.kept.unacked[mid] = self.kept.queue.popleft()
            self.budget -= 1
            self._publish(mid, again=False)
        return True

    def _publish(self, mid: int, *, again: bool) -> None:
        topic = self.broker._topic
        head = struct.pack("!H", len(topic)) + topic + struct.pack("!HB", mid, 0)
        self._send(0x32 | (0x08 if again else 0), head + self.kept.unacked[mid])

    def _complain(self, what: str) -> None:
        self.broker.violations.append(f"connection {self.broker.connections}: {what}")

    def _send(self, head: int, body: bytes) -> None:
        length, digits = len(body), bytearray()
        while not digits or length:
            length, digit = divmod(length, 128)
            digits.append(digit | (0x80 if length else 0))
        self.peer.sendall(bytes([head]) + digits + body)


def _packets(buffer: bytearray) -> Iterable[tuple[int, bytes]]:
    """Cut whole packets off the front of `buffer`."""
    while len(buffer) >= 2:
        length = shift = 0
        at = 1
        while at < len(buffer):
            length |= (buffer[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if buffer[at - 1] < 0x80:
                break
        else:
            return
        if len(buffer) < at + length:
            return
        packet = buffer[0], bytes(buffer[at : at + length])
        del buffer[: at + length]
        yield packet
