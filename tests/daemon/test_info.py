"""`streamlnn info`, dead letters and the replay of a journal: what is on disk, told as it is.

Fault matrix, row "what cannot be read": payloads of every kind of wrongness, also with control
characters and topics as long as MQTT allows; they are bounded, told with their reason, and do a
terminal no harm. Row "clock set back": the records that a journal keeps replay to the same
forecasts, though a second judgement of their times would drop some.
"""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from invoked import run, told

from streamlnn.pipeline.journal import Journal

START = 1_700_000_000


def heard(path: Path, messages: list[tuple[str, bytes]]) -> Path:
    """A recording as `mosquitto_sub -F %j` would have written it, a second apart."""
    lines = [
        {
            "tst": f"2026-01-01T00:{n // 60:02}:{n % 60:02}.5Z",
            "topic": topic,
            "payloadlen": len(payload),
            "payload": payload.decode("latin-1"),
        }
        for n, (topic, payload) in enumerate(messages)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    return path


def test_a_recording_tells_its_span_its_steps_and_its_gaps(tmp_path: Path) -> None:
    path = tmp_path / "pump7.csv"
    seconds = [60 * n for n in range(20)] + [3600, 3660, 3660, 3600, 3720]
    rows = [f"{START + at},{at},{'' if at == 60 else 1.5}" for at in seconds]
    path.write_text("\n".join(["time,flow,temp", *rows, "1700000000,x,1", ""]))
    found = told("info", path)
    assert (found["format"], found["messages"], found["unread"]) == ("csv", 26, 1)
    (stream,) = found["streams"]
    assert (stream["stream"], stream["records"]) == ("pump7", 25)
    assert (stream["first"], stream["last"]) == ("2023-11-14T22:13:20Z", "2023-11-14T23:15:20Z")
    assert (stream["span_secs"], stream["usual_step_secs"]) == (3720.0, 60.0)
    assert (stream["gaps"], stream["longest_gap_secs"]) == (1, 3600.0 - 19 * 60)
    assert (stream["same_time"], stream["out_of_order"]) == (2, 1)
    assert stream["fields"] == [
        {"name": "flow", "min": 0.0, "max": 3720.0, "missing": 0},
        {"name": "temp", "min": 1.5, "max": 1.5, "missing": 1},
    ]
    text = run("info", path).stdout
    assert "every 1 min; 1 gaps, the longest 41 min" in text
    assert "unread     1, the first: message 26: field 'flow' is 'x', not a number" in text


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE a (b)")
    done = run("info", tmp_path / "other.db", code=69)
    assert "is an SQLite database, no recording of messages" in done.stderr
    assert "give the path of a recording" in run("info", tmp_path / "none.csv", code=69).stderr


def test_dead_letters_are_shown_by_reason_and_do_a_terminal_no_harm(tmp_path: Path) -> None:
    good, store = b'{"v": 1}', tmp_path / "store"
    bad = [(f"t/{n}", b"\x1b[2J" + b"x" * 5_000) for n in range(3)]
    recording = heard(
        tmp_path / "r.json", [("t/a", good), *bad, ("l" * 65_000, b"[[["), ("t/a", b'{"w": 1}')]
    )
    run("replay", recording, "--into", store)
    found = told("state", "dead-letters", store)
    assert sorted(one["count"] for one in found["counts"]) == [1, 1, 3]
    assert sum(one["count"] for one in found["counts"]) == len(found["letters"]) == 5
    assert [len(one["payload"]) for one in found["letters"][:3]] == [4096] * 3
    assert found["letters"][3]["origin"] == "l" * 1_000
    assert found["letters"][0]["received"] == "2026-01-01T00:00:01.5Z"
    (letter,) = told("state", "dead-letters", store, "--reason", "NO FIELD AT 'v'")["letters"]
    assert letter["payload"] == '{"w": 1}'
    assert len(told("state", "dead-letters", store, "--limit", 2)["letters"]) == 2
    text = run("state", "dead-letters", store).stdout
    assert "\x1b" not in text
    assert "\\x1b[2Jxxx" in text
    assert run("state", "dead-letters", store, "--reason", "zzz").stdout == "no dead letters\n"


CONFIG = """
[daemon]
instance = "plant1"
[[source]]
kind = "mqtt"
id = "plant"
url = "mqtt://localhost"
[[stream]]
topic = "t/{name}"
id = "{name}"
fields = { v = "v", w = "w" }
targets = ["v"]
units = { v = "l/s" }
time = { path = "ts", max_skew = "1000w" }
horizons = ["1s", "5s"]
[[stream]]
topic = "bare/{name}"
horizons = ["2s"]
[model]
units = 20
"""


@pytest.fixture
def learned(tmp_path: Path) -> tuple[Path, bytes]:
    """A store whose streams had their clock set back, repeats, and no time of their own."""
    config = tmp_path / "f.toml"
    config.write_text(CONFIG)
    times = [*range(30), *(25.5 + 0.1 * n for n in range(30)), *range(40, 60), 59, 59]
    messages = []
    for n, at in enumerate(times):
        value = round(math.sin(n / 4), 4)
        payload = json.dumps({"ts": START + at, "v": value, "w": n % 5})
        messages += [("t/a", payload.encode()), ("bare/b", f"{value}".encode())]
    recording = heard(tmp_path / "r.json", messages)
    done = run("replay", recording, "--config", config, "--into", tmp_path / "store")
    assert "late" in done.stderr
    return config, done.stdout_bytes


def test_the_records_of_a_journal_replay_to_what_was_said(
    learned: tuple[Path, bytes], tmp_path: Path
) -> None:
    config, said = learned
    store, before = tmp_path / "store", tmp_path / "said.jsonl"
    before.write_bytes(said)
    run("replay", store, "--config", config, "--expect", before)
    without = run("replay", store / "journal.db").stdout_bytes
    assert without == said.replace(b'"plant1"', b'"replay"')
    part = run("replay", store, "--from", "2023-11-14T22:14:00Z").stdout.splitlines()
    assert 0 < len(part) < len(said.splitlines())
    assert json.loads(part[0])["time"] >= "2023-11-14T22:14:00Z"


def test_another_table_forecasts_the_same_records_otherwise(
    learned: tuple[Path, bytes], tmp_path: Path
) -> None:
    config, _ = learned
    config.write_text(CONFIG.replace('["1s", "5s"]', '["3s"]').replace("bare/{name}", "none"))
    done = run("replay", tmp_path / "store", "--config", config)
    horizons = {
        forecast["stream"]: [
            one["h"] for one in next(iter(forecast["targets"].values()))["forecast"]
        ]
        for forecast in map(json.loads, done.stdout.splitlines())
    }
    assert horizons == {"a": [3], "bare/b": [2]}
    assert "'bare/b': no [[stream]] table has its topic and its fields value" in done.stderr


def test_a_journal_tells_what_it_keeps(learned: tuple[Path, bytes], tmp_path: Path) -> None:
    _, said = learned
    found = told("info", tmp_path / "store")
    assert found["format"] == "journal 2"
    assert found["kept"] == found["accepted"] == len(said.splitlines())
    assert found["oldest_received"] == "2026-01-01T00:00:00.5Z"
    assert [one["sink"] for one in found["sinks"]] == ["lines"]
    assert found["sinks"][0]["records_behind"] == found["sinks"][0]["waiting"] == 0
    streams = {one["stream"]: one for one in found["streams"]}
    assert streams["a"]["topic"] == "t/a"
    assert streams["a"]["out_of_order"] == 1
    assert [one["is_newest_record"] for one in streams["a"]["snapshots"]] == [True]
    assert [one["name"] for one in streams["a"]["fields"]] == ["v", "w"]
    text = run("info", tmp_path / "store").stdout
    assert "lines has confirmed all up to record" in text
    assert "snapshot   of record" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--into", "store"], "--into names the journal that is replayed"),
        (["--time", "now"], "--time now goes with recordings"),
    ],
)
def test_what_a_journal_cannot_do_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(Journal(tmp_path / "store")):
        pass
    assert said in run("replay", "store", *words, code=2).stderr
