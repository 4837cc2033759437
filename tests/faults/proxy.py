"""A loopback proxy in front of a broker that does to a connection what networks do."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from typing import Self

_RESET = struct.pack("ii", 1, 0)


class Proxy:
    """Carries TCP connections to `port` of loopback; `url` is where it listens.

    `bytes_at_once` bounds each read and write. While it is `still`, it carries nothing and closes
    nothing: to both sides the other one has vanished. `reset_after` is how many more bytes go to
    the client until its connection is reset, in the middle of whatever it is; None is never.
    """

    def __init__(self, port: int) -> None:
        self.bytes_at_once = 65_536
        self.still = False
        self.reset_after: int | None = None
        self.resets = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"mqtt://127.0.0.1:{self._listener.getsockname()[1]}"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for one in [self._listener, *self._pairs]:
            one.close()

    def _serve(self) -> None:
        while not self._stop.is_set():
            watched = [] if self.still else [self._listener, *self._pairs]
            if not watched:
                self._stop.wait(0.01)
                continue
            for one in select.select(watched, [], [], 0.01)[0]:
                if one is self._listener:
                    self._accept()
                elif one in self._pairs:
                    self._carry(one)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            broker = socket.create_connection(("127.0.0.1", self._port))
        except OSError:
            client.close()
            return
        for one in (client, broker):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.add(client)
        self._pairs |= {client: broker, broker: client}

    def _carry(self, one: socket.socket) -> None:
        other = self._pairs[one]
        to_client = other in self._clients
        try:
            data = one.recv(self._room(to_client))
            if data:
                other.sendall(data)
                self._count(len(data), other, to_client)
        except OSError:
            data = b""
        if not data:
            self._part(one)

    def _room(self, to_client: bool) -> int:
        if to_client and self.reset_after is not None:
            return max(1, min(self.bytes_at_once, self.reset_after))
        return self.bytes_at_once

    def _count(self, n: int, client: socket.socket, to_client: bool) -> None:
        if to_client and self.reset_after is not None:
            self.reset_after -= n
            if self.reset_after <= 0:
                self.reset_after = None
                self.resets += 1
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self._part(client)

    def _part(self, one: socket.socket) -> None:
        for end in (one, self._pairs.get(one)):
            if end is not None:
                self._pairs.pop(end, None)
                self._clients.discard(end)
                with contextlib.suppress(OSError):
                    end.close()
