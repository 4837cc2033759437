"""Parquet: rows as lines of CSV, whatever types and units the columns have."""

from __future__ import annotations

import gzip
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from connectors.codecs import CsvCodec
from connectors.parquet import ROWS, ParquetRecording
from connectors.recordings import open_recording
from connectors.replay import ReplaySettings, ReplaySource
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import Context, Source
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import FoundTime, Reading, StreamMap
from streamlnn.pipeline.testing import ResumableSourceSuite

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
BEGIN_NS = 1_767_225_600 * 10**9


def written(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    parquet.write_table(pa.table(columns), path, **options)
    return path


def readings(path: Path) -> list[Reading]:
    streams = StreamMap([StreamSettings()], CsvCodec(), found=FoundTime())
    return [
        reading
        for message, _ in open_recording(path).entries()
        for reading in streams.read(message)
    ]


class TestParquetReplaySource(ResumableSourceSuite):
    @pytest.fixture(autouse=True)
    def recording(self, tmp_path: Path) -> None:
        values = {"v": list(range(2 * ROWS))}
        self.path = written(tmp_path / "r.parquet", values, row_group_size=1500)

    def make(self) -> Source:
        return ReplaySource(ReplaySettings(path=str(self.path)), Context())

    def expected(self) -> list[bytes]:
        return [b"%d" % number for number in range(2 * ROWS)]


@pytest.mark.parametrize("zone", [None, "UTC", "Asia/Kolkata", "Nowhere/AtAll"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_of_any_unit_and_zone_are_read(tmp_path: Path, unit: str, zone: str | None) -> None:
    """A zone tells how a moment is shown; without one it is UTC, as in CSV."""
    times = [BEGIN + timedelta(minutes=n) for n in range(3)]
    plain = times if zone else [time.replace(tzinfo=None) for time in times]
    columns = {"Date": pa.array(plain, pa.timestamp(unit, zone)), "flow": [1.5, None, 2.5]}
    read = readings(written(tmp_path / "pump.parquet", columns))
    assert [one.time for one in read] == [BEGIN_NS + n * 60 * 10**9 for n in range(3)]
    assert [one.values[0] for one in read][::2] == [1.5, 2.5]
    assert read[1].values[0] != read[1].values[0]


def test_columns_of_many_types_are_numbers(tmp_path: Path) -> None:
    """Also where the first row has none; texts are no numbers, not even the missing ones."""
    columns = {
        "time": [date(2026, 1, 1), date(2026, 1, 2)],
        "i": pa.array([None, 7], pa.int16()),
        "f": pa.array([None, 0.5], pa.float16()),
        "b": [None, True],
        "d": [None, Decimal("1.25")],
        "u": pa.array([None, 2**53], pa.uint64()),
        "device": pa.array([None, 'a "b",\nc']).dictionary_encode(),
        "nested": [{"x": 1}, {"x": 2}],
        "raw": [b"1", b"2"],
    }
    first, second = readings(written(tmp_path / "pump.parquet", columns))
    assert first.layout.names == ("i", "f", "b", "d", "u")
    assert second.values.tolist() == [7.0, 0.5, 1.0, 1.25, 2.0**53]
    assert second.time == BEGIN_NS + 86_400 * 10**9


def test_the_index_of_pandas_is_the_time(tmp_path: Path) -> None:
    """It has a name that nobody gave it."""
    columns = {"flow": [1.0], "__index_level_0__": pa.array([BEGIN], pa.timestamp("us", "UTC"))}
    [read] = readings(written(tmp_path / "pump.parquet", columns))
    assert (read.time, read.layout.names) == (BEGIN_NS, ("flow",))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: data[:-100], "is no Parquet file, or damaged"),
        (lambda data: data[:8], "is no Parquet file, or damaged"),
        (lambda data: data[:50] + bytes(900) + data[950:], "is no Parquet file, or damaged"),
        (gzip.compress, "compressed once more"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, change: Any, reason: str) -> None:
    """At the start or where it is damaged, by name and reason."""
    path = written(tmp_path / "pump.parquet", {"v": [n * 0.1 for n in range(1000)]})
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InputUnavailable, match=reason) as caught:
        list(open_recording(path).entries())
    assert str(path) in str(caught.value)


def test_a_text_is_no_parquet_whatever_it_is_called(tmp_path: Path) -> None:
    """A name decides nothing; a named format is taken at its word."""
    path = tmp_path / "pump.parquet"
    path.write_bytes(b"a,b\n1,2\n")
    assert open_recording(path).format == "csv"
    with pytest.raises(InputUnavailable, match="is no Parquet file"):
        open_recording(path, "parquet")


def test_a_file_of_nothing_to_read_is_told(tmp_path: Path) -> None:
    """Nested columns are not looked into."""
    path = written(tmp_path / "pump.parquet", {"nested": [[1], [2]]})
    with pytest.raises(InputUnavailable, match="no column of numbers"):
        ParquetRecording(path)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is large, and few need it."""
    path = written(tmp_path / "pump.parquet", {"v": [1.0]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputUnavailable, match=r"pip install 'streamlnn\[parquet\]'"):
        open_recording(path)
