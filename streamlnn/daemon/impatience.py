"""uvicorn's side of one connection, without the patience for those who only hold it open.

uvicorn bounds how long a connection may idle between two requests, but not how long a request may
take to come in or an answer to be taken. With a few dozen sockets that send a byte now and then
(slowloris) nobody else would be answered, not even a health check.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

CONNECTION_SECS = 15.0


class ImpatientProtocol(H11Protocol):
    """Hangs up on every connection after 15 s: whoever has more to ask connects again."""

    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to count."""
        super().connection_made(transport)
        self._end = self.loop.call_later(CONNECTION_SECS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting."""
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)
