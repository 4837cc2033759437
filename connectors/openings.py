"""How many files may be open at once, and which of them are closed to make room for others."""

from __future__ import annotations

import logging
import os
import resource
from collections.abc import Sequence
from contextlib import suppress

from connectors.folders import Found
from connectors.generations import Generation

log = logging.getLogger("streamlnn.tail")

_ENOUGH = 65_536
_A_ROOM = 16


class Openings:
    """Opens files, as many as the process may, and says once when one cannot be opened.

    Half of the descriptors stay free for the rest of the daemon. A file that was closed to make
    room is opened again when it has grown; only if it is deleted before that, its last lines are
    lost.
    """

    def __init__(self) -> None:
        self.most = _raise_limit() // 2
        self._told: set[str] = set()

    def room(self, files: Sequence[Generation]) -> int:
        """Return how many files may be opened now, after the quietest of `files` were closed."""
        opened = [file for file in files if file.is_open]
        room = self.most - len(opened)
        if room > 0:
            return room
        quiet = [file for file in opened if file.path == file.origin and not file.has_more]
        quiet.sort(key=lambda file: file.changed)
        for file in quiet[: max(1, self.most // _A_ROOM)]:
            file.close()
            room += 1
        return max(0, room)

    def attach(self, file: Generation, path: str | None = None) -> bool:
        """Open a file, which is now called `path`; False if that fails."""
        try:
            file.attach(path or file.path)
        except OSError as error:
            return self._cannot(path or file.path, error)
        self._told.discard(file.path)
        return True

    def is_readable(self, found: Found) -> bool:
        """Tell whether a file can be opened."""
        try:
            os.close(os.open(found.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError as error:
            return self._cannot(found.path, error)
        return True

    def tell(self, is_so: bool, about: str, message: str, *details: object) -> None:
        """Log a warning once, and again only after it was not so for a while."""
        if is_so and about not in self._told:
            log.warning(message, *details)
        (self._told.add if is_so else self._told.discard)(about)

    def _cannot(self, path: str, error: OSError) -> bool:
        if not isinstance(error, FileNotFoundError):
            self.tell(
                True, path, "cannot read %s: %s; trying again until it can", path, error.strerror
            )
        return False


def _raise_limit() -> int:
    """Take as many descriptors as the process may have; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
