"""The HTTP server over the daemon's life: it stays while pipelines come and go."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from streamlnn.daemon.settings import HttpSettings
from streamlnn.daemon.status import Status

if TYPE_CHECKING:
    from streamlnn.daemon.http import Server

log = logging.getLogger("streamlnn.run")


class Serving:
    """Serves the page, health, metrics and the API of `status` as the newest settings ask for."""

    def __init__(self, status: Status, store: Path) -> None:
        self._status = status
        self._store = store
        self._listen = ""
        self._server: Server | None = None

    def change(self, wanted: HttpSettings) -> None:
        """Serve as `wanted`; a server whose address has not changed goes on.

        Raises `ConfigError` for a token that cannot be read and `StreamlnnError` for an address
        that cannot be used; nothing has changed then.
        """
        token = wanted.secret()
        if self._server and wanted.listen == self._listen:
            self._server.access.token = token
            return
        new = self._serve(wanted.listen, token) if wanted.listen else None
        self.stop()
        self._listen, self._server = wanted.listen, new

    def stop(self) -> None:
        """End the server, if there is one."""
        if self._server:
            self._server.stop()
            self._server = None

    def _serve(self, listen: str, token: str | None) -> Server:
        from streamlnn.daemon.http import serve

        server = serve(self._status, listen, token, self._store)
        log.info("the page, health, metrics and the API are at %s", server.address)
        return server
