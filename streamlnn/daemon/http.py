"""The HTTP server: a thread of its own that only reads the `Status`, never the pipeline."""

from __future__ import annotations

import errno
import socket
import threading
import time
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from streamlnn.daemon.address import is_loopback, split_address
from streamlnn.daemon.api import application
from streamlnn.daemon.guard import Access
from streamlnn.daemon.impatience import ImpatientProtocol
from streamlnn.daemon.status import Status
from streamlnn.daemon.web.history import History, Watch
from streamlnn.errors import StreamlnnError

LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADER_BYTES = 16_384
_STOP_SECS = 5.0


class Server:
    """A running HTTP server; `address` is the URL it answers at, `access` may change."""

    def __init__(
        self, app: ASGIApp, listener: socket.socket, access: Access, history: History
    ) -> None:
        self.access = access
        host, port = listener.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._listener = listener
        self._uvicorn = uvicorn.Server(_settings(app))
        self._watch = Watch(history)
        self._thread = threading.Thread(target=self._run, name="streamlnn-http", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the server, waiting for answers under way for up to 5 seconds."""
        self._watch.stop()
        self._uvicorn.should_exit = True
        self._thread.join(_STOP_SECS)

    def _run(self) -> None:
        # Outside the main thread uvicorn leaves the signal handlers alone.
        with self._listener:
            self._uvicorn.run(sockets=[self._listener])


def serve(status: Status, listen: str, token: str | None, store: Path | None = None) -> Server:
    """Serve `status` at `listen` ("host:port"; port 0 takes a free one) until `Server.stop`.

    With a `token` the API and the metrics ask for `Authorization: Bearer TOKEN`. `store` is the
    data directory, from which the page takes what was measured before the start.
    Raises `ValueError` when `listen` is no address and `StreamlnnError` when it cannot be bound.

    >>> server = serve(Status(), "127.0.0.1:0", None)
    >>> server.address.startswith("http://127.0.0.1:")
    True
    >>> server.stop()
    """
    host, port = split_address(listen)
    listener = _bind(host, port, listen)
    hosts = (*LOOPBACK, host) if is_loopback(listener.getsockname()[0]) else None
    access, history = Access(hosts, token), History(status.watched, time.time_ns)
    return Server(application(status, access, history, store), listener, access, history)


def _bind(host: str, port: int, listen: str) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StreamlnnError(_refused(listen, error)) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        listener.close()
        raise StreamlnnError(_refused(listen, error)) from error
    return listener


def _refused(listen: str, error: OSError) -> str:
    reason = (
        "another program, perhaps a second streamlnn, uses that port"
        if error.errno == errno.EADDRINUSE
        else (error.strerror or str(error))
    )
    return f"http.listen: cannot listen on {listen}: {reason}; choose another, or false for none"


def _settings(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=ImpatientProtocol,
        ws="none",
        loop="asyncio",
        lifespan="off",
        log_config=None,
        log_level="error",  # whoever sends nonsense shall not fill our logs
        h11_max_incomplete_event_size=HEADER_BYTES,
        access_log=False,
        server_header=False,
        limit_concurrency=64,
        headers=[("connection", "close")],  # else the next answer is cut when patience ends
        timeout_keep_alive=5,
        timeout_graceful_shutdown=2,
    )
