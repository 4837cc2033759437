"""A file that is one JSON array of objects: each element is a record.

pandas' `to_json(orient="records")` and most web APIs write such files.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path

import msgspec

from connectors.compressed import chunk, unpacked
from connectors.formats import is_json
from connectors.heard import Origin
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import Message

MOST_BYTES = 100_000_000
"""An array is read as a whole: a larger one is better written as lines."""

_BEGIN = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{")
_WAY_OUT = "write one object a line, for instance with jq -c '.[]'"


class ArrayRecording:
    """A JSON array in the place of a `Recording`; its offsets are numbers of elements.

    Raises `InputUnavailable` for what is no such array, or one of more than `MOST_BYTES`.
    """

    format = "json"
    codec = "json"
    has_topics = False
    dropped = 0
    times: tuple[str, ...] = ()

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.sources: dict[str, Origin] = {}
        self._elements = _elements(self.path, _whole(self.path))
        self.size = len(self._elements)

    def entries(self, offset: int = 0) -> Generator[tuple[Message, int]]:
        """Yield each element as a message, with the number of elements up to its end."""
        for at in range(offset, len(self._elements)):
            yield Message(self.path, bytes(self._elements[at]), None), at + 1

    def glance(self) -> Iterator[Message]:
        """Yield each element to look ahead."""
        return (message for message, _ in self.entries())


def is_array(path: str) -> bool:
    """Tell whether a file is one array of objects: lines of JSON may be arrays, too.

    Raises `InputUnavailable` for a file that cannot be read.
    """
    with unpacked(path) as stream:
        some = chunk(path, stream)
    if not _BEGIN.match(some):
        return False
    first, _, rest = some.strip().partition(b"\n")
    return not (rest.strip() and is_json(first))


def _whole(path: str) -> bytes:
    found = bytearray()
    with unpacked(path) as stream:
        while some := chunk(path, stream):
            found += some
            if len(found) > MOST_BYTES:
                raise InputUnavailable(
                    f"{path} is one JSON array of more than {MOST_BYTES // 10**6} MB: {_WAY_OUT}"
                )
    return bytes(found).removeprefix(b"\xef\xbb\xbf")


def _elements(path: str, whole: bytes) -> list[msgspec.Raw]:
    try:
        return msgspec.json.decode(whole, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InputUnavailable(
            f"{path} is no whole JSON array ({error}), or cut off: {_WAY_OUT}"
        ) from None
