"""Parquet files as recordings: each row is a line of CSV, made and not written.

So a row means what it would mean in CSV, and what finds times and numbers there finds them here.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from connectors.heard import Origin
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import Message

log = logging.getLogger("streamlnn.recordings")

ROWS = 4096
"""How many rows are unpacked at once."""

_PANDAS_INDEX = "__index_level_0__"
_NO_TEXT = "-"
"""Stands for a text that is missing or empty: an empty cell would be taken for a missing number."""


class ParquetRecording:
    """A Parquet file in the place of a `Recording`; its offsets are numbers of rows.

    Columns of numbers, truths, times and texts are read. Raises `InputUnavailable` for a file that
    is none, and when pyarrow is not installed.
    """

    format = "parquet"
    codec = "csv"
    has_topics = False
    dropped = 0

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self.sources: dict[str, Origin] = {}
        self._arrow = _pyarrow(self.path)
        with self._opened() as file:
            self.size = int(file.metadata.num_rows)
            self._names = self._readable(file.schema_arrow)
            self.times = self._moments(file.schema_arrow)

    def entries(self, offset: int = 0) -> Generator[tuple[Message, int]]:
        """Yield each row as a message, with the number of rows up to its end."""
        columns = tuple(self._names.values())
        for line in self._unharmed(self._lines(offset)):
            offset += 1
            yield Message(self.path, line, None, columns), offset

    def glance(self) -> Iterator[Message]:
        """Yield each row to look ahead."""
        return (message for message, _ in self.entries())

    def _lines(self, offset: int) -> Iterator[bytes]:
        with self._opened() as file:
            groups, passed = _behind(file.metadata, offset)
            left_out = offset - passed
            batches = file.iter_batches(ROWS, row_groups=groups, columns=list(self._names))
            for batch in batches:
                lines = self._csv(batch)[left_out:]
                left_out = max(0, left_out - batch.num_rows)
                yield from lines

    def _csv(self, batch: Any) -> list[bytes]:
        from pyarrow import csv

        plain = [_plain(self._arrow, batch.column(name)) for name in self._names]
        made = self._arrow.RecordBatch.from_arrays(plain, [str(at) for at in range(len(plain))])
        buffer = BytesIO()
        csv.write_csv(made, buffer, csv.WriteOptions(include_header=False))
        return buffer.getvalue().split(b"\n")[:-1]

    def _unharmed(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from lines
        except (self._arrow.ArrowException, OSError, MemoryError) as error:
            raise self._damaged(error) from None

    def _opened(self) -> Any:
        from pyarrow import parquet

        try:
            return parquet.ParquetFile(self.path, pre_buffer=False)
        except (self._arrow.ArrowException, OSError, MemoryError) as error:
            raise self._damaged(error) from None

    def _readable(self, schema: Any) -> dict[str, str]:
        """Return the columns that are read, and what each is called."""
        types = self._arrow.types
        found = {field.name: field.name for field in schema if _is_readable(types, field.type)}
        others = [field.name for field in schema if field.name not in found]
        if not found:
            raise InputUnavailable(f"{self.path} has no column of numbers, times or texts")
        if others:
            log.warning("%s: columns left out, as nested or binary: %s", self.path, _some(others))
        if _PANDAS_INDEX in found and types.is_timestamp(schema.field(_PANDAS_INDEX).type):
            found[_PANDAS_INDEX] = "time"
        return found

    def _moments(self, schema: Any) -> tuple[str, ...]:
        """Return the names of the columns whose type is a moment."""
        is_moment = self._arrow.types.is_timestamp
        return tuple(name for at, name in self._names.items() if is_moment(schema.field(at).type))

    def _damaged(self, error: Exception) -> InputUnavailable:
        said = " ".join(str(error).split())[:200]
        return InputUnavailable(f"{self.path} is no Parquet file, or damaged: {said}")


def _pyarrow(path: str) -> Any:
    try:
        import pyarrow
    except ModuleNotFoundError:
        raise InputUnavailable(
            f"{path} is a Parquet file: pip install 'streamlnn[parquet]', or write it as CSV"
        ) from None
    return pyarrow


def _behind(metadata: Any, offset: int) -> tuple[list[int], int]:
    """Return the row groups that go beyond `offset` rows, and how many rows are before them."""
    passed, first = 0, 0
    while first < metadata.num_row_groups:
        rows = metadata.row_group(first).num_rows
        if passed + rows > offset:
            break
        passed, first = passed + rows, first + 1
    return list(range(first, metadata.num_row_groups)), passed


def _is_readable(types: Any, kind: Any) -> bool:
    if types.is_dictionary(kind):
        kind = kind.value_type
    number = types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind)
    time = types.is_timestamp(kind) or types.is_date(kind)
    return bool(number or time or types.is_boolean(kind) or _is_text(types, kind))


def _is_text(types: Any, kind: Any) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _plain(arrow: Any, column: Any) -> Any:
    """Return a column as CSV can be written of it."""
    if arrow.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if arrow.types.is_decimal(column.type) or arrow.types.is_float16(column.type):
        return column.cast(arrow.float64())
    if _is_text(arrow.types, column.type):
        return _one_line(arrow, column.cast(arrow.string()))
    if arrow.types.is_timestamp(column.type) and column.type.tz:
        return _utc(arrow, column)
    return column


def _utc(arrow: Any, column: Any) -> Any:
    """Return moments as text in UTC: the zone's name may be known nowhere, or to nobody here."""
    from pyarrow import compute

    moments = column.cast(arrow.timestamp(column.type.unit)).cast(arrow.string())
    return compute.binary_join_element_wise(moments, "Z", "")


def _one_line(arrow: Any, column: Any) -> Any:
    from pyarrow import compute

    column = compute.replace_substring_regex(column, r"[\x00\r\n]+", " ")
    missing = compute.equal(column, "")
    return compute.fill_null(compute.if_else(missing, arrow.scalar(_NO_TEXT), column), _NO_TEXT)


def _some(names: list[str]) -> str:
    more = ", ..." if len(names) > 5 else ""
    return f"{', '.join(names[:5])[:200]}{more}"
