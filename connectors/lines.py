"""Bytes as they come to lines: complete ones only, of bounded length, each with where it ends."""

from __future__ import annotations

from collections.abc import Iterator

LINE_LIMIT = 1 << 20
"""The longest line that is taken, in bytes; a longer one is dropped and counted."""

CHUNK = 1 << 16
"""How many bytes to read at once."""


class LineSplitter:
    r"""Cuts chunks of a file or a pipe into lines.

    `offset` is just behind the last complete line, so that reading again from there gives the
    lines after it; a line that is not complete waits for its newline, and never takes more than
    `limit` bytes of memory. `dropped` counts the lines that were longer.

    >>> splitter = LineSplitter()
    >>> list(splitter.split(b"one\r\ntw")), list(splitter.split(b"o\n"))
    ([(b'one', 5)], [(b'two', 9)])
    """

    def __init__(self, offset: int = 0, limit: int = LINE_LIMIT) -> None:
        self.offset = offset
        self.limit = limit
        self.dropped = 0
        self._waiting = b""
        self._skipped = 0

    @property
    def end(self) -> int:
        """Where the next chunk has to be read."""
        return self.offset + self._skipped + len(self._waiting)

    @property
    def rest(self) -> bytes:
        """The last line, still without its newline; empty when it is longer than allowed."""
        return b"" if self._skipped else self._waiting

    def split(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the lines that `chunk` completes, without their ends, each with its offset.

        To be read to its end before the next chunk. Blank lines are passed over.
        """
        *lines, rest = (self._waiting + chunk).split(b"\n")
        for line in lines:
            self.offset += self._skipped + len(line) + 1
            if self._skipped or len(line) > self.limit:
                self._drop()
            elif line.strip():
                yield line.removesuffix(b"\r"), self.offset
        self._wait(rest)

    def _drop(self) -> None:
        self.dropped += 1
        self._skipped = 0

    def _wait(self, rest: bytes) -> None:
        too_long = self._skipped or len(rest) > self.limit
        self._skipped += len(rest) if too_long else 0
        self._waiting = b"" if too_long else rest
