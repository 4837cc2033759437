"""What the first line of a CSV file says: the delimiter, and the names of its columns."""

from __future__ import annotations

import csv
import re

DELIMITERS = "\t;,"

_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*")
_DECIMAL = re.compile(r"\s*[+-]?\d*\.\d+([eE][+-]?\d+)?\s*")
_TIME = re.compile(r"\s*(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2})(\D|$)")


def text_of(line: bytes) -> str:
    """Return a line as text: UTF-8, or Latin-1 as older loggers write their degree signs.

    >>> text_of("21,5 °C".encode("latin-1"))
    '21,5 °C'
    """
    try:
        return line.decode()
    except UnicodeDecodeError:
        return line.decode("latin-1")


def split(text: str, delimiter: str) -> list[str]:
    """Return the cells of one line. Raises `csv.Error` for quotes that do not fit.

    >>> split('"a;b";2', ";")
    ['a;b', '2']
    """
    if '"' not in text:
        return text.split(delimiter)
    return next(csv.reader([text], delimiter=delimiter, strict=True))


def sniff(text: str) -> str:
    """Return the delimiter that cuts a first line into the most cells; a comma if none does.

    >>> sniff("datetime;Volume Flow RateRMS"), sniff("value")
    (';', ',')
    """
    outside = re.sub(r'"[^"]*"', "", text)
    return max(",;\t", key=outside.count)


def columns_of(line: bytes, before: tuple[str, ...] | None = None) -> tuple[tuple[str, ...], bool]:
    """Return the names of the columns, and whether the line is a header (else it is data).

    A file without a header has the column `value`, or `c0`, `c1`, ... when there are several; or
    the columns `before`, those of the file that this one goes on from, when their number is the
    same.

    >>> columns_of(b"date,OT")
    (('date', 'OT'), True)
    >>> columns_of(b"1.3353060e+05")
    (('value',), False)
    >>> columns_of(b"2020-01-01 00:00:00;7", before=("time", "flow"))
    (('time', 'flow'), False)
    """
    text = text_of(line).removeprefix("\ufeff")
    cells = _cells(text)
    if _is_header(cells):
        return _unique([cell.strip() for cell in cells]), True
    if before is not None and len(cells) in (len(before), len(before) + 1):
        return before, False
    return _numbered(len(cells)), False


def _cells(text: str) -> list[str]:
    try:
        return split(text, sniff(text))
    except csv.Error:
        return text.split(sniff(text))


def _is_header(cells: list[str]) -> bool:
    first = cells[0]
    if _NUMBER.fullmatch(first):
        return False
    # A header may hold bare numbers (a table's columns 0, 1, 2) but hardly a decimal or a time.
    return not any(_TIME.match(cell) or _DECIMAL.fullmatch(cell) for cell in cells)


def _numbered(count: int) -> tuple[str, ...]:
    return ("value",) if count == 1 else tuple(f"c{index}" for index in range(count))


def _unique(names: list[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    for name in names:
        seen[name] = seen.get(name, 0) + 1
    repeated = {name for name, count in seen.items() if name and count > 1}
    return tuple(f"{name}_{at}" if name in repeated else name for at, name in enumerate(names))
