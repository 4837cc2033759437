"""What kind of recording a file is, seen by its first lines."""

from __future__ import annotations

import csv
from typing import Literal, get_args

from connectors.columns import columns_of, split, text_of
from connectors.compressed import chunk, unpacked
from connectors.formats import is_json, is_mosquitto_line, is_recorder_header
from connectors.heard import is_heard
from connectors.influx import looks_like_influx
from connectors.lines import LINE_LIMIT, LineSplitter
from connectors.preamble import Table, is_comment, table_of
from streamlnn.errors import InputUnavailable

Format = Literal[
    "auto",
    "streamlnn",
    "mqtt-recorder",
    "mosquitto",
    "jsonl",
    "influx",
    "csv",
    "json",
    "parquet",
]
FORMATS: tuple[str, ...] = get_args(Format)

PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"

_LINES = 20
_MOST_COMMENTS = 1_000
_ROWS = 5
"""So many rows are looked at: one or two may be damaged."""
_MOST_BYTES = 8 * LINE_LIMIT
_WAY_OUT = (
    f"recordings are of one of the formats {', '.join(FORMATS[1:])}; name it if you know it, "
    "as with --format csv"
)
_UTF16 = "is UTF-16 text: convert it, for instance with iconv -f UTF-16 -t UTF-8"
_FOREIGN = {
    PARQUET: "is a Parquet file that is compressed once more: decompress it",
    b"PK\x03\x04": "is a ZIP archive or an Excel workbook: unpack it, or save the table as CSV",
    b"SQLite format 3": "is an SQLite database, no recording of messages",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
}


def first_lines(path: str) -> list[bytes]:
    """Return the first lines that are not blank, `_LINES` of them beside comments if there are.

    Raises `InputUnavailable` for what is no text.
    """
    found: list[bytes] = []
    with unpacked(path) as stream:
        splitter, some = LineSplitter(), chunk(path, stream)
        _refuse_foreign(path, some)
        while some and not _are_enough(found):
            found += [line for line, _ in splitter.split(some)]
            _refuse_endless(path, found, splitter)
            some = chunk(path, stream)
    found += [splitter.rest] if splitter.rest.strip() else []
    if not found:
        raise InputUnavailable(f"{path} is empty, or cut off: there is nothing to read in it")
    comments = sum(map(is_comment, found[:_MOST_COMMENTS]))
    return [found[0].removeprefix(BOM), *found[1 : _LINES + comments]]


def recognise(path: str, head: list[bytes]) -> str:
    """Return the format of a file that begins with the lines `head`. Raises `InputUnavailable`."""
    first = _whole_json(head) or head[0].lstrip()
    if first.startswith((b"{", b"[")):
        return _recognise_json(path, first)
    if is_recorder_header(first):
        return "mqtt-recorder"
    if looks_like_influx(head):
        return "influx"
    _refuse_annotated(path, head)
    reason = _why_no_csv(head)
    if reason is None:
        return "csv"
    said = f"is no recording I know: it begins with {text_of(head[0][:60])!r}, and {reason}"
    raise InputUnavailable(f"{path} {said}; {_WAY_OUT}")


def _whole_json(head: list[bytes]) -> bytes | None:
    """Return the first line that is whole, where rotation has cut off the one before."""
    if len(head) == 1 or is_json(head[0]):
        return None
    behind = [line.lstrip() for line in head[1:3]]
    is_cut = all(line.startswith(b"{") and is_json(line) for line in behind)
    return behind[0] if is_cut else None


def _recognise_json(path: str, first: bytes) -> str:
    if is_heard(first):
        return "streamlnn"
    if is_mosquitto_line(first):
        return "mosquitto"
    if is_json(first):
        return "jsonl"
    raise InputUnavailable(
        f"{path} begins like JSON, but its first line is no whole value: write one value a line, "
        "for instance with jq -c"
    )


def _why_no_csv(head: list[bytes]) -> str | None:
    """Return why a file is no table, None if it looks like one."""
    table = table_of(head)
    above, width = table.lines, len(table.columns)
    if not table.has_header or not columns_of(head[above - 1])[1]:
        return None
    rows = [line for line in head[above:] if not is_comment(line)]
    if not rows:
        is_table = len(head) == 1 and width > 1
        return None if is_table else "no row of numbers follows"
    if any(_is_row(line, table) for line in rows[: 1 if width == 1 else _ROWS]):
        return None
    return f"no row of {width} cells with a number or a time in front follows"


def _is_row(line: bytes, table: Table) -> bool:
    try:
        cells = split(text_of(line), table.delimiter)
    except csv.Error:
        return False
    return len(cells) - len(table.columns) in (0, 1) and not columns_of(line)[1]


def _refuse_annotated(path: str, head: list[bytes]) -> None:
    """Refuse InfluxDB's CSV, which has the values of all series in one column."""
    is_annotated = any(line.startswith((b"#group,", b"#datatype,")) for line in head)
    if is_annotated or {"_field", "_value"} <= set(table_of(head).columns):
        raise InputUnavailable(
            f"{path} is CSV of InfluxDB, with the values of all series in one column: export it "
            "with |> pivot(...) and without annotations, or as line protocol; with --format csv "
            "its rows are read as those of one stream"
        )


def _refuse_foreign(path: str, some: bytes) -> None:
    for magic, reason in _FOREIGN.items():
        if some.startswith(magic):
            raise InputUnavailable(f"{path} {reason}")
    lines = [line for line in some.split(b"\n") if line.strip(b"\0\r\t ")]
    bad = [at for at, line in enumerate(lines, 1) if b"\0" in line]
    # A power cut leaves some; where they are in every other line it is no text at all.
    if 2 * len(bad) > len(lines):
        raise InputUnavailable(
            f"{path} is no text: there are zero bytes in {len(bad)} of its first {len(lines)} "
            f"lines, first in line {bad[0]}; {_WAY_OUT}"
        )
    if b"\n" not in some and b"\r" in some.rstrip():
        raise InputUnavailable(
            f"{path} has line ends of old Macs, CR alone: convert it, for instance with "
            "tr '\\r' '\\n'"
        )


def _are_enough(found: list[bytes]) -> bool:
    comments = sum(map(is_comment, found[:_MOST_COMMENTS]))
    return len(found) >= _LINES + comments


def _refuse_endless(path: str, found: list[bytes], splitter: LineSplitter) -> None:
    """Refuse what unpacks to anything but lines, before all of it is unpacked."""
    if not found and splitter.end > _MOST_BYTES:
        raise InputUnavailable(
            f"{path} has no line of 1 to {LINE_LIMIT} bytes in its first {_MOST_BYTES}; {_WAY_OUT}"
        )
