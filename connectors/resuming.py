"""Where the files of an earlier run are now."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from connectors.folders import Found, Key, files_in, look_at, rotated
from connectors.generations import Generation
from connectors.openings import Openings

log = logging.getLogger("streamlnn.tail")

AWAY_KEPT = 1_000
"""So many files of earlier runs that are gone now may come back and be read on."""

FilesIn = Callable[[str], Mapping[Key, Found]]
"""The regular files of a folder by identity."""


def found_again(saved: Iterable[Generation], openings: Openings) -> list[Generation]:
    """Open what is there of an earlier run, under whatever name, as far as it may be opened.

    Those that are gone and were not read to their end are told, once, and stay among the files
    returned: their disk may not be there yet.
    """
    folders: FilesIn = cache(lambda folder: {found.key: found for found in files_in(folder)})
    taken: set[Key] = set()
    files = []
    for file in saved:
        found = _sight(file, folders, taken)
        if found is not None:
            taken.add(found.key)
            _take_up(file, found, openings)
        elif file.was_read or file.is_copy:
            continue
        else:
            _tell_of_loss(file)
        files.append(file)
    return _without_long_gone(files)


def _take_up(file: Generation, found: Found, openings: Openings) -> None:
    file.path = found.path
    is_over = file.is_copy or (file.is_finished and found.changed == file.changed)
    if not is_over and openings.room():
        openings.attach(file)


def _tell_of_loss(file: Generation) -> None:
    if not file.is_away:
        log.warning(
            "%s is gone since the last run: what was written to it after byte %d is missing, "
            "unless it comes back",
            file.path,
            file.lines.offset,
        )
    file.is_away = True


def _without_long_gone(files: list[Generation]) -> list[Generation]:
    away = sorted((file.changed for file in files if file.is_away), reverse=True)
    oldest = away[AWAY_KEPT - 1] if len(away) >= AWAY_KEPT else 0
    return [file for file in files if not file.is_away or file.changed >= oldest]


def _sight(file: Generation, folders: FilesIn, taken: set[Key]) -> Found | None:
    """Return where a file is now, None if nowhere in its folder.

    It may be under its name or any other, or restored from a backup with another inode. `taken`
    are the identities of files that others have been found to be.
    """
    found = look_at(file.path)
    if found is not None and (file.is_at(found) or _is_locked(file, found)):
        return found
    there = (found for found in _candidates(file, folders) if found.key not in taken)
    return next((found for found in there if file.is_at(found) or _is_like(file, found)), None)


def _candidates(file: Generation, folders: FilesIn) -> Iterator[Found]:
    ways = (
        folders(os.path.dirname(file.path)).get(file.key),
        look_at(file.origin),
        *(found for found, _ in rotated([file.origin]) if found.changed >= file.changed),
    )
    return (found for found in ways if found is not None)


def _is_like(file: Generation, found: Found) -> bool:
    return found.key != file.key and file.begins_like(found.path)


def _is_locked(file: Generation, found: Found) -> bool:
    # Nobody can tell what is in it until it may be read again.
    return found.key == file.key and not os.access(found.path, os.R_OK, effective_ids=True)
