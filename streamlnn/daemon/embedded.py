"""The daemon inside another program: its loop in a thread, its HTTP server beside it."""

from __future__ import annotations

import threading
from typing import Self

from streamlnn.daemon.config import Config
from streamlnn.daemon.http import Server, serve
from streamlnn.daemon.run import build
from streamlnn.daemon.status import Status
from streamlnn.errors import StreamlnnError
from streamlnn.pipeline.journal import Journal

ANY_PORT = "127.0.0.1:0"


class Daemon:
    """A daemon that runs for the length of a block.

    With `page` its HTTP server listens at the configured port, or at a free one where that is
    taken. Raises `StoreError` when the data directory cannot be used.
    """

    def __init__(self, config: Config, *, page: bool) -> None:
        status = Status()
        self._journal = Journal(config.daemon.data_dir)
        self._pipeline = build(config, status, self._journal)
        self._server = _serve(status, config) if page else None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="streamlnn-loop", daemon=True)

    @property
    def address(self) -> str | None:
        """Where the HTTP server answers, if there is one."""
        return self._server.address if self._server else None

    @property
    def running(self) -> bool:
        """False once the loop has ended."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pipeline.stop.set()
        self._thread.join()
        self._journal.close()
        if self._server:
            self._server.stop()

    def check(self) -> None:
        """Raise what ended the loop, if something did."""
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._pipeline.run()
        except BaseException as error:  # raised again by check, in the owner's thread
            self._error = error


def _serve(status: Status, config: Config) -> Server:
    store = config.daemon.data_dir
    try:
        return serve(status, config.http.listen, None, store)
    except StreamlnnError:
        return serve(status, ANY_PORT, None, store)
