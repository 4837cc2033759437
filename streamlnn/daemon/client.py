"""The other side of the API: what commands ask the running daemon, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse
from importlib.metadata import version
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from streamlnn.daemon.address import split_address
from streamlnn.errors import InputUnavailable, StreamlnnError

if TYPE_CHECKING:
    from streamlnn.daemon.settings import HttpSettings

TIMEOUT_SECS = 5.0
AGAIN_SECS = 1.0
"""So long is waited before a daemon that does not answer is asked again."""

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event. The kinds beside those of the API are ours.

    `begin`: the daemon answers, and the next list of streams is whole. `lost`: it does not, `data`
    says why.
    """

    kind: str
    data: bytes = b""
    place: str | None = None


class Client:
    """Asks the daemon that serves HTTP as `settings` say; `listen` is its address.

    All methods raise `InputUnavailable`, with the way out, when it does not answer within 5
    seconds or refuses.
    """

    def __init__(self, settings: HttpSettings, token: str | None = None) -> None:
        self.listen = settings.listen
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def get(self, path: str) -> tuple[int, bytes]:
        """Return the code and the body that `path` is answered with."""
        with self._asking(path, {}) as answer:
            return answer.status, answer.read()

    def follow(self, match: str | None = None) -> Iterator[Frame]:
        """Yield what happens, for ever; of streams that fit `match` every newest forecast.

        Answers end by themselves and are asked for anew. A daemon that was there once is waited
        for: only the first answer raises.
        """
        place, heard = None, False
        while True:
            try:
                for frame in self._live(match, place):
                    place, heard = frame.place or place, True
                    if frame.kind:
                        yield frame
            except InputUnavailable as error:
                if not heard:
                    raise
                yield Frame("lost", str(error).encode())
                time.sleep(AGAIN_SECS)

    @contextmanager
    def understood(self) -> Iterator[None]:
        """Raise `StreamlnnError` where the daemon says what this version does not understand."""
        try:
            yield
        except msgspec.DecodeError as error:
            raise StreamlnnError(
                f"what {self.listen} tells is not understood: {error}; is that a daemon of this "
                f"version, {version('streamlnn')}?"
            ) from error

    def _live(self, match: str | None, place: str | None) -> Iterator[Frame]:
        query = "" if match is None else f"?match={quote(match)}"
        more = {} if place is None else {"Last-Event-ID": place}
        with self._asking(f"/api/v1/live{query}", more) as answer:
            if answer.status != 200:
                raise InputUnavailable(f"the daemon at {self.listen} is busy: try again")
            yield Frame("begin")
            yield from parsed(answer)

    @contextmanager
    def _asking(self, path: str, headers: dict[str, str]) -> Iterator[HTTPResponse]:
        if not self.listen:
            raise InputUnavailable('http.listen is off; give an address, such as "127.0.0.1:8642"')
        host, port = split_address(self.listen)
        connection = HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=TIMEOUT_SECS)
        try:
            connection.request("GET", path, headers=self._headers | headers)
            answer = connection.getresponse()
            if answer.status not in (200, 503):
                raise InputUnavailable(self._refused(answer))
            yield answer
        except (OSError, HTTPException) as error:
            raise InputUnavailable(
                f"no answer from {self.listen}: {error or repr(error)}; is `streamlnn run` up? It "
                "answers where http.listen of its configuration says"
            ) from error
        finally:
            connection.close()

    def _refused(self, answer: HTTPResponse) -> str:
        if answer.status != 401:
            said = answer.read(200).decode(errors="replace")
            return f"{self.listen} answers {answer.status}, {said!r}: is that streamlnn?"
        if self._headers:
            return f"the daemon at {self.listen} takes another token than that of the configuration"
        return (
            f"the daemon at {self.listen} asks for a token: name its configuration, as CONFIG or "
            "STREAMLNN_CONFIG"
        )


def parsed(lines: Iterator[bytes] | HTTPResponse) -> Iterator[Frame]:
    r"""Yield the server-sent events in `lines`; an id alone has no kind.

    >>> [*parsed(iter([b"event: event\n", b"data: {}\n", b"\n", b"id: 7\n", b"\n"]))]
    [Frame(kind='event', data=b'{}', place=None), Frame(kind='', data=b'', place='7')]
    """
    told: dict[bytes, bytes] = {}
    for line in lines:
        name, _, value = line.rstrip(b"\n").partition(b": ")
        if name:
            told[name] = value
        else:
            place = told.get(b"id")
            yield Frame(
                told.get(b"event", b"").decode(),
                told.get(b"data", b""),
                None if place is None else place.decode(),
            )
            told = {}
