"""What kind of recording a file is, seen by its first lines."""

from __future__ import annotations

from typing import Literal, get_args

from connectors.columns import columns_of, sniff, split, text_of
from connectors.compressed import chunk, unpacked
from connectors.formats import is_json, is_mosquitto_line, is_recorder_header
from connectors.heard import is_heard
from connectors.influx import looks_like_influx
from connectors.lines import LINE_LIMIT, LineSplitter
from streamlnn.errors import InputUnavailable

Format = Literal[
    "auto", "streamlnn", "mqtt-recorder", "mosquitto", "jsonl", "influx", "csv", "parquet"
]
FORMATS: tuple[str, ...] = get_args(Format)

PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"

_LINES = 20
_MOST_BYTES = 8 * LINE_LIMIT
_WAY_OUT = f"recordings are of one of the formats {', '.join(FORMATS[1:])}; name it if you know it"
_UTF16 = "is UTF-16 text: convert it, for instance with iconv -f UTF-16 -t UTF-8"
_FOREIGN = {
    PARQUET: "is a Parquet file that is compressed once more: decompress it",
    b"SQLite format 3": "is an SQLite database, no recording of messages",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
}


def first_lines(path: str) -> list[bytes]:
    """Return the first lines that are not blank, `_LINES` of them if there are so many.

    Raises `InputUnavailable` for what is no text.
    """
    found: list[bytes] = []
    with unpacked(path) as stream:
        splitter, some = LineSplitter(), chunk(path, stream)
        _refuse_foreign(path, some)
        while some and len(found) < _LINES:
            found += [line for line, _ in splitter.split(some)]
            _refuse_endless(path, found, splitter)
            some = chunk(path, stream)
    found += [splitter.rest] if splitter.rest.strip() else []
    if not found:
        raise InputUnavailable(f"{path} is empty, or cut off: there is nothing to read in it")
    return [found[0].removeprefix(BOM), *found[1:_LINES]]


def recognise(path: str, head: list[bytes]) -> str:
    """Return the format of a file that begins with the lines `head`. Raises `InputUnavailable`."""
    first = head[0].lstrip()
    if first.startswith((b"{", b"[")):
        return _recognise_json(path, first)
    if is_recorder_header(first):
        return "mqtt-recorder"
    if looks_like_influx(head):
        return "influx"
    if _looks_like_csv(head):
        return "csv"
    raise InputUnavailable(f"{path} is no recording I know: it begins {first[:60]!r}; {_WAY_OUT}")


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


def _looks_like_csv(head: list[bytes]) -> bool:
    columns, is_header = columns_of(head[0])
    if not is_header:
        return True
    if len(head) == 1:
        return len(columns) > 1
    width = len(split(text_of(head[1]), sniff(text_of(head[0]))))
    return width in (len(columns), len(columns) + 1) and not columns_of(head[1])[1]


def _refuse_foreign(path: str, some: bytes) -> None:
    for magic, reason in _FOREIGN.items():
        if some.startswith(magic):
            raise InputUnavailable(f"{path} {reason}")
    if b"\0" in some:
        raise InputUnavailable(f"{path} is no text: {some[:16]!r}...; {_WAY_OUT}")


def _refuse_endless(path: str, found: list[bytes], splitter: LineSplitter) -> None:
    """Refuse what unpacks to anything but lines, before all of it is unpacked."""
    if not found and splitter.end > _MOST_BYTES:
        raise InputUnavailable(
            f"{path} has no line of 1 to {LINE_LIMIT} bytes in its first {_MOST_BYTES}; {_WAY_OUT}"
        )
