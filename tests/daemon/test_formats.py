"""Recordings of other tools through the commands: which streams they give, and what is told."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from invoked import run, told
from pyarrow import parquet

START = 1_700_000_000


def line(n: int, host: str, unit: int = 10**9) -> str:
    return f'cpu,host={host},cpu=all usage={math.sin(n / 5)},n={n}i,state="ok" {(START + n) * unit}'


@pytest.mark.parametrize("unit", [1, 10**3, 10**6, 10**9])
def test_every_series_of_line_protocol_is_a_stream(tmp_path: Path, unit: int) -> None:
    path = tmp_path / "export.lp"
    path.write_text("\n".join(["# told", *(line(n, h, unit) for n in range(9) for h in "ab"), ""]))
    found = told("info", path)
    assert (found["format"], found["messages"], found["unread"]) == ("influx", 18, 0)
    assert [one["stream"] for one in found["streams"]] == [
        "cpu/cpu=all/host=a",
        "cpu/cpu=all/host=b",
    ]
    for stream in found["streams"]:
        assert (stream["first"], stream["usual_step_secs"]) == ("2023-11-14T22:13:20Z", 1.0)
        assert [field["name"] for field in stream["fields"]] == ["usage", "n"]


def test_what_was_recorded_of_telegraf_is_known_by_its_series_too(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    heard = [
        {
            "source": "plant",
            "topic": f"telegraf/{host}/cpu",
            "received": "2026-01-01T00:00:00Z",
            "payload": line(n, host),
            "codec": "influx",
        }
        for n in range(3)
        for host in "ab"
    ]
    path.write_text("".join(json.dumps(one) + "\n" for one in heard))
    found = told("info", path)
    assert [one["stream"] for one in found["streams"]] == [
        "cpu/cpu=all/host=a",
        "cpu/cpu=all/host=b",
    ]
    assert {one["first"] for one in found["streams"]} == {"2023-11-14T22:13:20Z"}


def test_live_payloads_of_line_protocol_are_read_as_configured(tmp_path: Path) -> None:
    config, sample = tmp_path / "f.toml", tmp_path / "payload"
    config.write_text(
        '[[source]]\nkind = "mqtt"\nid = "plant"\nurl = "mqtt://localhost"\nformat = "influx"\n'
        '[[stream]]\nfrom = "plant"\ntopic = "telegraf/#"\nid = "{topic}/{_series}"\n'
        'fields = { load = "usage" }\ntime = { path = "time" }\n'
    )
    sample.write_text(line(5, "a"))
    [read] = told("check", config, "--sample", sample, "--topic", "telegraf/a/cpu")["sample"]
    assert (read["stream"], read["time"]) == (
        "telegraf/a/cpu/cpu/cpu=all/host=a",
        "2023-11-14T22:13:25Z",
    )
    assert read["values"] == {"load": math.sin(1)}


def test_parquet_is_scored_like_csv(tmp_path: Path) -> None:
    values = [10 + math.sin(n / 5) for n in range(300)]
    stamps = pa.array([(START + n) * 10**6 for n in range(300)], pa.timestamp("us", "UTC"))
    folders = tmp_path / "a", tmp_path / "b"
    for folder in folders:
        folder.mkdir()
    columns = {"time": stamps, "flow": values}
    parquet.write_table(pa.table(columns), folders[0] / "pump.parquet")
    rows = [f"{START + n},{value!r}" for n, value in enumerate(values)]
    (folders[1] / "pump.csv").write_text("\n".join(["time,flow", *rows, ""]))
    scores = [
        told("eval", path, "--skip", 100, "--horizons", "1,12")
        for path in (folders[0] / "pump.parquet", folders[1] / "pump.csv")
    ]
    assert scores[0] == scores[1]
    assert {row["n"] for row in scores[0]} == {200}


def test_a_window_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv.zst"
    wide = zstandard.ZstdCompressionParameters(window_log=31, enable_ldm=True)
    packed = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    path.write_bytes(packed.compress(b"a,b\n" + b"1,2\n" * 99) + packed.flush())
    assert "a window of more than 128 MiB" in run("info", path, code=69).output


def test_an_unknown_format_is_told_with_those_there_are_and_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv"
    path.write_text("a,b\n1,2\n")
    said = run("info", path, "--format", "inflx", code=2).output
    assert "mosquitto" in said
    assert "did you mean 'influx'?" in said
    (tmp_path / "words").write_text("this is\nno recording\n")
    said = run("info", tmp_path / "words", code=69).output
    assert "of one of the formats streamlnn, mqtt-recorder, mosquitto, jsonl, influx" in said


def test_the_first_record_that_cannot_be_read_is_told_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "export.lp"
    lines = [line(n, "a") for n in range(60)]
    lines[40] = "cpu,host=a usage=much 17"
    path.write_text("\n".join([*lines, ""]))
    said = run("eval", path, "--skip", 0, "--horizons", 1).stderr
    assert "the first one because: message 41: no line protocol: field 'usage' is 'much'" in said
