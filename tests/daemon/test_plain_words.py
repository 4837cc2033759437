"""Small things that people see: figures, help, interruptions, narrow terminals."""

from __future__ import annotations

import io
import math
import os
import signal
import subprocess
from pathlib import Path

import pytest
from brokers import wait_until
from daemons import command
from invoked import run
from rich.console import Console
from rich.progress import Progress

from streamlnn.daemon.bar import _columns
from streamlnn.daemon.info_text import as_text
from streamlnn.model.forecaster import Forecaster

START = 1_700_000_000


def test_info_writes_large_figures_out(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    rows = [f"{START + 86_400 * n},{1.673e12 + n}" for n in range(2001)]
    path.write_text("\n".join(["time,stamp", *rows, ""]))
    text = run("info", path).stdout
    assert "(2,000 days)" in text
    assert "1,673,000,000,000 to 1,673,000,002,000" in text
    assert "e+" not in text


@pytest.mark.parametrize(
    ("position", "told"),
    [
        ('{"offset":12345}', "r at offset 12,345"),
        ('{"files":{"a":1,"b":2},"lap":"x"}', "r at files of 2, lap x"),
        ("seq 7", "r at seq 7"),
        ("[1,2]", "r at [1, 2]"),
    ],
)
def test_a_position_is_told_without_the_marks_of_json(position: str, told: str) -> None:
    nothing = {"bytes": 0, "bytes_used": 0, "kept": 0, "accepted": 0, "oldest_received": None}
    more = {"sources": {"r": position}, "sinks": [], "dead_letters": [], "streams": []}
    assert f"source     {told}" in as_text({"file": "f", "format": "journal 1", **nothing, **more})


def test_a_horizon_that_never_came_true_has_no_error(tmp_path: Path) -> None:
    recording, store = tmp_path / "p.csv", tmp_path / "store"
    rows = [f"{START + 60 * n},{math.sin(n):.4f}" for n in range(30)]
    recording.write_text("\n".join(["time,v", *rows, ""]))
    run("replay", recording, "--into", store, "-o", tmp_path / "o.jsonl")
    lines = [line.split() for line in run("state", "show", "p", store).stdout.splitlines()]
    assert ["48", "-", "-", "-", "-"] in lines
    assert not any(line[:1] == ["1"] and "-" in line[3:] for line in lines if len(line) == 5)


def test_a_value_of_rounding_noise_is_told_as_none() -> None:
    model = Forecaster([1], units=20)
    values = [0.0] * 200 + [6.25] * 3
    told = [event.text for value in values for event in model.step(None, value).events]
    (text,) = [one for one in told if "far above" in one]
    assert text == "The value 6.25 is far above the 0 that was forecast."


def test_steps_of_microseconds_are_told_in_them() -> None:
    model = Forecaster([1], units=20)
    for n in range(200):
        model.step(START + n * 1e-6, math.sin(n))
    (gap,) = [one for one in model.step(START + 0.17, 0.0).events if one.type == "gap"]
    assert gap.text.startswith("Nothing came for 0.1698")
    assert gap.text.endswith("a record usually comes every 1 us.")


@pytest.mark.parametrize(
    ("width", "seen", "unseen"),
    [(40, [], ["0:00:00", "━"]), (80, ["0:00:00"], ["━"]), (120, ["0:00:00", "━"], [])],
)
def test_a_narrow_terminal_has_fewer_columns_and_each_whole(
    width: int, seen: list[str], unseen: list[str]
) -> None:
    paper = io.StringIO()
    console = Console(file=paper, width=width, force_terminal=True, color_system=None)
    progress = Progress(*_columns(width), console=console, auto_refresh=False)
    progress.add_task("forecasting", total=1.0, completed=0.5, told="6,000 records, 12,345/s")
    with progress:
        progress.refresh()
    text = paper.getvalue()
    assert all(one in text for one in ["6,000 records, 12,345/s", *seen])
    assert not any(one in text for one in ["…", "...", *unseen])


def test_help_names_kinds_and_formats_and_is_short_too() -> None:
    words = " ".join(run("replay", "-h").stdout.split())
    assert "Kind of recording: auto, " in words
    assert " csv, " in words
    assert "Begin at this moment, such as 2026-11-23T10:00:00Z." in words
    assert run("state", "ls", "-h").stdout == run("state", "ls", "--help").stdout


def test_top_takes_its_configuration_both_ways(tmp_path: Path) -> None:
    config = tmp_path / "f.toml"
    config.write_text('[http]\nlisten = "127.0.0.1:1"\n')
    said = [
        run("top", *words, "--once", code=69).stderr for words in ([config], ["--config", config])
    ]
    assert said[0] == said[1]
    assert "127.0.0.1:1" in said[0]


def test_ctrl_c_ends_an_evaluation_with_a_word_and_a_code_of_its_own(tmp_path: Path) -> None:
    recording = tmp_path / "p.csv"
    with recording.open("w") as file:
        file.write("time,v\n")
        file.writelines(f"{START + n},{n % 97}\n" for n in range(60_000))
    started = subprocess.Popen(
        command("eval", recording, "--events", tmp_path / "e.jsonl"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    )
    wait_until((tmp_path / "e.jsonl").exists, "the beginning", secs=60)
    started.send_signal(signal.SIGINT)
    out, errors = started.communicate(timeout=60)
    assert (started.returncode, out) == (130, b"")
    assert errors.decode().splitlines()[-1] == "interrupted"
