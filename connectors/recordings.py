"""Recordings on disk, recognised by looking at them and read message by message.

Read are what `streamlnn record` wrote, `mqtt-recorder` CSV, lines of `mosquitto_sub -F %j` or `%J`,
JSON lines, InfluxDB line protocol, and plain CSV in its many forms; each also gzip- or
zstd-compressed. Parquet is read by `connectors.parquet`, a JSON array by `connectors.arrays`.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import suppress
from copy import copy
from itertools import islice
from pathlib import Path
from typing import Any

from connectors.arrays import ArrayRecording, is_array
from connectors.columns import text_of
from connectors.compressed import MAGIC, chunk, open_plain, size_of, unpacked
from connectors.formats import READERS, Reader
from connectors.heard import HeardReader, Origin
from connectors.lines import LINE_LIMIT, LineSplitter
from connectors.parquet import ParquetRecording
from connectors.recognised import BOM, PARQUET, first_lines, recognise
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import DecodeError, Message

log = logging.getLogger("streamlnn.recordings")


def open_recording(path: str | Path, format: str = "auto") -> Any:  # noqa: A002
    """Return the `Recording` of a file, or what reads Parquet or an array in its place.

    Raises `InputUnavailable`, with the way out.
    """
    with open_plain(str(path)) as plain:
        is_parquet = plain.read(MAGIC) == PARQUET
    if format == "parquet" or (format == "auto" and is_parquet):
        return ParquetRecording(path)
    if format == "json" or (format == "auto" and is_array(str(path))):
        return ArrayRecording(path)
    return Recording(path, format)


class Recording:
    """One recording, opened and recognised.

    `format` is one of `recognised.FORMATS`, `codec` the name of the codec that reads its payloads.
    `has_topics` tells that the origin of a message is its topic, and that messages carry the
    time at which they were received; else the origin is the file's path. `sources` are those of a
    recording of ours, by id. `dropped` counts the lines that could not be read; `size` is the bytes
    in it after decompression, None if unknown; `times` the columns that can be nothing else.

    Raises `InputUnavailable`, with the way out.
    """

    def __init__(self, path: str | Path, format: str = "auto") -> None:  # noqa: A002
        self.path = str(path)
        self.dropped = 0
        self.times: tuple[str, ...] = ()
        self._tells = True
        self.size = size_of(self.path)
        self._head = first_lines(self.path)
        self.format = recognise(self.path, self._head) if format == "auto" else format
        reader = self._reader()
        self.codec = reader.codec
        self.has_topics = reader.has_topics
        self.sources = self._sources(reader) if isinstance(reader, HeardReader) else {}

    def entries(self, offset: int = 0) -> Generator[tuple[Message, int]]:
        """Yield each message with the offset behind it, from which reading can go on.

        Offsets count bytes after decompression. A last line without its newline is given only if
        it is whole: a recording may have been cut off at any byte.
        """
        reader = self._reader()
        splitter = LineSplitter(offset, getattr(reader, "limit", LINE_LIMIT))
        lines = _lines(self.path, splitter)
        if offset == 0:
            lines = islice(lines, reader.preamble, None)
        for line, end in lines:
            yield from self._read(reader, line, end)
        if splitter.dropped:
            self._drop(f"a line of more than {splitter.limit} bytes", splitter.dropped)
        yield from self._last(reader, splitter)

    def glance(self) -> Iterator[Message]:
        """Yield each message to look ahead: what cannot be read is neither counted nor told."""
        silent = copy(self)
        silent._tells = False
        return (message for message, _ in silent.entries())

    def _sources(self, reader: HeardReader) -> dict[str, Origin]:
        """Look through the whole recording: which tables read a message depends on its source."""
        found: dict[str, Origin] = {}
        splitter = LineSplitter(limit=reader.limit)
        for line, _ in _lines(self.path, splitter):
            with suppress(ValueError):
                found.update([reader.origin(line)])
        if reader.is_whole(splitter.rest):
            found.update([reader.origin(splitter.rest)])
        return found

    def _last(self, reader: Reader, splitter: LineSplitter) -> Iterator[tuple[Message, int]]:
        rest = splitter.rest.removesuffix(b"\r")
        if rest.strip() and reader.is_whole(rest):
            yield from self._read(reader, rest, splitter.end)
            return
        if reader.waiting:
            self._drop("a quote is never closed", reader.waiting)
        if rest.strip():
            self._drop(f"the last line is cut off: {text_of(rest[:60])!r}", 1, splitter.end)

    def _read(self, reader: Reader, line: bytes, end: int) -> Iterator[tuple[Message, int]]:
        lines = reader.waiting + 1
        try:
            message = reader.read(line)
        except ValueError as error:
            self._drop(str(DecodeError(str(error), line)), lines, end)
            return
        if message is not None:
            yield message, end

    def _drop(self, reason: str, count: int, end: int | None = None) -> None:
        if self._tells and not self.dropped:
            where = self.path if end is None else f"{self.path}:{_number_of(self.path, end)}"
            log.warning("%s: left out, as any more like it: %s", where, reason)
        self.dropped += count

    def _reader(self) -> Reader:
        try:
            return READERS[self.format](self.path, self._head)
        except ValueError:
            raise InputUnavailable(
                f"{self.path} is not a recording of the format {self.format!r}: "
                "leave the format out to have it recognised"
            ) from None


def _lines(path: str, splitter: LineSplitter) -> Iterator[tuple[bytes, int]]:
    with unpacked(path, splitter.offset) as stream:
        while some := chunk(path, stream):
            for line, end in splitter.split(some):
                # Loggers on Windows put the mark in front, and files get joined.
                yield line.removeprefix(BOM), end


def _number_of(path: str, end: int) -> int:
    """Return the number of the line that ends `end` bytes into the file, from 1 on."""
    newlines, at, last = 0, 0, b""
    with unpacked(path) as stream:
        while at < end and (some := chunk(path, stream)):
            last = some[: end - at]
            newlines, at = newlines + last.count(b"\n"), at + len(last)
    return newlines if last.endswith(b"\n") else newlines + 1
