"""The names that rotation gives: `a.csv.1`, `a.csv-20260101`, `a-20260101.csv`, `a.csv.old`, ...

Nothing here looks at a disk; a name is a path as text.
"""

from __future__ import annotations

import os
import re

_MARK = re.compile(r"[-._~]")
_ROTATED = re.compile(r"[-._](?:\d[\dTZ:_.+-]*|old)|~")
_NUMBER = re.compile(r"\.(\d{1,4})$")
_COMPRESSED = (".gz", ".xz", ".bz2", ".zst", ".lz4", ".Z", ".zip")


def is_rotation_of(path: str, base: str) -> bool:
    """Tell whether `path` is named as rotation names a former `base`, in the same folder.

    >>> is_rotation_of("d/a.csv.1", "d/a.csv"), is_rotation_of("d/a-20260101.csv", "d/a.csv")
    (True, True)
    >>> is_rotation_of("d/ab.csv", "d/a.csv"), is_rotation_of("d/a.csv.1.gz", "d/a.csv")
    (False, False)
    """
    return base in former_names(path)


def former_names(path: str) -> list[str]:
    """Return all names that a file called `path` now may have had before it was rotated.

    >>> former_names("d/a-1.csv"), former_names("d/a.csv.2")
    (['d/a.csv'], ['d/a.csv'])
    """
    root, ending = os.path.splitext(path)
    inner = [base + ending for base in _bases(root) if ending]
    return numbered_names(path) + inner


def numbered_names(path: str) -> list[str]:
    """Return those of them that got a number, a date or the like behind all of the name.

    >>> numbered_names("a.csv.1"), numbered_names("a-1.csv")
    (['a.csv'], [])
    """
    return _bases(path)


def number_of(path: str) -> int:
    """Return the number at the end of a rotated name, 0 if there is none."""
    found = _NUMBER.search(path)
    return int(found[1]) if found else 0


def is_compressed(path: str) -> bool:
    """Tell whether the name is that of a compressed file, which nobody appends lines to."""
    return path.endswith(_COMPRESSED)


def _bases(path: str) -> list[str]:
    """Return what is before each ending of `path` that rotation may have added."""
    begin = path.rfind("/") + 2  # a name has a letter at least
    marks = _MARK.finditer(path, begin)
    return [path[: at.start()] for at in marks if _ROTATED.fullmatch(path, at.start())]
