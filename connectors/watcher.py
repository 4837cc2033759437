"""Which files there are to follow: found by name, known by identity, kept until read to the end."""

from __future__ import annotations

import glob
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence

from connectors.generations import (
    Found,
    Generation,
    Key,
    folder_of,
    is_numbered,
    is_rotation_of,
    look_at,
)

log = logging.getLogger("streamlnn.tail")

_NUMBER = re.compile(r"\.(\d{1,4})$")
_TRIES = 20
_NEVER = 1 << 63
# What a file system's stamps may lag behind the clock, nanoseconds.
_CLOCK_TICK = 10_000_000


class Watcher:
    """Keeps `files`, the generations of all files that match `paths`, older ones first.

    A generation stays after its name has moved on: until it has been read to its end and nothing
    was added for `rotate_wait` seconds. Those that came and went between two looks are found
    under the names that rotation gives them. `dropped` counts last lines that never got their
    newline.
    """

    def __init__(self, paths: Sequence[str], rotate_wait: float) -> None:
        self.files: list[Generation] = []
        self.dropped = 0
        self._paths = paths
        self._rotate_wait = rotate_wait
        self._past: list[Generation] = []
        self._began = _NEVER
        self._told: set[str] = set()

    def begin(self, now: float) -> None:
        """Find the files that are there; rotated ones only if `paths` matches them."""
        self.close()
        self.scan(now)
        self._remember_past()
        self._began = time.time_ns() - _CLOCK_TICK

    def resume(self, saved: Iterable[Generation], now: float) -> None:
        """Find the files of an earlier run under whatever name, and those that came since."""
        self.close()
        last_changes: dict[str, int] = {}
        for file in saved:
            self._find_again(file)
            last_changes[file.origin] = max(file.changed, last_changes.get(file.origin, 0))
        self.scan(now, last_changes)
        self._remember_past()

    def close(self) -> None:
        """Close all files and forget them."""
        for file in self.files:
            file.close()
        self.files, self._past, self._began = [], [], _NEVER

    def scan(self, now: float, last_changes: Mapping[str, int] | None = None) -> None:
        """Look which files are there now; `now` is any clock's seconds.

        `last_changes` tells when the files of an earlier run were last written: what rotation
        left since then is new, what is older was read before.
        """
        for _ in range(_TRIES):
            matches = self._matches()
            if self._take(self._new_ones(matches, last_changes or {})):
                break
        self._retire(matches, now)

    def truncated(self, file: Generation) -> None:
        """Begin a file anew that was cut; go on first in the copy that rotation took of it."""
        log.info("%s was truncated: reading it from its beginning", file.path)
        copy = self._copy_of(file)
        at = self.files.index(file)
        self.files.insert(at + 1, file.anew())
        if copy is None or not self._attach(file, copy.path):
            file.close()
            del self.files[at]
        self.files = [known for known in self.files if not known.is_copy or known.key != file.key]

    # What is new

    def _matches(self) -> list[Found]:
        names = {
            os.path.normpath(name)
            for pattern in self._paths
            for name in glob.glob(pattern, recursive=True)
        }
        found = [look for name in sorted(names) if (look := look_at(name)) is not None]
        self._tell(not found, "nothing", "no file matches %s yet: waiting", ", ".join(self._paths))
        return found

    def _new_ones(
        self, matches: list[Found], last_changes: Mapping[str, int]
    ) -> list[tuple[Found, str]]:
        known = self._by_key()
        unknown = [found for found in matches if not self._is_known(found, known)]
        if not unknown and not last_changes:
            return []
        bases = {found.path for found in matches} | {file.origin for file in self.files}
        new = [(found, _origin(found.path, bases)) for found in unknown]
        since = {file.origin: 0 for file in self.files} | dict(last_changes)
        current = {found.path for found, origin in new if found.path == origin}
        origins = {it: since.get(it, self._began) for it in current | set(last_changes)}
        new += self._passed_by({it: at for it, at in origins.items() if at < _NEVER}, matches)
        return sorted(new, key=_age)

    def _passed_by(
        self, origins: Mapping[str, int], matches: list[Found]
    ) -> list[tuple[Found, str]]:
        """Return what came since the last look and was renamed before this one."""
        known = self._by_key()
        rotated = _rotated(origins, {found.path for found in matches})
        there = [*matches, *(found for found, _ in rotated)]
        self._forget_removed(origins, {found.key for found in there})
        return [
            (found, origin)
            for found, origin in rotated
            if found.changed >= origins[origin] and not self._is_known(found, known)
        ]

    def _by_key(self) -> dict[Key, Generation]:
        return {file.key: file for file in [*self._past, *self.files]}

    def _is_known(self, found: Found, known: Mapping[Key, Generation]) -> bool:
        file = known.get(found.key)
        if file is None or not file.is_at(found):
            return False
        self._seen(file, found)
        return True

    def _seen(self, file: Generation, found: Found) -> None:
        file.path = found.path
        has_grown = not file.is_open and found.changed != file.changed
        if has_grown and not file.is_copy and file not in self._past:
            self._attach(file)

    def _take(self, new: list[tuple[Found, str]]) -> bool:
        """Open all of `new`, or none: False if they were moved about meanwhile."""
        opened: list[Generation] = []
        for found, origin in new:
            file = Generation(origin, found.path)
            file.is_copy = self._is_copy(found, origin)
            if not self._attach(file):
                continue
            opened.append(file)
            if file.key != found.key:
                _close(opened)
                return False
        for file in opened:
            self._add(file)
        return True

    def _add(self, file: Generation) -> None:
        # A closed file whose inode has come back is gone.
        self.files = [known for known in self.files if known.is_open or known.key != file.key]
        self.files.append(file)
        if file.is_copy:
            file.close()

    def _is_copy(self, found: Found, origin: str) -> bool:
        # Copytruncate leaves the file itself in place; after a renaming it would be elsewhere.
        return found.path != origin and any(
            file.is_open and file.path == file.origin == origin and file.heads(found.path)
            for file in self.files
        )

    def _copy_of(self, file: Generation) -> Found | None:
        known = self._by_key()
        candidates = [
            found
            for found in folder_of(file.origin)
            if found.key != file.key
            and is_rotation_of(found.path, file.origin)
            and file.begins_like(found.path)
            and _may_be_copy(found, known)
        ]
        return max(candidates, key=lambda found: found.changed, default=None)

    # What was there before

    def _remember_past(self) -> None:
        matched, known = {found.path for found in self._matches()}, self._by_key()
        for found, origin in _rotated({file.origin for file in self.files}, matched):
            if not self._is_known(found, known):
                self._remember(Generation(origin, found.path))

    def _remember(self, file: Generation) -> None:
        if self._attach(file):
            file.close()
            self._past.append(file)

    def _find_again(self, file: Generation) -> None:
        found = self._look_for(file)
        if found is None:
            _tell_of_loss(file)
        elif file.is_copy or (file.was_closed and found.changed == file.changed):
            file.path = found.path
            self.files.append(file)
        elif self._attach(file, found.path):
            self.files.append(file)

    def _look_for(self, file: Generation) -> Found | None:
        found = look_at(file.path)
        if found is not None and file.is_at(found):
            return found
        taken = {known.key for known in self.files}
        folder = [found for found in folder_of(file.path) if found.key not in taken]
        ways = (
            (found for found in folder if file.is_at(found)),
            (found for found in folder if _is_in_place(file, found)),
            (found for found in folder if _is_moved(file, found)),
        )
        return next((found for way in ways for found in way), None)

    # What is over

    def _retire(self, matches: list[Found], now: float) -> None:
        in_place = {(found.path, found.key) for found in matches}
        for file in [known for known in self.files if known.is_open]:
            if (file.origin, file.key) in in_place or file.size > file.lines.end:
                file.quiet_since = None
            elif file.quiet_since is None:
                file.quiet_since = now
            elif now - file.quiet_since >= self._rotate_wait:
                self._finish(file)

    def _finish(self, file: Generation) -> None:
        if file.lines.rest:
            self.dropped += 1
            log.warning("%s ends in a line without a newline: it is left out", file.path)
        if file.is_deleted:
            self.files.remove(file)
        file.close()

    def _forget_removed(self, origins: Iterable[str], keys: set[Key]) -> None:
        def stays(file: Generation) -> bool:
            return file.is_open or file.origin not in origins or file.key in keys

        self.files = [file for file in self.files if stays(file)]
        self._past = [file for file in self._past if stays(file)]

    def _attach(self, file: Generation, path: str | None = None) -> bool:
        try:
            file.attach(path or file.path)
        except FileNotFoundError:
            return False
        except OSError as error:
            self._tell(True, file.path, "cannot read %s: %s", file.path, error.strerror)
            return False
        self._told.discard(file.path)
        return True

    def _tell(self, is_so: bool, about: str, message: str, *details: object) -> None:
        if is_so and about not in self._told:
            log.warning(message, *details)
        (self._told.add if is_so else self._told.discard)(about)


def _origin(path: str, bases: set[str]) -> str:
    found = (base for base in bases if base != path and is_numbered(path, base))
    return min(found, key=len, default=path)


def _age(new: tuple[Found, str]) -> tuple[bool, int, int]:
    """Sort older generations first: by time, and by number where a clock tick holds several."""
    found, origin = new
    number = _NUMBER.search(found.path)
    return found.path == origin, found.changed, -int(number[1]) if number else 0


def _rotated(origins: Iterable[str], matched: set[str]) -> list[tuple[Found, str]]:
    """Return the files that have the name of a former one of `origins`, each with that origin."""
    folders = {os.path.dirname(origin): origin for origin in origins}
    others = [
        found
        for origin in folders.values()
        for found in folder_of(origin)
        if found.path not in matched
    ]
    return [
        (found, origin)
        for found in others
        for origin in origins
        if is_rotation_of(found.path, origin)
    ]


def _is_in_place(file: Generation, found: Found) -> bool:
    return found.path == file.origin and file.begins_like(found.path)


def _is_moved(file: Generation, found: Found) -> bool:
    return (
        is_rotation_of(found.path, file.origin)
        and found.changed >= file.changed
        and file.begins_like(found.path)
    )


def _may_be_copy(found: Found, known: Mapping[Key, Generation]) -> bool:
    file = known.get(found.key)
    return file is None or file.is_copy or not file.is_at(found)


def _tell_of_loss(file: Generation) -> None:
    if not file.was_read and not file.is_copy:
        log.warning(
            "%s is gone since the last run: what was written to it after byte %d is missing",
            file.path,
            file.lines.offset,
        )


def _close(files: Iterable[Generation]) -> None:
    for file in files:
        file.close()
