"""One file that is being written, whatever it is called now.

Names move (rotation), inodes come back (ext4 gives a new file the inode of the one just deleted),
and contents vanish under an open file (copytruncate). So a file is known by its device, its inode
and a fingerprint of its first bytes, and it stays open until it is read to its end.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from connectors.folders import Found, Key, key_of
from connectors.lines import CHUNK, LINE_LIMIT, LineSplitter, after_last_newline
from connectors.reading import open_regular, peek_if_any

log = logging.getLogger("streamlnn.tail")

FINGERPRINT = 1024
"""How many of a file's first bytes make its fingerprint, or all while there are fewer."""

_ZEROS = bytes(CHUNK)


class Generation:
    """A file on its way through rotations; not open until `attach`, and no more after `close`.

    `origin` is the name under which it was first written, `path` where it was last seen.
    `is_copy` marks what copytruncate left: it holds nothing that is not read elsewhere.
    `is_finished` tells that it was moved away, read to its end and closed; one that is neither
    open nor finished waits to be seen again, `is_away` if it could not be found at all after a
    restart. `was_read` tells that nothing is missed if it is gone then. `failed` tells that the
    last attempt to read it was in vain, `rests` that another one has to wait for the next look.
    """

    def __init__(self, origin: str, path: str) -> None:
        self.origin = origin
        self.path = path
        self.key: Key = (0, 0)
        self.changed = 0
        self.columns: tuple[str, ...] | None = None
        self.lines = LineSplitter()
        self.is_copy = self.is_finished = self.is_away = self.was_read = False
        self.failed = self.rests = self.has_long_lines = False
        self.quiet_since: float | None = None
        self._fd: int | None = None
        self._length = self._crc = 0
        self._zeros = 0
        self._saved: tuple[tuple[object, ...], str] = ((), "")

    @property
    def is_open(self) -> bool:
        """True between `attach` and `close`."""
        return self._fd is not None

    @property
    def size(self) -> int:
        """How many bytes the file has; once closed, how many were read."""
        return self.lines.end if self._fd is None else os.fstat(self._fd).st_size

    @property
    def has_more(self) -> bool:
        """True when the open file holds more than was read and more than zeros."""
        size = self.size
        return size > self.lines.end and not self._is_room(size)

    def news(self) -> int | None:
        """Return the size of the open file if there is anything to look at, None if not."""
        if self._fd is None:
            return None
        found = os.fstat(self._fd)
        at_end = found.st_size == self.lines.end or self._is_room(found.st_size)
        # A file cut and written again to the very same size shows it by its time alone.
        return None if at_end and found.st_mtime_ns == self.changed else found.st_size

    @property
    def is_deleted(self) -> bool:
        """True when the open file has no name any more. Raises `OSError`."""
        if self._fd is None:
            return False
        try:
            return os.fstat(self._fd).st_nlink == 0
        except OSError as error:
            if error.errno != errno.ESTALE:  # its server says by that that it is deleted
                raise
            return True

    def attach(self, path: str) -> None:
        """Open the file, which is now called `path`. Raises `OSError`."""
        self._open(open_regular(path), path)

    def anew(self) -> Generation:
        """Return a generation that begins at the beginning of this open file. Raises `OSError`."""
        made = Generation(self.origin, self.path)
        if self._fd is not None:
            made._open(os.dup(self._fd), self.path)
        return made

    def close(self) -> None:
        """Close the file; what is known of it stays."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            # Some network file systems refuse, and have closed it nevertheless.
            with suppress(OSError):
                os.close(fd)

    def is_intact(self) -> bool:
        """Tell whether the file still begins as it did, and let its fingerprint grow if so."""
        # Zeros at the end are room that the writer has taken and not filled yet.
        head = self._head(FINGERPRINT).rstrip(b"\0")
        if not self._matches(head):
            return False
        self._length, self._crc = len(head), zlib.crc32(head)
        return self.size >= self.lines.end

    def begins_like(self, path: str) -> bool:
        """Tell whether the file at `path` begins as this one does and holds all that was read."""
        head, size = peek_if_any(path, self._length)
        return self._length > 0 and self._matches(head) and size >= self.lines.offset

    def goes_on_at(self, path: str) -> bool:
        """Tell whether `path` holds all that was read of this file, to the byte, and more.

        False as well when too little was read to tell two files apart. Raises `OSError`.
        """
        offset = self.lines.offset
        if self._fd is None or self._length < FINGERPRINT:
            return False
        head, size = peek_if_any(path, self._length)
        begin = max(0, offset - CHUNK)
        tail, _ = peek_if_any(path, offset - begin, begin)
        return size > offset and self._matches(head) and tail == self._read(len(tail), begin)

    def is_at(self, found: Found) -> bool:
        """Tell whether `found` is this very file; an open one keeps its inode to itself."""
        return found.key == self.key and (
            self.is_open
            or self._length == 0
            or found.changed == self.changed
            or self.begins_like(found.path)
        )

    def heads(self, path: str) -> bool:
        """Tell whether the file at `path`, however long, begins with our fingerprint."""
        head, _ = peek_if_any(path, self._length)
        return self._length > 0 and self._matches(head)

    def read(self, until: int) -> list[bytes] | None:
        """Return the lines of the next chunk before `until`; None if the file was truncated.

        Raises `OSError`; the next call then reads the same again.
        """
        if self._fd is None:
            return []
        changed = os.fstat(self._fd).st_mtime_ns
        chunk, hole = self._chunk(until)
        # Only now: a truncation between the check and the read would give us foreign bytes.
        if not self.is_intact():
            return None
        self.changed = changed
        if hole:
            self.lines.skip(hole)
        return [line for line, _ in self.lines.split(chunk)]

    @classmethod
    def at_end_of(cls, found: Found) -> Generation:
        """Return a file that is not open, to be read from its present end when it can be."""
        made = cls(found.path, found.path)
        made.key, made.changed = found.key, found.changed
        made.lines = LineSplitter(found.size)
        return made

    def skip_to_end(self) -> None:
        """Go behind the last complete line."""
        if self._fd is not None:
            self.lines = LineSplitter(after_last_newline(self._fd))

    def first_line(self) -> bytes | None:
        """Return the file's first line, None while it is not complete."""
        line, newline, _ = self._head(LINE_LIMIT).lstrip(b"\r\n").partition(b"\n")
        return line.removesuffix(b"\r") if newline else None

    def saved(self) -> str:
        """Return what is needed to find the file again and to go on reading it: a line of JSON."""
        now = (*self._identity(), *self._progress())
        if now != self._saved[0]:
            self._saved = now, json.dumps(dict(zip(_SAVED, now, strict=True)))
        return self._saved[1]

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Generation:
        """Return the generation that `saved`, a decoded line, tells of; it is not open."""
        made = cls(saved["origin"], saved["path"])
        made.key = (saved["dev"], saved["ino"])
        made.changed = saved["changed"]
        made.is_copy, made.is_finished = saved["copy"], saved["closed"]
        made.was_read, made.is_away = saved["read"], saved.get("away", False)
        made.columns = None if saved["columns"] is None else tuple(saved["columns"])
        made.lines = LineSplitter(saved["offset"])
        made._crc, made._length = saved["fingerprint"], saved["length"]
        return made

    def _identity(self) -> tuple[object, ...]:
        return self.origin, self.path, *self.key, self._crc, self._length

    def _progress(self) -> tuple[object, ...]:
        is_read = self.is_finished or self.is_copy or self.quiet_since is not None
        state = (self.is_copy, self.is_finished or self.is_copy, is_read, self.is_away)
        return self.lines.offset, self.columns, self.changed, *state

    def _open(self, fd: int, path: str) -> None:
        try:
            self._use(fd, path)
        except OSError:
            self.close()
            raise

    def _use(self, fd: int, path: str) -> None:
        self.close()
        self._fd = fd
        found = os.fstat(fd)
        self.path, self.key, self.changed = path, key_of(found), found.st_mtime_ns
        self.lines, self._zeros = LineSplitter(self.lines.offset), 0
        self.is_finished = self.is_away = False
        self.is_intact()
        begin = self.lines.offset
        if begin and self._read(1, begin - 1) not in (b"\n", b""):
            self.lines.skip_rest()

    def _chunk(self, until: int) -> tuple[bytes, int]:
        """Return the bytes to read next, and how many zeros before them nobody will fill.

        Zeros at the end are waited at: the writer may have taken room and write there later. Those
        that have something behind them are what a power cut left.
        """
        end = self.lines.end
        chunk = self._read(min(CHUNK, until - end), end)
        if data := chunk.rstrip(b"\0"):
            return data, 0
        at = min(max(self._zeros, end), until)
        chunk = self._read(min(CHUNK, until - at), at)
        data = chunk.lstrip(b"\0")
        self._zeros = at + len(chunk) - len(data)
        if not data:
            return b"", 0
        return data.rstrip(b"\0"), self._zeros - end

    def _is_room(self, size: int) -> bool:
        """Tell whether nothing but zeros was found from where we are to `size`, and still is."""
        end = self.lines.end
        if not end < size <= self._zeros:
            return False
        # The file's time does not tell: more may be written at once than is read at once, and
        # twice within a tick of the clock.
        room = self._read(min(CHUNK, size - end), end)
        return room == _ZEROS[: len(room)]

    def _read(self, length: int, at: int) -> bytes:
        return b"" if self._fd is None else os.pread(self._fd, max(0, length), at)

    def _head(self, length: int) -> bytes:
        return self._read(length, 0)

    def _matches(self, head: bytes) -> bool:
        return len(head) >= self._length and zlib.crc32(head[: self._length]) == self._crc


_SAVED = (
    *("origin", "path", "dev", "ino", "fingerprint", "length"),
    *("offset", "columns", "changed", "copy", "closed", "read", "away"),
)


def position_of(files: Iterable[Generation], began: int) -> str:
    """Return where the reading of all files stands: a line for each, behind a first one.

    `began` is when the files were looked for the first time, nanoseconds UTC.
    """
    first = json.dumps({"files": [], "began": began})
    return "\n".join([first, *(file.saved() for file in files)])


def files_of(position: str) -> tuple[list[Generation], int | None] | None:
    """Return the files that a position tells of, none of them open, and when it all began.

    None for the position of another kind of source, which had the same name before.
    Version 0.1 told of all files in the first line, and not when it began.
    """
    try:
        first, *others = map(json.loads, position.split("\n"))
        told = [*first["files"], *others]
        return [Generation.from_saved(saved) for saved in told], first.get("began")
    except (ValueError, KeyError, TypeError):
        log.warning("the stored position %.80r is not of followed files: ignored", position)
        return None
