"""`eval` scores the records that the daemon would take, and tells what it leaves out and why."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from invoked import run, told

START = 1_700_000_000


def written(path: Path, rows: list[str], heads: str = "time,v") -> Path:
    path.write_text("\n".join([heads, *rows, ""]))
    return path


def waves(n: int = 120) -> list[str]:
    return [f"{START + 60 * i},{math.sin(i / 9):.4f}" for i in range(n)]


def taken_by_replay(recording: Path, folder: Path) -> int:
    out = folder / "forecasts.jsonl"
    run("replay", recording, "-o", out)
    return out.read_bytes().count(b"\n")


@pytest.mark.parametrize("back", [3, 30])
def test_records_that_replay_drops_are_not_scored(tmp_path: Path, back: int) -> None:
    """Repeats, values at a time that was there, late ones, and a clock that is set back."""
    rows = waves()
    late = [f"{START + 60 * i + 7},0.5" for i in range(40, 40 + back, 2)]
    recording = written(
        tmp_path / "p.csv", [*rows[:90], *rows[80:90], f"{START + 60 * 85},9.5", *late, *rows[90:]]
    )
    result = run("eval", recording, "--skip", "40", "--horizons", "1", "--json")
    (row,) = json.loads(result.stdout)
    assert row["n"] == taken_by_replay(recording, tmp_path) - 40
    assert "left out: 11 at a time that was there (10 of them repeats)" in result.stderr
    assert ("too late" in result.stderr) == (back == 3 or "4 too late" in result.stderr)


def test_what_is_in_order_is_scored_whole_and_without_a_word(tmp_path: Path) -> None:
    result = run("eval", written(tmp_path / "p.csv", waves()), "--skip", "40", "--horizons", "1")
    assert "left out" not in result.stderr
    assert " 80 " in result.stdout


def test_several_sensors_in_one_file_are_told_with_the_column_that_names_them(
    tmp_path: Path,
) -> None:
    rows = [
        f"{START + 60 * i},{name},good,{k + math.sin(i):.4f}"
        for i in range(60)
        for k, name in enumerate(("north", "south", "roof"))
    ]
    recording = written(tmp_path / "house.csv", rows, "time,sensor,quality,value")
    result = run("eval", recording, "--skip", "40", "--horizons", "1")
    assert "left out: 120 at a time that was there" in result.stderr
    assert "house: looks like several sensors in one file, told apart by 'sensor'" in result.stderr
    assert '[[stream]] id = "{sensor}"' in result.stderr
    config = tmp_path / "f.toml"
    config.write_text(
        '[[stream]]\nid = "{sensor}"\nfields = { value = "value" }\nhorizons = [1]\n'
        'time = { path = "time" }\n'
    )
    rows_now = told("eval", recording, "--config", config, "--skip", "40")
    assert [(one["stream"], one["n"]) for one in rows_now] == [
        (name, 20) for name in ("north", "south", "roof")
    ]


def test_most_clash_and_nothing_tells_them_apart(tmp_path: Path) -> None:
    rows = [f"{START + 60 * (i // 4)},{math.sin(i):.4f}" for i in range(240)]
    result = run("eval", written(tmp_path / "p.csv", rows), "--skip", "40", "--horizons", "1")
    assert "p: most records were left out: is this one stream" in result.stderr


def test_the_newest_first_is_told_to_be_reversed(tmp_path: Path) -> None:
    recording = written(tmp_path / "p.csv", waves()[::-1])
    result = run("eval", recording, "--skip", "40", "--horizons", "1", code=69)
    assert "left out: 119 too late" in result.stderr
    assert "p: its times fall from record to record, the newest is first: reverse" in result.stderr
