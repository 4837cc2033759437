"""Where a file of an earlier run is now, and whether a new file goes on from a known one."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping

from connectors.folders import Found, Key, look_at, rotated
from connectors.generations import Generation

log = logging.getLogger("streamlnn.tail")

FilesIn = Callable[[str], Mapping[Key, Found]]
"""The regular files of a folder by identity."""


def sight(file: Generation, files_in: FilesIn, taken: Collection[Key]) -> Found | None:
    """Return where a file of an earlier run is now, None if nowhere in its folder.

    It may be under its name or any other, or restored from a backup with another inode. `taken`
    are the identities of files that others have been found to be.
    """
    found = look_at(file.path)
    if found is not None and (file.is_at(found) or _is_locked(file, found)):
        return found
    there = (found for found in _candidates(file, files_in) if found.key not in taken)
    return next((found for found in there if file.is_at(found) or _is_like(file, found)), None)


def is_continued(file: Generation, found: Found) -> bool:
    """Tell whether an unknown file is a known one in another inode, to be read on.

    So is one that comes back with a mount, and one that took the place of another in one stroke,
    as rsync and editors do, with all that it held and more.
    """
    if file.is_open:
        return found.path == file.origin and file.is_deleted and file.goes_on_at(found.path)
    return not file.is_finished and not file.is_copy and file.begins_like(found.path)


def may_be_copy(found: Found, known: Mapping[Key, Generation]) -> bool:
    """Tell whether a rotated file may be what copytruncate left, and no file of its own."""
    file = known.get(found.key)
    return file is None or file.is_copy or not file.is_at(found)


def tell_of_loss(file: Generation) -> None:
    """Say that a file of an earlier run is not there, unless it was said before."""
    if not file.is_away:
        log.warning(
            "%s is gone since the last run: what was written to it after byte %d is missing, "
            "unless it comes back",
            file.path,
            file.lines.offset,
        )


def _candidates(file: Generation, files_in: FilesIn) -> Iterator[Found]:
    ways = (
        files_in(os.path.dirname(file.path)).get(file.key),
        look_at(file.origin),
        *(found for found, _ in rotated([file.origin]) if found.changed >= file.changed),
    )
    return (found for found in ways if found is not None)


def _is_like(file: Generation, found: Found) -> bool:
    return found.key != file.key and file.begins_like(found.path)


def _is_locked(file: Generation, found: Found) -> bool:
    # Nobody can tell what is in it until it may be read again.
    return found.key == file.key and not os.access(found.path, os.R_OK, effective_ids=True)
