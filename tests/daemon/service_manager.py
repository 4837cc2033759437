"""The other side of sd_notify: a real datagram socket, read all the time as systemd does."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

Told = dict[str, str]


class ServiceManager:
    """Keeps what it is told, in order. `address` is what NOTIFY_SOCKET names.

    Without a path its socket is an abstract one.
    """

    def __init__(self, path: Path | None = None, name: str = "") -> None:
        self.told: list[Told] = []
        self.address = str(path) if path else f"@{name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path) if path else f"\0{name}")
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> list[Told]:
        """Return all that was told."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()
        return self.told

    def _listen(self) -> None:
        while text := self._socket.recv(65_536).decode():
            self.told.append(dict(line.split("=", 1) for line in text.splitlines()))
