"""One file that is being written, whatever it is called now.

Names move (rotation), inodes come back (ext4 gives a new file the inode of the one just deleted),
and contents vanish under an open file (copytruncate). So a file is known by its device, its inode
and a fingerprint of its first bytes, and it stays open until it is read to its end.
"""

from __future__ import annotations

import os
import re
import stat
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.lines import CHUNK, LINE_LIMIT, LineSplitter

FINGERPRINT = 1024
"""How many of a file's first bytes make its fingerprint, or all while there are fewer."""

Key = tuple[int, int]
"""Device and inode."""

_ROTATED = re.compile(r"[-._](?:\d[\dTZ:_.+-]*|old)|~")


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file as a look into its folder shows it; `changed` in nanoseconds."""

    path: str
    key: Key
    changed: int


class Generation:
    """A file on its way through rotations; not open until `attach`, and no more after `close`.

    `origin` is the name under which it was first written, `path` where it was last seen.
    `is_copy` marks what copytruncate left: it holds nothing that is not read elsewhere.
    `was_closed` tells that it was closed before a restart, `was_read` that it had been moved away
    and read to its end, so that nothing is missed if it is gone.
    """

    def __init__(self, origin: str, path: str) -> None:
        self.origin = origin
        self.path = path
        self.key: Key = (0, 0)
        self.changed = 0
        self.columns: tuple[str, ...] | None = None
        self.lines = LineSplitter()
        self.is_copy = False
        self.was_closed = self.was_read = False
        self.quiet_since: float | None = None
        self._fd: int | None = None
        self._length = self._crc = 0

    @property
    def is_open(self) -> bool:
        """True between `attach` and `close`."""
        return self._fd is not None

    @property
    def size(self) -> int:
        """How many bytes the file has; once closed, how many were read."""
        return self.lines.end if self._fd is None else os.fstat(self._fd).st_size

    def news(self) -> int | None:
        """Return the size of the open file if there is anything to look at, None if not."""
        if self._fd is None:
            return None
        found = os.fstat(self._fd)
        # A file cut and written again to the very same size shows it by its time alone.
        is_same = found.st_size == self.lines.end and found.st_mtime_ns == self.changed
        return None if is_same else found.st_size

    @property
    def is_deleted(self) -> bool:
        """True when the open file has no name any more."""
        return self._fd is not None and os.fstat(self._fd).st_nlink == 0

    def attach(self, path: str) -> None:
        """Open the file, which is now called `path`. Raises `OSError`."""
        # O_NONBLOCK: a pipe that has taken the file's place must not hold us up.
        self._use(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), path)

    def anew(self) -> Generation:
        """Return a generation that begins at the beginning of this open file."""
        made = Generation(self.origin, self.path)
        if self._fd is not None:
            made._use(os.dup(self._fd), self.path)
        return made

    def close(self) -> None:
        """Close the file; what is known of it stays."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def is_intact(self) -> bool:
        """Tell whether the file still begins as it did, and let its fingerprint grow if so."""
        head = self._head(FINGERPRINT)
        if not self._matches(head):
            return False
        self._length, self._crc = len(head), zlib.crc32(head)
        return self.size >= self.lines.end

    def begins_like(self, path: str) -> bool:
        """Tell whether the file at `path` begins as this one does and holds all that was read."""
        head, size = _peek(path, self._length)
        return self._length > 0 and self._matches(head) and size >= self.lines.offset

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
        head, _ = _peek(path, self._length)
        return self._length > 0 and self._matches(head)

    def read(self, until: int) -> list[bytes] | None:
        """Return the lines of the next chunk before `until`; None if the file was truncated."""
        if self._fd is None:
            return []
        end, changed = self.lines.end, os.fstat(self._fd).st_mtime_ns
        chunk = os.pread(self._fd, max(0, min(CHUNK, until - end)), end)
        # Only now: a truncation between the check and the read would give us foreign bytes.
        if not self.is_intact():
            return None
        self.changed = changed
        return [line for line, _ in self.lines.split(chunk)]

    def skip_to_end(self) -> None:
        """Go behind the last complete line."""
        if self._fd is not None:
            self.lines = LineSplitter(after_last_newline(self._fd))

    def first_line(self) -> bytes | None:
        """Return the file's first line, None while it is not complete."""
        line, newline, _ = self._head(LINE_LIMIT).lstrip(b"\r\n").partition(b"\n")
        return line.removesuffix(b"\r") if newline else None

    def saved(self) -> dict[str, Any]:
        """Return what is needed to find the file again and to go on reading it, as plain JSON."""
        dev, ino = self.key
        return {
            "origin": self.origin,
            "path": self.path,
            "dev": dev,
            "ino": ino,
            "fingerprint": self._crc,
            "length": self._length,
            "offset": self.lines.offset,
            "columns": self.columns,
            "changed": self.changed,
            "copy": self.is_copy,
            "closed": not self.is_open,
            "read": not self.is_open or self.quiet_since is not None,
        }

    @classmethod
    def from_saved(cls, saved: dict[str, Any]) -> Generation:
        """Return the generation that `saved` tells of, not open."""
        made = cls(saved["origin"], saved["path"])
        made.key = (saved["dev"], saved["ino"])
        made.changed = saved["changed"]
        made.is_copy, made.was_closed = saved["copy"], saved["closed"]
        made.was_read = saved["read"]
        made.columns = None if saved["columns"] is None else tuple(saved["columns"])
        made.lines = LineSplitter(saved["offset"])
        made._crc, made._length = saved["fingerprint"], saved["length"]
        return made

    def _use(self, fd: int, path: str) -> None:
        self.close()
        self._fd = fd
        found = os.fstat(fd)
        self.path, self.key, self.changed = path, _key(found), found.st_mtime_ns
        self.lines = LineSplitter(self.lines.offset)
        self.is_intact()

    def _head(self, length: int) -> bytes:
        return b"" if self._fd is None else os.pread(self._fd, length, 0)

    def _matches(self, head: bytes) -> bool:
        return len(head) >= self._length and zlib.crc32(head[: self._length]) == self._crc


def look_at(path: str) -> Found | None:
    """Return what is at `path`, None if that is no regular file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Found(path, _key(found), found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def folder_of(path: str) -> list[Found]:
    """Return the regular files of the folder that `path` is in, none if it cannot be read."""
    before: list[Found] | None = None
    found = _listed(os.path.dirname(path))
    # A listing may miss a file that is renamed meanwhile: two that agree have missed none.
    while found != before:
        before, found = found, _listed(os.path.dirname(path))
    return found


def _listed(folder: str) -> list[Found]:
    try:
        names = sorted(os.listdir(folder or "."))
    except OSError:
        return []
    looks = (look_at(os.path.join(folder, name)) for name in names)
    return [found for found in looks if found is not None]


def is_rotation_of(path: str, base: str) -> bool:
    """Tell whether `path` is named as rotation names a former `base`, in the same folder.

    >>> is_rotation_of("d/a.csv.1", "d/a.csv"), is_rotation_of("d/a-20260101.csv", "d/a.csv")
    (True, True)
    >>> is_rotation_of("d/ab.csv", "d/a.csv"), is_rotation_of("d/a.csv.1.gz", "d/a.csv")
    (False, False)
    """
    root, ending = os.path.splitext(base)
    return is_numbered(path, base) or bool(
        ending
        and path.startswith(root)
        and path.endswith(ending)
        and _ROTATED.fullmatch(path[len(root) : -len(ending)])
    )


def is_numbered(path: str, base: str) -> bool:
    """Tell whether `path` is `base` and a number or date behind it.

    >>> is_numbered("a.csv.1", "a.csv"), is_numbered("a-1.csv", "a.csv")
    (True, False)
    """
    return path.startswith(base) and bool(_ROTATED.fullmatch(path[len(base) :]))


def after_last_newline(fd: int) -> int:
    """Return the offset behind the last newline of a file, 0 if it has none."""
    end = os.fstat(fd).st_size
    while end:
        begin = max(0, end - CHUNK)
        at = os.pread(fd, end - begin, begin).rfind(b"\n")
        if at >= 0:
            return begin + at + 1
        end = begin
    return 0


def _peek(path: str, length: int) -> tuple[bytes, int]:
    try:
        with Path(path).open("rb") as file:
            return file.read(length), os.fstat(file.fileno()).st_size
    except OSError:
        return b"", 0


def _key(found: os.stat_result) -> Key:
    return found.st_dev, found.st_ino
