"""What may stand above the rows of a table: comments, Excel's `sep=`, the header, and units."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from connectors.columns import columns_of, sniff, text_of

_COMMENT = b"#"
_SEPARATOR = b"sep="


class Table(NamedTuple):
    """The first lines of a table, told apart.

    `lines` is how many of them are no rows; `has_header` tells that the names were written.
    """

    columns: tuple[str, ...]
    delimiter: str
    has_header: bool
    lines: int


def is_comment(line: bytes) -> bool:
    """Tell whether a line may be a comment."""
    return line.startswith(_COMMENT)


def table_of(head: Sequence[bytes]) -> Table:
    """Return what the first lines of a file, of which there is one at least, say of its table.

    >>> table_of([b"# loft", b"sep=;", b"time;temp", b"s;C", b"1;20.5"])
    Table(columns=('time', 'temp'), delimiter=';', has_header=True, lines=4)
    >>> table_of([b"# time,temp", b"1,20.5"]).columns
    ('time', 'temp')
    """
    at = next((at for at, line in enumerate(head) if not _is_above(line)), 0)
    columns, is_header = columns_of(head[at])
    delimiter = sniff(text_of(head[at]))
    if is_header:
        units = _are_units(head[at + 1 : at + 3], columns)
        return Table(columns, delimiter, True, at + 1 + units)
    names = _commented(head[:at])
    is_named = len(names) == len(columns) > 1
    return Table(names if is_named else columns, delimiter, is_named, at)


def _is_above(line: bytes) -> bool:
    return is_comment(line) or line.lower().startswith(_SEPARATOR)


def _commented(above: Sequence[bytes]) -> tuple[str, ...]:
    """Return the names in the last comment: numpy's savetxt writes the header as one."""
    last = above[-1] if above else b""
    names, is_header = columns_of(last.lstrip(b"# "))
    return names if is_header and is_comment(last) else ()


def _are_units(rows: Sequence[bytes], columns: tuple[str, ...]) -> bool:
    if len(rows) < 2 or len(columns) < 2:
        return False
    units, is_words = columns_of(rows[0])
    return is_words and len(units) == len(columns) and not columns_of(rows[1])[1]
