"""A recording through the same code as live: digests, comparisons, warm starts."""

from __future__ import annotations

import gzip
import json
import math
import os
import re
import sqlite3
from pathlib import Path

import pytest
from daemons import by_identity, digest, streamlnn

from streamlnn.daemon.replay import replay
from streamlnn.pipeline.store import FILE, open_file


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump7.csv.gz"
    rows = [f"{1_700_000_000 + 60 * n},{10 + math.sin(n / 5):.4f}" for n in range(300)]
    path.write_bytes(gzip.compress("\n".join(["time,flow", *rows, ""]).encode()))
    return path


def test_forecasts_go_to_stdout_and_the_digest_to_stderr(recording: Path) -> None:
    done = streamlnn("replay", recording)
    assert done.returncode == 0
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == 300
    assert (told[0]["instance"], told[0]["stream"], told[0]["clock"]) == (
        "replay",
        "pump7",
        "samples",
    )
    assert [item["h"] for item in told[0]["targets"]["flow"]["forecast"]] == [1, 12, 48]
    assert digest(done.stderr)


def test_two_replays_say_the_same_and_expect_confirms_it(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "first.jsonl"
    first = streamlnn("replay", recording, "-o", out)
    second = streamlnn("replay", recording, "-o", tmp_path / "second.jsonl", "--expect", out)
    assert (first.returncode, second.returncode) == (0, 0), second.stderr.decode()
    assert digest(first.stderr) == digest(second.stderr)


def test_events_go_to_a_file_of_their_own_and_change_no_digest(tmp_path: Path) -> None:
    recording, events = tmp_path / "pump.csv", tmp_path / "events.jsonl"
    values = [math.sin(n / 5) + (50 if n == 300 else 0) for n in range(400)]
    recording.write_text("\n".join(["flow", *map(str, values), ""]))
    plain = streamlnn("replay", recording)
    told = streamlnn("replay", recording, "--events", events)
    assert (plain.returncode, told.returncode) == (0, 0), told.stderr.decode()
    assert plain.stdout == told.stdout
    assert digest(plain.stderr) == digest(told.stderr)
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    assert ("anomaly", "start") in {(line["type"], line["phase"]) for line in lines}
    assert b"left out" not in told.stderr
    nowhere = streamlnn("replay", recording, "--events", tmp_path / "none" / "e.jsonl")
    assert nowhere.returncode == 69
    assert b"name another file" in nowhere.stderr


def test_expect_fails_and_shows_the_first_difference(recording: Path, tmp_path: Path) -> None:
    out = tmp_path / "first.jsonl"
    streamlnn("replay", recording, "-o", out)
    lines = out.read_text().splitlines()
    lines[41] = lines[41].replace('"status":"', '"status":"not ')
    out.write_text("\n".join([*lines, ""]))
    done = streamlnn("replay", recording, "--expect", out)
    assert done.returncode == 1
    assert re.search(rb"forecast 42 differs at status: '(\w+)', where 'not \1' was", done.stderr)


def test_expect_notices_what_is_missing_and_what_is_too_much(
    recording: Path, tmp_path: Path
) -> None:
    out = tmp_path / "first.jsonl"
    streamlnn("replay", recording, "-o", out)
    text = out.read_text()
    out.write_text(text + text.splitlines()[-1] + "\n")
    assert (
        b"1 more forecasts were expected" in streamlnn("replay", recording, "--expect", out).stderr
    )
    out.write_text("".join(text.splitlines(keepends=True)[:-1]))
    assert (
        b"forecast 300 and all after it were not expected"
        in streamlnn("replay", recording, "--expect", out).stderr
    )


def test_only_the_records_of_a_time_range_are_replayed(recording: Path) -> None:
    done = streamlnn(
        "replay", recording, "--from", "2023-11-14T22:20:00Z", "--to", "2023-11-14T22:29:20Z"
    )
    times = [json.loads(line)["time"] for line in done.stdout.splitlines()]
    assert times[0] == "2023-11-14T22:20:20Z"
    assert times[-1] == "2023-11-14T22:29:20Z"


def test_state_that_was_learned_from_a_recording_goes_on_warm(
    recording: Path, tmp_path: Path
) -> None:
    """The same file in two halves, the second on top of the first's state, is the whole."""
    rows = gzip.decompress(recording.read_bytes()).splitlines(keepends=True)
    halves = [tmp_path / "a" / "pump7.csv", tmp_path / "b" / "pump7.csv"]
    for half, part in zip(halves, (rows[:150], [rows[0], *rows[150:]]), strict=True):
        half.parent.mkdir()
        half.write_bytes(b"".join(part))
    said = []
    for half in halves:
        done = streamlnn("replay", half, "--into", tmp_path / "store")
        assert done.returncode == 0, done.stderr.decode()
        said += done.stdout.splitlines()
    assert by_identity(said) == by_identity(streamlnn("replay", recording).stdout.splitlines())


def test_a_store_that_there_was_before_may_lose_its_power_at_any_time(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new one is synced at the end only, which is faster; an old one has something to lose."""
    store, opened, synced = tmp_path / "store", list[bool](), list[str]()

    def open_and_note(folder: Path, *, durable: bool, read_only: bool) -> sqlite3.Connection:
        opened.append(durable)
        return open_file(folder, durable=durable, read_only=read_only)

    monkeypatch.setattr("streamlnn.pipeline.journal.open_file", open_and_note)
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
    for until in (1_700_005_000 * 10**9, None):
        output = tmp_path / "forecasts.jsonl"
        assert replay(recording, into=store, until=until, output=output) == 0
    assert opened == [False, True]
    assert synced == [str(store / FILE), str(store)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, b"absent.csv"),
        ("empty.csv", b"", b"empty"),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 8, b"picture.png"),
    ],
)
def test_a_file_that_is_no_recording_is_unavailable_input(
    tmp_path: Path, name: str, content: bytes | None, message: bytes
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = streamlnn("replay", tmp_path / name)
    assert done.returncode == 69
    assert message in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_recording_of_which_nothing_is_read_is_unavailable_input(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("time,state\n2026-01-01 00:00:00,idle\n")
    done = streamlnn("replay", tmp_path / "words.csv")
    assert done.returncode == 69
    assert b"no record was read (1 messages, 0 records" in done.stderr
