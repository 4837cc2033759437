"""A file of JSON lines as a sink: one forecast or event a line, on disk before it counts."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.lines import after_last_newline
from streamlnn.pipeline.contract import Context, NotConnected, Output, Settings

log = logging.getLogger("streamlnn.jsonl")

LOOK_BACK = 1 << 22
"""No flush is longer than this many bytes, and a crash can have torn the last one only."""


class JsonLinesSettings(Settings):
    """The options of a file of JSON lines; without `fsync` a power cut may lose the last ones."""

    kind: Literal["jsonl"] = "jsonl"
    id: str = "jsonl"
    path: str
    events: bool = True
    fsync: bool = True


class JsonLinesSink:
    """Appends forecasts and events to a file.

    A line that a crash has cut in two is cut off at `connect`; it is written again, as it was
    not confirmed. A file that was renamed away, by logrotate for instance, is begun anew.
    """

    Settings: ClassVar[type[BaseModel]] = JsonLinesSettings

    def __init__(self, settings: JsonLinesSettings, context: Context) -> None:  # noqa: ARG002
        self.id = settings.id
        self._path = settings.path
        self._fsync = settings.fsync
        self._kinds = ("forecast", "event") if settings.events else ("forecast",)
        self._fd: int | None = None
        self._lines: list[bytes] = []
        self._taken = self._confirmed = self._failed_bytes = 0

    def connect(self) -> None:
        """Open the file, making it if need be. Raises `NotConnected`."""
        self.close()
        self._lines, self._taken, self._confirmed = [], 0, 0
        self._open()

    def write(self, outputs: Sequence[Output]) -> None:
        """Take the lines over, in memory until `flush`."""
        self._lines += [output.payload + b"\n" for output in outputs if output.kind in self._kinds]
        self._taken += sum(output.lsn is not None for output in outputs)

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - a disk takes the time it takes
        """Write all lines to disk and return how many durable outputs are there since `connect`.

        Raises `NotConnected` when the disk is full or fails; nothing of this flush is then left
        in the file.
        """
        if self._lines:
            self._append(b"".join(self._lines))
            self._lines = []
        self._confirmed = self._taken
        return self._confirmed

    def close(self) -> None:
        """Close the file; what `flush` has not written is forgotten."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> None:
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            _lock(self._fd, self._path)
            size = _whole(self._fd, self._path)
            os.ftruncate(self._fd, size)
            _check_room(self._fd, size, self._failed_bytes)
        except OSError as error:
            self.close()
            raise _lost(self._path, error) from error
        except NotConnected:
            self.close()
            raise

    def _append(self, data: bytes) -> None:
        self._follow_rotation()
        fd = self._fd
        if fd is None:
            raise NotConnected(f"{self._path} is not open")
        # Asked each time: whoever rotates by copying cuts the file under us.
        size = os.fstat(fd).st_size
        try:
            _write_all(fd, data)
            if self._fsync:
                os.fdatasync(fd)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(fd, size)
            self.close()
            self._failed_bytes = len(data)
            raise _lost(self._path, error) from error
        self._failed_bytes = 0

    def _follow_rotation(self) -> None:
        if self._fd is not None and not _is_same(self._fd, self._path):
            log.info("%s was moved away: beginning a new file", self._path)
            self.close()
        if self._fd is None:
            self._open()


def _is_same(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:  # also when we may no longer look there: opening it anew will tell
        return False


def _write_all(fd: int, data: bytes) -> None:
    # A disk that fills up takes a part without an error first, and fails at the next attempt.
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _lock(fd: int, path: str) -> None:
    """Keep the file to ourselves: what another program writes there we might cut off."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise NotConnected(
            f"{path} is written by another streamlnn: give the sink a file of its own"
        ) from error
    except OSError as error:  # some file systems know no locks
        log.debug("cannot lock %s: %s", path, error.strerror)


def _check_room(fd: int, size: int, wanted: int) -> None:
    """Raise `OSError` while what could not be written would not fit yet."""
    # Else each try would say that all is well again, and fail at the next line.
    if not wanted:
        return
    try:
        os.posix_fallocate(fd, size, wanted)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.ftruncate(fd, size)


def _whole(fd: int, path: str) -> int:
    """Return the size of the file without what a crash has torn at its end."""
    end = after_last_newline(fd)
    if os.pread(fd, 1, end) not in (b"", b"{", b"\0"):
        raise NotConnected(
            f"{path} ends with something that is no JSON line: give the sink a file of its own"
        )
    # A power cut may leave zeros before some of the last lines. Those were not confirmed.
    begin = max(0, end - LOOK_BACK)
    hole = os.pread(fd, end - begin, begin).find(b"\0")
    return end if hole < 0 else after_last_newline(fd, begin + hole)


def _lost(path: str, error: OSError) -> NotConnected:
    ways_out = {
        errno.ENOSPC: "make room on the disk",
        errno.EDQUOT: "make room in the quota",
        errno.ENOENT: "create its folder",
        errno.EACCES: "let the daemon's user write there",
        errno.EPERM: "let the daemon's user write there",
        errno.EROFS: "give the sink a path that can be written",
    }
    way_out = ways_out.get(error.errno or 0, "give the sink a file that can be written")
    return NotConnected(f"cannot write {path}: {error.strerror}; {way_out}")
