"""Where a recording tells its time, and how: found by looking ahead, or asked for by an option."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from invoked import run, told
from pyarrow import parquet

BEGIN = datetime(2026, 3, 1, tzinfo=UTC)


def table(path: Path, header: str, write: Callable[[datetime], str], rows: int = 48) -> Path:
    """One row an hour, from the first of March on."""
    lines = [write(BEGIN + timedelta(hours=n)) for n in range(rows)]
    path.write_text("\n".join([header, *lines, ""]))
    return path


def spans(path: Path, *options: object) -> tuple[str, str, int, int]:
    """First and last moment, records and what was not read."""
    found = told("info", path, *options)
    [stream] = found["streams"]
    return stream["first"], stream["last"], stream["records"], found["unread"]


def by_day(moment: datetime) -> str:
    return f"{moment:%d/%m/%Y %H:%M},{moment.hour}.5"


def test_the_first_day_past_the_12th_tells_that_the_day_comes_first(tmp_path: Path) -> None:
    path = table(tmp_path / "loft.csv", "time,temp", by_day, rows=37 * 24)
    assert spans(path) == ("2026-03-01T00:00:00Z", "2026-04-06T23:00:00Z", 37 * 24, 0)


def test_the_first_day_past_the_12th_tells_that_the_month_comes_first(tmp_path: Path) -> None:
    path = table(tmp_path / "loft.csv", "time,temp", lambda at: f"{at:%m/%d/%Y %H:%M},1.5", 320)
    assert spans(path) == ("2026-03-01T00:00:00Z", "2026-03-14T07:00:00Z", 320, 0)


@pytest.mark.parametrize("command", [["info"], ["replay"], ["eval"]])
def test_dates_of_two_meanings_are_refused_until_the_format_is_named(
    tmp_path: Path, command: list[str]
) -> None:
    path = table(tmp_path / "loft.csv", "time,temp", by_day)
    said = run(*command, path, code=69).stderr
    assert "'01/03/2026 00:00' may begin with the day or the month" in said
    assert "--time-format '%d/%m/%Y %H:%M' or '%m/%d/%Y %H:%M'" in said
    first, last, *_ = spans(path, "--time-format", "%d/%m/%Y %H:%M")
    assert (first, last) == ("2026-03-01T00:00:00Z", "2026-03-02T23:00:00Z")


def test_dates_that_mean_the_same_either_way_are_read(tmp_path: Path) -> None:
    path = tmp_path / "loft.csv"
    path.write_text("time,temp\n03/03/2026 10:00,1\n03/03/2026 11:00,2\n")
    assert spans(path) == ("2026-03-03T10:00:00Z", "2026-03-03T11:00:00Z", 2, 0)


@pytest.mark.parametrize("command", ["info", "replay", "eval"])
def test_a_thirteenth_month_stops_what_goes_wrong(tmp_path: Path, command: str) -> None:
    path = tmp_path / "loft.csv"
    path.write_text("time,temp\n03/13/2026 10:00,1\n04/14/2026 10:00,2\n14/04/2026 10:00,3\n")
    said = run(command, path, code=69).stderr
    assert "no month 14 in '14/04/2026 10:00'" in said


@pytest.mark.parametrize(
    ("header", "write"),
    [
        ("created_at,temp", lambda at: f"{at:%Y-%m-%d %H:%M:%S} UTC,1.5"),
        ("Zeit;temp", lambda at: f"{at:%d.%m.%Y %H:%M};1,5"),
        ("last_changed,temp", lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.000Z,1.5"),
        ("when,temp", lambda at: f"{at:%Y-%m-%d %H:%M},1.5"),
        ("sensor,when,temp", lambda at: f"a7,{at:%Y-%m-%d %H:%M},1.5"),
        ("Date,Time,temp", lambda at: f"{at:%Y-%m-%d},{at:%H:%M:%S},1.5"),
        ("temp,Datum,Uhrzeit", lambda at: f"1.5,{at:%d.%m.%Y},{at:%H:%M}"),
        ("Time,temp,Date", lambda at: f"{at:%Y-%m-%dT%H:%M:%S}Z,1.5,{BEGIN:%Y-%m-%d}"),
    ],
)
def test_the_column_with_the_time_is_found(
    tmp_path: Path, header: str, write: Callable[[datetime], str]
) -> None:
    path = table(tmp_path / "loft.csv", header, write)
    assert spans(path) == ("2026-03-01T00:00:00Z", "2026-03-02T23:00:00Z", 48, 0)
    [stream] = told("info", path)["streams"]
    assert [field["name"] for field in stream["fields"]] == ["temp"]


def test_a_date_and_a_time_in_two_columns_are_ordered_like_one(tmp_path: Path) -> None:
    path = table(
        tmp_path / "loft.csv", "Date,Time,temp", lambda at: f"{at:%d/%m/%Y},{at:%H:%M},1", 14 * 24
    )
    assert spans(path) == ("2026-03-01T00:00:00Z", "2026-03-14T23:00:00Z", 14 * 24, 0)


def test_a_column_of_parquet_that_is_typed_as_a_moment_is_the_time(tmp_path: Path) -> None:
    moments = [BEGIN + timedelta(hours=n) for n in range(48)]
    path = tmp_path / "loft.parquet"
    columns = {"n": [*range(48)], "t": pa.array(moments, pa.timestamp("ms", "UTC"))}
    parquet.write_table(pa.table(columns), path)
    assert spans(path) == ("2026-03-01T00:00:00Z", "2026-03-02T23:00:00Z", 48, 0)


@pytest.mark.parametrize("option", ["--time", "--time-column"])
def test_the_column_can_be_named(tmp_path: Path, option: str) -> None:
    path = table(tmp_path / "loft.csv", "t,temp", lambda at: f"{at.timestamp() * 1e3:.0f},1.5")
    found = spans(path, option, "t", "--time-format", "unix_ms")
    assert found == ("2026-03-01T00:00:00Z", "2026-03-02T23:00:00Z", 48, 0)
    said = run("info", path, option, "u", code=0).output
    assert "no time at 'u'" in said


def test_replay_and_eval_take_the_named_column(tmp_path: Path) -> None:
    path = table(tmp_path / "loft.csv", "t,temp", lambda at: f"{at.timestamp():.0f},{at.hour}.5")
    [first, *_] = run("replay", path, "--time-column", "t").stdout.splitlines()
    assert "2026-03-01T00:00:00Z" in first
    [row] = told("eval", path, "--time", "t", "--skip", 10, "--horizons", 1)
    assert row["target"] == "temp"


@pytest.mark.parametrize("command", ["info", "replay", "eval"])
def test_a_configuration_tells_the_time_itself(tmp_path: Path, command: str) -> None:
    path, config = table(tmp_path / "l.csv", "t,temp", by_day), tmp_path / "f.toml"
    config.write_text("[[stream]]\n")
    said = run(command, path, "--config", config, "--time-column", "t", code=2).stderr
    assert "time = { path = ..., format = ... }" in said


def test_a_wrong_format_is_told_with_those_there_are(tmp_path: Path) -> None:
    path = table(tmp_path / "loft.csv", "t,temp", by_day)
    assert "take one of auto, unix" in run("info", path, "--time-format", "ms", code=2).stderr


def test_that_no_time_was_found_is_said_once_and_with_the_way_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "loft.csv"
    path.write_text("name,temp\n" + "words,none yet\n" * 50 + "a,1.5\n" * 50)
    run("info", path, "--format", "csv")
    assert caplog.text.count("no time found") == 1
    assert "--time-column" in caplog.text
    caplog.clear()
    path.write_text("name,temp\n" + "words,none yet\n" * 50)
    run("info", path, "--format", "csv")
    assert "no time found" not in caplog.text
