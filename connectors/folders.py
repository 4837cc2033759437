"""What is in a folder: its regular files, and those that rotation has named after a former one."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from connectors.rotation import former_names

Key = tuple[int, int]
"""Device and inode."""

_TRIES = 20
_FEW = 20


@dataclass(frozen=True, slots=True)
class Found:
    """A regular file as a look into its folder shows it; `changed` in nanoseconds."""

    path: str
    key: Key
    changed: int
    size: int


def look_at(path: str) -> Found | None:
    """Return what is at `path`, None if that is no regular file. Symbolic links are followed."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return Found(path, key_of(found), found.st_mtime_ns, found.st_size)


def key_of(found: os.stat_result) -> Key:
    """Return what tells a file from all others that are there at the same time."""
    return found.st_dev, found.st_ino


def files_in(folder: str) -> list[Found]:
    """Return the regular files of a folder, none if it cannot be read."""
    looks = (look_at(path) for path in _paths(folder))
    return [found for found in looks if found is not None]


def one_name_each(files: Sequence[Found]) -> list[Found]:
    """Return each file once that has several names, under one that is no link if there is one."""
    if len({found.key for found in files}) == len(files):
        return list(files)
    names: dict[Key, Found] = {}
    for found in sorted(files, key=lambda found: (os.path.islink(found.path), found.path)):
        names.setdefault(found.key, found)
    return sorted(names.values(), key=lambda found: found.path)


def rotated(origins: Collection[str]) -> list[tuple[Found, str]]:
    """Return the files that are named as rotation names one of `origins`, each with that one."""
    before: list[tuple[Found, str]] = []
    # A listing may miss a file that is renamed meanwhile: two that agree have missed none.
    for _ in range(_TRIES):
        found = [one for folder in _folders(origins) for one in _rotated_in(folder, origins)]
        if _names(found) == _names(before):
            break
        before = found
    return found


def _folders(origins: Collection[str]) -> list[str]:
    return sorted({os.path.dirname(origin) for origin in origins})


def _rotated_in(folder: str, origins: Collection[str]) -> list[tuple[Found, str]]:
    paths = _paths(folder)
    if len(origins) < _FEW:
        roots = tuple(os.path.splitext(origin)[0] for origin in origins)
        paths = [path for path in paths if path.startswith(roots)]
    pairs = [(path, name) for path in paths for name in former_names(path) if name in origins]
    return [(found, name) for path, name in pairs if (found := look_at(path)) is not None]


def _paths(folder: str) -> list[str]:
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder or "."))]
    except OSError:
        return []


def _names(found: list[tuple[Found, str]]) -> list[tuple[str, Key]]:
    return [(one.path, one.key) for one, _ in found]
