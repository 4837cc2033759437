"""Bytes as they come to lines: complete ones only, of bounded length, each with where it ends."""

from __future__ import annotations

import os
from collections.abc import Iterator

LINE_LIMIT = 1 << 20
"""The longest line that is taken, in bytes; a longer one is dropped and counted."""

CHUNK = 1 << 16
"""How many bytes to read at once."""

HOLE = b"\0\0\0\0"
"""So many zero bytes in a row are no text in any encoding: a power cut has left them."""


class LineSplitter:
    r"""Cuts chunks of a file or a pipe into lines.

    `offset` is just behind the last complete line, so that reading again from there gives the
    lines after it; a line that is not complete waits for its newline, and never takes more than
    `limit` bytes of memory. `too_long` counts the lines that were longer.

    A power cut may leave zeros in the place of what was written last. They are passed over, and so
    is the line that they cut in two: half a number is a number, but a wrong one. `torn` counts
    such lines.

    >>> splitter = LineSplitter()
    >>> list(splitter.split(b"one\r\ntw")), list(splitter.split(b"o\n"))
    ([(b'one', 5)], [(b'two', 9)])
    >>> list(splitter.split(b"12.\0\0\0\0\0\0\0" + b"three\n")), splitter.torn
    ([(b'three', 25)], 1)
    """

    def __init__(self, offset: int = 0, limit: int = LINE_LIMIT) -> None:
        self.offset = offset
        self.limit = limit
        self.too_long = self.torn = 0
        self._waiting = b""
        self._passed = 0
        self._is_too_long = self._is_rest = False

    @property
    def dropped(self) -> int:
        """How many lines were left out, for whatever reason."""
        return self.too_long + self.torn

    def take_counts(self) -> tuple[int, int]:
        """Return how many lines were too long and how many torn, and begin to count anew."""
        counts, self.too_long, self.torn = (self.too_long, self.torn), 0, 0
        return counts

    @property
    def end(self) -> int:
        """Where the next chunk has to be read."""
        return self.offset + self._passed + len(self._waiting)

    @property
    def rest(self) -> bytes:
        """The last line, still without its newline; empty when it is longer than allowed."""
        return self._waiting.strip(b"\0")

    def split(self, chunk: bytes) -> Iterator[tuple[bytes, int]]:
        """Yield the lines that `chunk` completes, without their ends, each with its offset.

        To be read to its end before the next chunk. Blank lines are passed over.
        """
        *lines, rest = (self._waiting + chunk).split(b"\n")
        for line in lines:
            self.offset += self._passed + len(line) + 1
            self._passed = 0
            if HOLE in line:
                line = self._behind_hole(line)
            if self._is_rest or self._is_too_long or len(line) > self.limit:
                self._drop()
            elif line.strip():
                yield line.removesuffix(b"\r"), self.offset
        self._wait(rest)

    def skip_rest(self) -> None:
        """Leave out the first line: its beginning is not there to be read."""
        self._is_rest = True

    def skip(self, size: int) -> None:
        """Pass over `size` zeros that stand where the next chunk would have been read."""
        self._wait(self._waiting + HOLE)
        self._passed += size - len(HOLE)

    def _wait(self, rest: bytes) -> None:
        kept = self._behind_hole(rest) if HOLE in rest else rest
        # What comes next may go on with the hole.
        kept = HOLE if rest.endswith(HOLE) else kept
        self._is_too_long = self._is_too_long or len(kept) > self.limit
        kept = b"" if self._is_too_long else kept
        self._passed += len(rest) - len(kept)
        self._waiting = kept

    def _behind_hole(self, line: bytes) -> bytes:
        torn, _, line = line.rpartition(HOLE)
        if self._is_rest or self._is_too_long:
            self._drop()
        elif torn.strip(b"\0 \t\r"):
            self.torn += 1
        return line

    def _drop(self) -> None:
        self.torn += self._is_rest
        self.too_long += not self._is_rest
        self._is_too_long = self._is_rest = False


def after_last_newline(fd: int, before: int | None = None) -> int:
    """Return the offset behind the last newline of a file, or of its part `before`; else 0."""
    end = os.fstat(fd).st_size if before is None else before
    while end:
        begin = max(0, end - CHUNK)
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0
