"""The wire between daemon and broker, which can be cut: a forwarder on a port of its own."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import Self

_CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing resets the connection instead of taking leave."""


class Line:
    """Forwards every connection to its `port` on to another port of the loopback, until cut."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="soak-line", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Reset every connection that stands; new ones are forwarded as before."""
        with self._lock:
            ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listener.accept()
            except OSError:
                return
            with suppress(OSError):
                self._forward(ours)

    def _forward(self, ours: socket.socket) -> None:
        try:
            theirs = socket.create_connection(("127.0.0.1", self._to), 5)
        except OSError:
            ours.close()
            raise
        theirs.settimeout(None)
        with self._lock:
            self._ends += [ours, theirs]
        for source, target in ((ours, theirs), (theirs, ours)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                target.sendall(chunk)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
            with self._lock, suppress(ValueError):
                self._ends.remove(end)
