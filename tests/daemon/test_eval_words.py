"""What `eval` and `replay` say beside their figures: what is not scored, not written, not new."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from invoked import run, told
from rich.console import Console

from streamlnn.daemon.eval_events import print_events
from streamlnn.evaluation.episodes import Episode

START = 1_700_000_000
FEW = ("--skip", "40", "--horizons", "1,2")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump.csv"
    rows = [f"{START + 60 * i},{math.sin(i / 9):.4f}" for i in range(120)]
    path.write_text("\n".join(["time,v", *rows, ""]))
    return path


def test_streams_that_are_too_short_are_named(tmp_path: Path) -> None:
    path = tmp_path / "heard.jsonl"
    lines = [
        {
            "tst": f"2026-01-01T00:{i // 60:02}:{i % 60:02}.5Z",
            "topic": "plant/short" if i % 10 == 9 else "plant/long",
            "payloadlen": 1,
            "payload": str(i % 7),
        }
        for i in range(90)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    result = run("eval", path, *FEW)
    assert "not scored: plant/short, 9 records (needs 43)" in result.stderr
    assert "not scored: plant/long" not in result.stderr
    assert "plant/short" not in result.stdout


def test_scores_are_printed_also_where_the_picture_fails(
    recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib", exc_type=ModuleNotFoundError)
    nowhere = tmp_path / "none" / "o.png"
    result = run("eval", recording, *FEW, "--plot", nowhere, code=69)
    assert result.stdout == ""
    assert f"cannot write {nowhere}: No such file or directory; name another" in result.stderr
    result = run("plot", "scores", "--replay", recording, "-o", nowhere, code=69)
    assert "name another file for -o" in result.stderr
    (tmp_path / "folder.png").mkdir()
    result = run("eval", recording, *FEW, "--plot", tmp_path / "folder.png", code=69)
    assert "Mean absolute error" in result.stdout
    assert "folder.png: Is a directory; name another file for --plot" in result.stderr


def test_tables_end_where_their_text_does_and_a_season_is_missed(recording: Path) -> None:
    result = run("eval", recording, *FEW)
    assert not [line for line in result.stdout.splitlines() if line != line.rstrip()]
    assert "no season was told: --season N" in result.stderr
    assert "no season" not in run("eval", recording, *FEW, "--season", "10").stderr


def test_a_replay_that_gives_nothing_says_why(recording: Path, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "o.jsonl"
    run("replay", recording, "--into", store, "-o", out)
    again = run("replay", recording, "--into", store, "-o", out, code=69).stderr
    assert "left out: 120 at a time that was there (all of them repeats)" in again
    assert f"{store} has them already; name a new folder for --into" in again
    late = run("replay", recording, "--from", "2030-01-01", "-o", out, code=69).stderr
    assert "no message lies between --from and --to" in late
    assert "needs numbers" not in again + late


def test_replay_and_info_use_the_same_words(tmp_path: Path) -> None:
    recording = tmp_path / "p.csv"
    times = [0, 1, 2, 3, 3, 3, 1.5]
    rows = [f"{START + at},{n if n != 5 else 3}" for n, at in enumerate(times)]
    recording.write_text("\n".join(["time,v", *rows, ""]))
    text = run("info", recording).stdout
    assert "2 at a time that was there, 1 too late" in text
    words = "2 at a time that was there (1 of them repeats), 1 too late"
    assert f"left out: {words}" in run("replay", recording, "-o", tmp_path / "o.jsonl").stderr
    assert told("info", recording)["streams"][0]["same_time"] == 2


@pytest.mark.parametrize(
    ("secs", "start", "end"),
    [
        (0.17, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.17Z"),
        (0.0005, "2023-11-14T22:13:20Z", "2023-11-14T22:13:20.0005Z"),
        (61.3, "2023-11-14T22:13:20Z", "2023-11-14T22:14:21Z"),
    ],
)
def test_what_is_brief_has_an_end_that_differs(secs: float, start: str, end: str) -> None:
    console = Console(width=60, record=True)
    gap = Episode("gap", None, 1, 2, START, START + secs, math.nan, "Silence.")
    with console.capture() as captured:
        print_events("p", [gap], console)
    words = captured.get().split()
    assert words[words.index("gap", 6) + 2 :][:2] == [start, end]
