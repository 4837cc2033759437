"""Opening what is a regular file, and nothing that only looks like one."""

from __future__ import annotations

import errno
import os
import stat

# A pipe that has taken the file's place must not hold us up.
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: str) -> int:
    """Return a descriptor of a regular file. Raises `OSError`, also for what is none."""
    fd = os.open(path, _FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
    except OSError:
        os.close(fd)
        raise
    return fd


def peek(path: str, length: int, at: int = 0) -> tuple[bytes, int]:
    """Return `length` bytes of a regular file, and its size. Raises `OSError`."""
    fd = open_regular(path)
    try:
        return os.pread(fd, length, at), os.fstat(fd).st_size
    finally:
        os.close(fd)


def peek_if_any(path: str, length: int, at: int = 0) -> tuple[bytes, int]:
    """Return what `peek` does, nothing and 0 for a file that cannot be read."""
    try:
        return peek(path, length, at)
    except OSError:
        return b"", 0
