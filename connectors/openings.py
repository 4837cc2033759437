"""How many files may be open at once, and which of them are closed to make room for others."""

from __future__ import annotations

import logging
import resource
from contextlib import suppress

from connectors.folders import Found
from connectors.generations import Generation
from connectors.reading import peek

log = logging.getLogger("streamlnn.tail")

MOST_DESCRIPTORS = 65_536
_SHARE = 4


class Openings:
    """Opens files, as many as the process may, and says once when one cannot be opened.

    Half of the descriptors stay free for the rest of the daemon. A file that was closed to make
    room is opened again when it has grown; only if it is deleted before that, its last lines are
    lost.
    """

    def __init__(self) -> None:
        self.most = _raise_limit() // 2
        self._opened: set[Generation] = set()
        self._told: set[str] = set()

    def room(self) -> int:
        """Return how many more files may be opened, after the quietest were closed if need be."""
        if len(self._opened) >= self.most:
            self.forget_closed()
        if len(self._opened) >= self.most:
            self._close_quiet()
        return max(0, self.most - len(self._opened))

    def note(self, file: Generation) -> None:
        """Count a file that was opened without us."""
        self._opened.add(file)

    def forget_closed(self) -> None:
        """Let go of the files that were closed without us."""
        self._opened = {file for file in self._opened if file.is_open}

    def attach(self, file: Generation, path: str | None = None) -> bool:
        """Open a file, which is now called `path`; False if that fails."""
        try:
            file.attach(path or file.path)
        except OSError as error:
            return self.cannot(path or file.path, error)
        self.note(file)
        if not file.failed:
            self._told.discard(file.path)
        return True

    def is_readable(self, found: Found) -> bool:
        """Tell whether a file can be opened and read."""
        try:
            peek(found.path, 1)
        except OSError as error:
            return self.cannot(found.path, error)
        return True

    def tell(self, is_so: bool, about: str, message: str, *details: object) -> None:
        """Log a warning once, and again only after it was not so for a while."""
        if is_so and about not in self._told:
            log.warning(message, *details)
        (self._told.add if is_so else self._told.discard)(about)

    def cannot(self, path: str, error: OSError) -> bool:
        """Say once that a file cannot be read; return False."""
        if not isinstance(error, FileNotFoundError):
            text = "cannot read %s: %s; trying again until it can be read"
            self.tell(True, path, text, path, error.strerror)
        return False

    def _close_quiet(self) -> None:
        quiet = [file for file in self._opened if _is_quiet(file)]
        quiet.sort(key=lambda file: file.changed)
        for file in quiet[: max(1, self.most // _SHARE)]:
            file.close()
            self._opened.remove(file)


def _is_quiet(file: Generation) -> bool:
    try:
        return file.path == file.origin and not file.has_more
    except OSError:
        return False


def _raise_limit() -> int:
    """Take as many descriptors as the process may have; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], MOST_DESCRIPTORS)
