"""The recordings that `streamlnn record` writes: each line is a message, byte for byte."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from connectors.stamps import from_moment
from streamlnn.pipeline.contract import Message

LINE_LIMIT = 64 << 20
"""A message may be larger than what is taken for a line elsewhere."""


class Origin(NamedTuple):
    """What a recording tells of a source: whether it has topics, and the codec of its payloads."""

    has_topics: bool
    codec: str


class _Line(msgspec.Struct):
    source: str
    received: str | None
    topic: str | None = None
    path: str | None = None
    payload: str | None = None
    base64: str | None = None
    codec: str = "json"
    columns: tuple[str, ...] | None = None
    retained: bool = False


class HeardReader:
    """Lines of our own: source, topic or path, moment of receipt, and payload or base64."""

    preamble = 0
    waiting = 0
    limit = LINE_LIMIT

    def __init__(self, path: str, head: Sequence[bytes]) -> None:  # noqa: ARG002
        self._decoder = msgspec.json.Decoder(_Line)
        first = self._decoder.decode(head[0])
        self.codec, self.has_topics = first.codec, first.topic is not None

    def read(self, line: bytes) -> Message:
        """Return the message as it was heard."""
        heard = self._line(line)
        origin = heard.topic if heard.topic is not None else heard.path or ""
        received = None if heard.received is None else _nanoseconds(heard.received)
        payload = _payload(heard)
        return Message(origin, payload, received, heard.columns, heard.retained, heard.source)

    def origin(self, line: bytes) -> tuple[str, Origin]:
        """Return the source of a line, and what is told of it."""
        heard = self._line(line)
        return heard.source, Origin(heard.topic is not None, heard.codec)

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the line was written to its end."""
        return is_heard(line)

    def _line(self, line: bytes) -> _Line:
        try:
            return self._decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None


def is_heard(line: bytes) -> bool:
    """Tell whether `streamlnn record` wrote a line."""
    try:
        heard = msgspec.json.decode(line, type=_Line)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    has_origin = (heard.topic is None) != (heard.path is None)
    return has_origin and (heard.payload is None) != (heard.base64 is None)


def _payload(heard: _Line) -> bytes:
    if heard.base64 is None:
        return (heard.payload or "").encode()
    try:
        return base64.b64decode(heard.base64, validate=True)
    except binascii.Error as error:
        raise ValueError(f"its payload is not base64: {error}") from None


def _nanoseconds(stamp: str) -> int:
    """Return a moment as `rfc3339` writes it. Raises `ValueError`.

    >>> _nanoseconds("2023-11-14T22:13:20.000000005Z")
    1700000000000000005
    """
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return from_moment(f"{whole}+00:00", fraction)
