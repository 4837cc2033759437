"""Recordings on disk, recognised by looking at them and read message by message.

Read are what `streamlnn record` wrote, `mqtt-recorder` CSV, lines of `mosquitto_sub -F %j` or `%J`,
JSON lines, and plain CSV in its many forms; each also gzip- or zstd-compressed.
"""

from __future__ import annotations

import gzip
import logging
import os
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, Literal, cast, get_args

from connectors.columns import columns_of, sniff, split, text_of
from connectors.formats import READERS, Reader, is_json, is_mosquitto_line, is_recorder_header
from connectors.heard import HeardReader, Origin, is_heard
from connectors.lines import CHUNK, LINE_LIMIT, LineSplitter
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import DecodeError, Message

log = logging.getLogger("streamlnn.recordings")

Format = Literal["auto", "streamlnn", "mqtt-recorder", "mosquitto", "jsonl", "csv"]
FORMATS: tuple[str, ...] = get_args(Format)

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOM = b"\xef\xbb\xbf"
_WAY_OUT = f"recordings are text, of one of the formats {', '.join(FORMATS[1:])}"
_UTF16 = "is UTF-16 text: convert it, for instance with iconv -f UTF-16 -t UTF-8"
_FOREIGN = {
    b"PAR1": "is a Parquet file, which is not read yet: write it as CSV or JSON lines",
    b"SQLite format 3": "is an SQLite database, no recording of messages",
    b"\xff\xfe": _UTF16,
    b"\xfe\xff": _UTF16,
}
_INFLUX = re.compile(rb"[^\s,]+(,[^\s,=]+=[^\s,]+)*\s[^\s=]+=\S+(\s-?\d+)?")


class Recording:
    """One recording, opened and recognised.

    `format` is one of `FORMATS`, `codec` the name of the codec that reads its payloads.
    `has_topics` tells that the origin of a message is its topic, and that messages carry the
    time at which they were received; else the origin is the file's path. `sources` are those of a
    recording of ours, by id. `dropped` counts the lines that could not be read; `size` is the bytes
    in it after decompression, None if unknown.

    Raises `InputUnavailable`, with the way out.
    """

    def __init__(self, path: str | Path, format: str = "auto") -> None:  # noqa: A002
        self.path = str(path)
        self.dropped = 0
        self.size = _size(self.path)
        self._head = _head(self.path)
        self.format = _recognise(self.path, self._head) if format == "auto" else format
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
        if reader.has_header and offset == 0:
            next(lines, None)
        for line, end in lines:
            yield from self._read(reader, line, end)
        if splitter.dropped:
            self._drop(f"a line of more than {splitter.limit} bytes", splitter.dropped)
        yield from self._last(reader, splitter)

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
            self._drop(f"the last line is cut off: {rest[:60]!r}")

    def _read(self, reader: Reader, line: bytes, end: int) -> Iterator[tuple[Message, int]]:
        lines = reader.waiting + 1
        try:
            message = reader.read(line)
        except ValueError as error:
            self._drop(str(DecodeError(str(error), line)), lines)
            return
        if message is not None:
            yield message, end

    def _drop(self, reason: str, count: int = 1) -> None:
        if not self.dropped:
            log.warning("%s: left out, as any more like it: %s", self.path, reason)
        self.dropped += count

    def _reader(self) -> Reader:
        try:
            return READERS[self.format](self.path, self._head)
        except ValueError:
            raise InputUnavailable(
                f"{self.path} is not a recording of the format {self.format!r}: "
                "leave the format out to have it recognised"
            ) from None


def _size(path: str) -> int | None:
    """Return the size as the offsets count; gzip tells it in its last four bytes."""
    try:
        with Path(path).open("rb") as stream:
            magic = stream.read(4)
            size = stream.seek(0, os.SEEK_END)
            if magic == _ZSTD:
                return None
            if not magic.startswith(_GZIP) or size < 4:
                return size
            stream.seek(-4, os.SEEK_END)
            return int.from_bytes(stream.read(4), "little")
    except OSError:
        return None


def _lines(path: str, splitter: LineSplitter) -> Iterator[tuple[bytes, int]]:
    with _open(path) as stream:
        _seek(path, stream, splitter.offset)
        while chunk := _chunk(path, stream):
            for line, end in splitter.split(chunk):
                # Loggers on Windows put the mark in front, and files get joined.
                yield line.removeprefix(_BOM), end


def _head(path: str) -> list[bytes]:
    """Return the first two lines, fewer of a shorter file, after looking for what is no text."""
    with _open(path) as stream:
        splitter, chunk = LineSplitter(), _chunk(path, stream)
        _refuse_foreign(path, chunk)
        found: list[bytes] = []
        while chunk and len(found) < 2:
            found += [line for line, _ in splitter.split(chunk)]
            chunk = _chunk(path, stream)
    found += [splitter.rest] if splitter.rest.strip() else []
    if not found:
        raise InputUnavailable(f"{path} is empty: there is nothing to read in it")
    return [found[0].removeprefix(_BOM), *found[1:2]]


def _refuse_foreign(path: str, chunk: bytes) -> None:
    for magic, reason in _FOREIGN.items():
        if chunk.startswith(magic):
            raise InputUnavailable(f"{path} {reason}")
    if b"\0" in chunk:
        raise InputUnavailable(f"{path} is no text: {chunk[:16]!r}...; {_WAY_OUT}")


def _recognise(path: str, head: list[bytes]) -> str:
    first = head[0].lstrip()
    if first.startswith((b"{", b"[")):
        return _recognise_json(path, first)
    if is_recorder_header(first):
        return "mqtt-recorder"
    if _INFLUX.fullmatch(first):
        raise InputUnavailable(
            f"{path} looks like InfluxDB line protocol, which is not read yet: "
            "write it as CSV or JSON lines"
        )
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


@contextmanager
def _open(path: str) -> Iterator[BinaryIO]:
    with _open_plain(path) as plain:
        magic = plain.read(4)
        plain.seek(0)
        if magic.startswith(_GZIP):
            with gzip.GzipFile(fileobj=plain) as stream:
                yield cast(BinaryIO, stream)
        elif magic == _ZSTD:
            with _unzstd(path, plain) as stream:
                yield stream
        else:
            yield plain


def _open_plain(path: str) -> BinaryIO:
    try:
        plain = Path(path).open("rb")  # noqa: SIM115 - the caller closes it
    except OSError as error:
        raise InputUnavailable(
            f"{path}: {error.strerror}: give the path of a recording that can be read"
        ) from None
    if plain.seekable():
        return plain
    plain.close()
    raise InputUnavailable(f"{path} is a pipe: save it to a file, or use the source stdin")


def _unzstd(path: str, plain: BinaryIO) -> BinaryIO:
    try:
        import zstandard
    except ModuleNotFoundError:
        raise InputUnavailable(
            f'{path} is zstd-compressed: pip install "streamlnn[zstd]", or decompress it'
        ) from None
    reader = zstandard.ZstdDecompressor().stream_reader(plain, read_across_frames=True)
    return cast(BinaryIO, reader)


def _seek(path: str, stream: BinaryIO, offset: int) -> None:
    try:
        stream.seek(offset)
    except (OSError, EOFError, zlib.error) as error:
        raise InputUnavailable(
            f"{path} ends before byte {offset}, where we were: {error}"
        ) from None


def _chunk(path: str, stream: BinaryIO) -> bytes:
    try:
        return cast(BufferedReader, stream).read1(CHUNK)
    except EOFError:
        log.warning("%s: its compressed data are cut off; what was before is used", path)
        return b""
    except Exception as error:
        if isinstance(error, zlib.error | OSError) or type(error).__name__ == "ZstdError":
            raise InputUnavailable(f"{path} is damaged: {error}; {_WAY_OUT}") from None
        raise
