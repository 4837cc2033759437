"""Which files there are to follow: found by name, known by identity, kept until read to the end."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from connectors.folders import Found, Key, rotated
from connectors.generations import Generation
from connectors.matching import matching
from connectors.openings import Openings
from connectors.resuming import found_again
from connectors.rotation import number_of, numbered_names
from connectors.sightings import copy_of, is_continued, is_copy

log = logging.getLogger("streamlnn.tail")

_TRIES = 20
_NEVER = 1 << 63
# What a file system's stamps may lag behind the clock, nanoseconds.
_CLOCK_TICK = 10_000_000


class Watcher:
    """Keeps `files`, the generations of all files that match `paths`, older ones first.

    A generation stays after its name has moved on: until it has been read to its end and nothing
    was added for `rotate_wait` seconds. Those that came and went between two looks are found
    under the names that rotation gives them. `dropped` counts last lines that never got their
    newline; `began` is when the first look was, nanoseconds UTC: what is older is past.
    """

    def __init__(self, paths: Sequence[str], rotate_wait: float) -> None:
        self.files: list[Generation] = []
        self.dropped = 0
        self._paths = paths
        self._rotate_wait = rotate_wait
        self._openings = Openings()
        self._past: list[Generation] = []
        self.began = _NEVER

    def begin(self, now: float, skip: Callable[[Generation], None] | None) -> None:
        """Find the files that are there, and `skip` what is in each if that is wanted.

        Rotated ones only if `paths` matches them.
        """
        self.close()
        while self.scan(now, each=skip):
            log.debug("so many files that some have to be closed again")
        if skip is not None:
            known = self._by_key()
            others = [found for found in self._matches() if found.key not in known]
            self.files += map(Generation.at_end_of, others)
        self._remember_past()
        self.began = time.time_ns() - _CLOCK_TICK

    def resume(self, saved: Sequence[Generation], began: int | None, now: float) -> None:
        """Find the files of an earlier run under whatever name, and those that came since.

        `began` is what it was in that run.
        """
        self.close()
        self.began = _NEVER if began is None else began
        last_changes: dict[str, int] = {}
        for file in saved:
            last_changes[file.origin] = max(file.changed, last_changes.get(file.origin, 0))
        self.files = found_again(saved, self._openings)
        self.scan(now, last_changes)
        self._remember_past()

    def close(self) -> None:
        """Close all files and forget them."""
        for file in self.files:
            file.close()
        self.files, self._past, self.began = [], [], _NEVER

    def scan(
        self,
        now: float,
        last_changes: Mapping[str, int] | None = None,
        each: Callable[[Generation], None] | None = None,
    ) -> bool:
        """Look which files are there now, and tell whether some had to wait for their turn.

        `now` is any clock's seconds. `last_changes` tells when the files of an earlier run were
        last written: what rotation left since then is new, what is older was read before.
        """
        for _ in range(_TRIES):
            matches = self._matches()
            new = self._new_ones(matches, last_changes or {})
            room = self._openings.room() if new else 0
            opened = self._take(new[:room])
            if opened is not None:
                break
        for file in opened or ():
            if each is not None:
                each(file)
        self._retire(matches, now)
        return len(new) > room > 0

    def truncated(self, file: Generation) -> None:
        """Begin a file anew that was cut; go on first in the copy that rotation took of it."""
        try:
            anew = file.anew()
        except OSError as error:
            self.failed(file, error)
            return
        log.info("%s was truncated: reading it from its beginning", file.path)
        if file.failed:
            self.is_well(file)
        copy = copy_of(file, self._by_key())
        at = self.files.index(file)
        self.files.insert(at + 1, anew)
        self._openings.note(anew)
        if copy is None or not self._openings.attach(file, copy.path):
            file.close()
            del self.files[at]
        self.files = [known for known in self.files if not known.is_copy or known.key != file.key]

    def failed(self, file: Generation, error: OSError) -> None:
        """Let a file rest until the next look that could not be read; say so once."""
        self._openings.cannot(file.path, error)
        file.failed = file.rests = True
        if error.errno == errno.ESTALE:  # its server has forgotten it: it has to be opened again
            file.close()

    def is_well(self, file: Generation) -> None:
        """Note that a file that failed can be read again."""
        log.warning("%s can be read again", file.path)
        self._openings.tell(False, file.path, "")
        file.failed = False

    # What is new

    def _matches(self) -> list[Found]:
        return matching(self._paths, self._openings.tell)

    def _new_ones(
        self, matches: list[Found], last_changes: Mapping[str, int]
    ) -> list[tuple[Found, str]]:
        known = self._by_key()
        unknown = [found for found in matches if not self._is_known(found, known)]
        unknown = [found for found in unknown if self._openings.is_readable(found)]
        if not unknown and not last_changes:
            return []
        bases = {found.path for found in matches} | {file.origin for file in self.files}
        new = self._without_continued([(found, _origin(found.path, bases)) for found in unknown])
        since = {file.origin: 0 for file in self.files} | dict(last_changes)
        current = {found.path for found, origin in new if found.path == origin}
        origins = {it: since.get(it, self.began) for it in current | set(last_changes)}
        new += self._passed_by({it: at for it, at in origins.items() if at < _NEVER}, matches)
        return sorted(new, key=_age)

    def _passed_by(
        self, origins: Mapping[str, int], matches: list[Found]
    ) -> list[tuple[Found, str]]:
        """Return what came since the last look and was renamed before this one."""
        known, matched = self._by_key(), {found.path for found in matches}
        others = [
            (found, origin) for found, origin in rotated(origins) if found.path not in matched
        ]
        self._forget_removed(origins, matches, [found for found, _ in others])
        return self._without_continued(
            [
                (found, origin)
                for found, origin in others
                if found.changed >= origins[origin] and not self._is_known(found, known)
            ]
        )

    def _without_continued(self, new: list[tuple[Found, str]]) -> list[tuple[Found, str]]:
        """Go on in those files that are known ones in another inode; return the others."""
        before: dict[str, list[Generation]] = {}
        for file in self.files if new else ():
            before.setdefault(file.origin, []).append(file)
        return [
            (found, origin)
            for found, origin in new
            if not any(
                self._is_continued(file, found) and self._openings.attach(file, found.path)
                for file in before.get(origin, ())
            )
        ]

    def _is_continued(self, file: Generation, found: Found) -> bool:
        try:
            return is_continued(file, found)
        except OSError as error:
            self.failed(file, error)
        # What it holds open is of no use: what is known of it has to tell.
        file.close()
        return is_continued(file, found)

    def _by_key(self) -> dict[Key, Generation]:
        return {file.key: file for file in [*self._past, *self.files]}

    def _is_known(self, found: Found, known: Mapping[Key, Generation]) -> bool:
        file = known.get(found.key)
        if file is None or not file.is_at(found):
            return False
        self._seen(file, found)
        return True

    def _seen(self, file: Generation, found: Found) -> None:
        has_moved, file.path = file.path != found.path, found.path
        if file.is_open or file.is_copy or (file.is_finished and found.changed == file.changed):
            return
        has_changed = found.changed != file.changed or found.size != file.lines.end
        room = self._openings.room() if has_moved or has_changed else 0
        if room and file not in self._past:
            self._openings.attach(file)

    def _take(self, new: list[tuple[Found, str]]) -> list[Generation] | None:
        """Open all of `new`, or none: None if they were moved about meanwhile."""
        opened: list[Generation] = []
        for found, origin in new:
            file = Generation(origin, found.path)
            file.is_copy = is_copy(found, origin, self.files)
            if not self._openings.attach(file):
                continue
            opened.append(file)
            if file.key != found.key:
                _close(opened)
                return None
        self._add(opened)
        return opened

    def _add(self, opened: list[Generation]) -> None:
        # A closed file whose inode has come back is gone.
        keys = {file.key for file in opened}
        self.files = [known for known in self.files if known.is_open or known.key not in keys]
        self.files += opened
        _close(file for file in opened if file.is_copy)

    # What was there before

    def _remember_past(self) -> None:
        matched, known = {found.path for found in self._matches()}, self._by_key()
        for found, origin in rotated({file.origin for file in self.files}):
            if found.path not in matched and not self._is_known(found, known):
                self._remember(Generation(origin, found.path))

    def _remember(self, file: Generation) -> None:
        if self._openings.attach(file):
            file.close()
            file.is_finished = True
            self._past.append(file)

    # What is over

    def _retire(self, matches: list[Found], now: float) -> None:
        in_place = {(found.path, found.key) for found in matches}
        self._openings.forget_closed()
        for file in [known for known in self.files if known.is_open]:
            file.rests = False
            if (file.origin, file.key) in in_place or self._has_more(file):
                file.quiet_since = None
            elif file.quiet_since is None:
                file.quiet_since = now
            elif now - file.quiet_since >= self._rotate_wait:
                self._finish(file)

    def _has_more(self, file: Generation) -> bool:
        try:
            return file.has_more
        except OSError as error:
            self.failed(file, error)
            return True

    def _finish(self, file: Generation) -> None:
        try:
            is_deleted = file.is_deleted
        except OSError as error:
            self.failed(file, error)
            return
        if file.lines.rest:
            self.dropped += 1
            log.warning("%s ends in a line without a newline: it is left out", file.path)
        if is_deleted:
            self.files.remove(file)
        file.close()
        file.is_finished = True

    def _forget_removed(
        self, origins: Mapping[str, int], matches: list[Found], others: list[Found]
    ) -> None:
        """Forget closed files of `origins` that are gone, unless they may come back."""
        names = {found.path for found in matches}
        keys = {found.key for found in [*matches, *others]}

        def stays(file: Generation) -> bool:
            may_come = not (file.is_finished or file.is_copy or file.origin in names)
            return file.is_open or file.origin not in origins or file.key in keys or may_come

        self.files = [file for file in self.files if stays(file)]
        self._past = [file for file in self._past if stays(file)]


def _origin(path: str, bases: set[str]) -> str:
    found = (base for base in numbered_names(path) if base in bases)
    return min(found, key=len, default=path)


def _age(new: tuple[Found, str]) -> tuple[bool, int, int]:
    """Sort older generations first: by time, and by number where a clock tick holds several."""
    found, origin = new
    return found.path == origin, found.changed, -number_of(found.path)


def _close(files: Iterable[Generation]) -> None:
    for file in files:
        file.close()
