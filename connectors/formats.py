"""One reader for each kind of recording: a line in, a message out."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from typing import Protocol

import msgspec

from connectors.columns import columns_of, split, text_of
from connectors.heard import HeardReader
from connectors.influx import InfluxReader
from connectors.lines import LINE_LIMIT
from connectors.preamble import is_comment, table_of
from connectors.stamps import from_moment, from_seconds
from streamlnn.pipeline.contract import Message

_TRUE = ("1", "true")
_CUT_NUMBER = re.compile(r"[.eE+-]$")
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z?([+-]\d\d:?\d\d)?")


class Reader(Protocol):
    """Reads the lines of one recording, in order.

    `codec` is the name of the codec for the payloads; `preamble` is how many of the first lines are
    no messages; `has_topics` that the origins are topics and the messages carry their times.
    `waiting` is how many lines were read whose message goes on in the next one.
    """

    codec: str
    preamble: int
    has_topics: bool
    waiting: int

    def read(self, line: bytes) -> Message | None:
        """Return the line's message, or None if it goes on in the next line, or is none.

        Raises `ValueError` for a line that is no message.
        """

    def is_whole(self, line: bytes) -> bool:
        """Tell whether a last line without a newline was written to its end."""


class CsvReader:
    """Plain CSV: every line is a message, its columns told beside it."""

    codec = "csv"
    has_topics = False
    waiting = 0

    def __init__(self, path: str, head: Sequence[bytes]) -> None:
        self._path = path
        table = table_of(head)
        self._columns, self._delimiter, self.preamble = table.columns, table.delimiter, table.lines
        rows = [line for line in head[table.lines :] if b"\0" not in line and not is_comment(line)]
        self._width = len(self._cells(rows[0])) if rows else len(self._columns)

    def read(self, line: bytes) -> Message | None:
        """Return the line as it is, None for a comment."""
        if is_comment(line) and len(self._cells(line)) != self._width:
            return None
        return Message(self._path, line, None, self._columns)

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the line has as many cells as the first row, the last one not cut off."""
        cells = self._cells(line)
        return len(cells) == self._width and not _looks_cut(cells[-1])

    def _cells(self, line: bytes) -> list[str]:
        try:
            return split(text_of(line), self._delimiter)
        except csv.Error:
            return []


class JsonLinesReader:
    """JSON lines: every line is a message."""

    codec = "json"
    has_topics = False
    preamble = 0
    waiting = 0

    def __init__(self, path: str, head: Sequence[bytes]) -> None:  # noqa: ARG002
        self._path = path

    def read(self, line: bytes) -> Message:
        """Return the line as it is."""
        return Message(self._path, line, None)

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the line is JSON to its end."""
        return is_json(line)


class _Heard(msgspec.Struct):
    topic: str
    payload: msgspec.Raw
    payloadlen: int | None = None
    tst: str | int | float | None = None
    retain: int | bool = 0


class MosquittoReader:
    """Lines of `mosquitto_sub -F %j` (payload as text) or `%J` (payload as JSON)."""

    codec = "json"
    has_topics = True
    preamble = 0
    waiting = 0

    def __init__(self, path: str, head: Sequence[bytes]) -> None:  # noqa: ARG002
        self._decoder = msgspec.json.Decoder(_Heard)

    def read(self, line: bytes) -> Message:
        """Return the message that was heard, its payload byte for byte where `%j` wrote it."""
        try:
            heard = self._decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        payload = _heard_payload(bytes(heard.payload).strip(), heard.payloadlen)
        return Message(heard.topic, payload, _stamp(heard.tst), retained=bool(heard.retain))

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the line is JSON to its end."""
        return is_json(line)


class RecorderReader:
    """The CSV of the `mqtt-recorder` tool: a quoted payload may go over several lines."""

    codec = "json"
    has_topics = True
    preamble = 1

    def __init__(self, path: str, head: Sequence[bytes]) -> None:  # noqa: ARG002
        names = columns_of(head[0])[0]
        self._width = len(names)
        self._at = [names.index(name) for name in ("topic", "message", "time_now")]
        self._retain = names.index("retain") if "retain" in names else None
        self.waiting = 0
        self._begun = bytearray()
        self._is_quoted = False

    def read(self, line: bytes) -> Message | None:
        """Return the row's message, None while a quoted payload goes on."""
        self._is_quoted ^= line.count(b'"') % 2 == 1
        self._begun += line
        if self._is_quoted and len(self._begun) <= LINE_LIMIT:
            self._begun += b"\n"
            self.waiting += 1
            return None
        row, self._begun = bytes(self._begun), bytearray()
        self.waiting, self._is_quoted = 0, False
        return self._message(row)

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the row has all its cells and a time."""
        try:
            self._message(bytes(self._begun) + line)
        except ValueError:
            return False
        return not _CUT_NUMBER.search(text_of(line))

    def _message(self, line: bytes) -> Message:
        cells = _recorder_cells(line, self._width)
        topic, payload, time = (cells[at] for at in self._at)
        kept = self._retain is not None and cells[self._retain].strip().lower() in _TRUE
        return Message(topic, _bytes(payload), from_seconds(time), retained=kept)


AnyReader = (
    CsvReader | HeardReader | InfluxReader | JsonLinesReader | MosquittoReader | RecorderReader
)

READERS: dict[str, type[AnyReader]] = {
    "streamlnn": HeardReader,
    "csv": CsvReader,
    "influx": InfluxReader,
    "jsonl": JsonLinesReader,
    "mosquitto": MosquittoReader,
    "mqtt-recorder": RecorderReader,
}


def is_recorder_header(line: bytes) -> bool:
    """Tell whether a first line is the header of the `mqtt-recorder` tool."""
    return {"topic", "message", "time_now"} <= set(columns_of(line)[0])


def is_mosquitto_line(line: bytes) -> bool:
    """Tell whether a line was written by `mosquitto_sub -F %j` or `%J`."""
    try:
        heard = msgspec.json.decode(line, type=_Heard)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False
    return heard.tst is not None and heard.payloadlen is not None


def is_json(line: bytes) -> bool:
    """Tell whether a line is one JSON value, whole."""
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _looks_cut(cell: str) -> bool:
    return not cell.strip() or bool(_CUT_NUMBER.search(cell))


def _heard_payload(raw: bytes, length: int | None) -> bytes:
    if raw == b"null" and length == 0:
        return b""
    if not raw.startswith(b'"'):
        return raw
    # mosquitto_sub writes bytes that are no UTF-8 as they are, inside the quotes.
    payload = _bytes(json.loads(raw.decode("utf-8", "surrogateescape")))
    return payload if length in (None, len(payload)) else raw


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _recorder_cells(line: bytes, width: int) -> list[str]:
    text = line.decode("utf-8", "surrogateescape")
    try:
        cells = next(csv.reader(text.split("\n"), strict=True))
    except (csv.Error, StopIteration) as error:
        raise ValueError(str(error)) from None
    if len(cells) != width:
        raise ValueError(f"{len(cells)} cells where the header names {width} columns")
    return cells


def _stamp(value: str | float | None) -> int | None:
    if not isinstance(value, str):
        return None if value is None else from_seconds(str(value))
    match = _STAMP.fullmatch(value)
    if match is None:
        return None
    return from_moment(match[1] + (match[3] or "+00:00"), match[2] or "")
