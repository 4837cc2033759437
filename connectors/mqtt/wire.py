"""The bytes of one connection, in packets: ours are taken out here, paho gets to see the rest.

A `Wire` stands in the place of paho's socket. It reads and writes as much as the system has in one
call, and allocates nothing because a packet says that it will be large: of a message above the
limit only the beginning is kept.
"""

from __future__ import annotations

import ssl
from typing import Any, NamedTuple

from connectors.mqtt.packets import PUBLISH, Malformed, in_digits, length

_CHUNK = 65_536
_FULL = 262_144
_LONGEST_ANSWER = 16_384  # of any packet but PUBLISH; a hundredth of it is usual
_LONGEST_FRAME = 16 << 20  # of a websocket; paho keeps a frame until it is complete
_BEGINNING = 2 + 65_535 + 2
"""Bytes of a message too large that are kept: its topic and its packet id."""
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Packet(NamedTuple):
    """A packet as it came; `whole` is False when it was too large and only begins here."""

    head: int
    body: bytes
    whole: bool = True

    @property
    def kind(self) -> int:
        """Its type, as the standard numbers them."""
        return self.head >> 4


class _Large:
    """A message above the limit while it goes by."""

    def __init__(self, head: int, size: int) -> None:
        self.head = head
        self.left = size
        self.beginning = bytearray()

    def take(self, data: bytearray, at: int) -> int:
        """Let go by what has come; return how much that was."""
        n = min(self.left, len(data) - at)
        self.beginning += data[at : at + min(n, _BEGINNING - len(self.beginning))]
        self.left -= n
        return n


class Wire:
    """Reads packets of up to `limit` bytes, and is a non-blocking socket to paho."""

    def __init__(self, sock: Any, limit: int) -> None:
        self._sock = sock
        self._limit = limit
        self._received = bytearray()
        self._at = 0
        self._large: _Large | None = None
        self._handed = b""
        self._unsent = bytearray()
        self._broken: OSError | None = None
        self._ended = False

    # --- packets

    def next(self) -> Packet | None:
        """Return the next packet, or None when no whole one has come yet.

        Raises `Malformed` for what can be no packet. What ends or breaks the connection shows when
        paho reads.
        """
        while (packet := self._cut()) is None and self._fill():
            pass
        return packet

    def hand_over(self, packet: Packet) -> None:
        """Let paho read `packet`."""
        self._handed += bytes([packet.head]) + in_digits(len(packet.body)) + packet.body

    @property
    def ready(self) -> bool:
        """True when there is something to read that a poll of the socket does not see."""
        try:
            if self._large is None and self._bounds() is not None:
                return True
        except Malformed:
            return True  # which `next` will tell
        pending = getattr(self._sock, "pending", None)  # decrypted already
        return pending is not None and pending() > 0

    @property
    def closing(self) -> bool:
        """True once the other side has ended the connection, or it broke."""
        return self._ended or self._broken is not None

    def _bounds(self) -> tuple[int, int] | None:
        """Return where the body of the packet that begins here begins and ends, if it is here."""
        found = length(self._received, self._at + 1)
        if found is None:
            return None
        size, start = found
        if size > (self._limit if self._received[self._at] >> 4 == PUBLISH else _LONGEST_ANSWER):
            self._begin_large(self._received[self._at], size)
            self._at = start
            return None
        return (start, start + size) if start + size <= len(self._received) else None

    def _cut(self) -> Packet | None:
        if self._large is None and (bounds := self._bounds()) is not None:
            start, end = bounds
            head, self._at = self._received[self._at], end
            return Packet(head, bytes(memoryview(self._received)[start:end]))
        return self._let_go_by(self._large) if self._large is not None else None

    def _begin_large(self, head: int, size: int) -> None:
        if head >> 4 != PUBLISH:
            raise Malformed(f"it sent an answer of {size} bytes")
        self._large = _Large(head, size)

    def _let_go_by(self, large: _Large) -> Packet | None:
        self._at += large.take(self._received, self._at)
        if large.left:
            return None
        self._large = None
        return Packet(large.head, bytes(large.beginning), whole=False)

    def _fill(self) -> bool:
        if self.closing:
            return False
        del self._received[: self._at]
        self._at = 0
        try:
            chunk = self._sock.recv(_CHUNK)
        except _WOULD_BLOCK:
            return False
        except OSError as error:
            self._broken = error
            return False
        if len(getattr(self._sock, "_readbuffer", b"")) > self._limit + _LONGEST_FRAME:
            raise Malformed("it sent a websocket frame without an end")
        self._ended = not chunk
        self._received += chunk
        return bool(chunk)

    # --- the face of a socket

    def recv(self, size: int) -> bytes:
        """Give paho what was handed over to it. Raises as a socket does."""
        if self._handed:
            given, self._handed = self._handed[:size], self._handed[size:]
            return given
        if self._broken is not None:
            raise self._broken
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Keep `data` for the next `flush`; that a connection is broken shows when one reads."""
        self._unsent += data
        return len(data)

    @property
    def is_full(self) -> bool:
        """True while what comes next had better wait elsewhere."""
        return len(self._unsent) > _FULL

    @property
    def wants_write(self) -> bool:
        """True while something is left that the system had no room for."""
        return bool(self._unsent)

    def flush(self) -> None:
        """Hand over to the system what it has room for."""
        try:
            while self._unsent and (sent := self._sock.send(self._unsent)):
                del self._unsent[:sent]
        except _WOULD_BLOCK:
            return
        except OSError as error:
            self._broken = error
            self._unsent.clear()

    def setblocking(self, flag: bool) -> None:
        """Set the socket's mode."""
        self._sock.setblocking(flag)

    def fileno(self) -> int:
        """Return the descriptor, to poll on."""
        return int(self._sock.fileno())

    def close(self) -> None:
        """Send what can be sent at once, a DISCONNECT for one, and close."""
        self.flush()
        self._sock.close()
