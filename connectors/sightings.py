"""Whether a file that is met is one that is known, or a copy of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.folders import Found, Key, rotated
from connectors.generations import Generation


def is_continued(file: Generation, found: Found) -> bool:
    """Tell whether an unknown file is a known one in another inode, to be read on.

    So is one that comes back with a mount, and one that took the place of another in one stroke,
    as rsync and editors do, with all that it held and more. Raises `OSError` if `file` is open and
    cannot be read.
    """
    if file.is_open:
        return found.path == file.origin and file.is_deleted and file.goes_on_at(found.path)
    return not file.is_finished and not file.is_copy and file.begins_like(found.path)


def is_copy(found: Found, origin: str, files: Iterable[Generation]) -> bool:
    """Tell whether a new file is what copytruncate left of one of `files`.

    That one is still in its place; after a renaming it would be elsewhere.
    """
    return found.path != origin and any(
        file.origin == origin and file.path == origin and file.is_open and file.heads(found.path)
        for file in files
    )


def copy_of(file: Generation, known: Mapping[Key, Generation]) -> Found | None:
    """Return the copy that rotation took of a file before it cut it, None if there is none."""
    candidates = [
        found
        for found, _ in rotated([file.origin])
        if found.key != file.key and file.begins_like(found.path) and _may_be_copy(found, known)
    ]
    return max(candidates, key=lambda found: found.changed, default=None)


def _may_be_copy(found: Found, known: Mapping[Key, Generation]) -> bool:
    file = known.get(found.key)
    return file is None or file.is_copy or not file.is_at(found)
