"""`streamlnn eval` as a user starts it: the configuration's word counts, a wrong name is told."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import streamlnn

from streamlnn.daemon.evaluate import Row, evaluate

FLOW = [10 + math.sin(n / 5) + 0.1 * math.cos(n * n) for n in range(900)]
TEMP = [20 * math.cos(n / 12) for n in range(900)]
TIMES = [1_700_000_000.0 + 60.0 * n for n in range(900)]


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump7.csv"
    rows = [f"{t},{v!r},{w!r}" for t, v, w in zip(TIMES, FLOW, TEMP, strict=True)]
    path.write_text("\n".join(["time,flow,temp", *rows, ""]))
    return path


def configured(folder: Path, stream: str, model: str = "") -> Path:
    path = folder / "f.toml"
    path.write_text(
        f"[[stream]]\nfields = {{ q = 'flow' }}\ntime = {{ path = 'time' }}\n{stream}\n"
        f"[model]\n{model}\n"
    )
    return path


def scores(*words: object) -> list[dict[str, Any]]:
    done = streamlnn("eval", *words, "--json")
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def expected(**arguments: Any) -> Row:
    values = np.array(FLOW)[:, None]
    return evaluate(np.array(TIMES), values, ["q"], stream="pump7", horizons=[3], **arguments)[0]


def test_no_figure_of_the_table_is_cut_when_it_is_piped(recording: Path) -> None:
    done = streamlnn("eval", recording, "--horizons", "1,300")
    assert done.returncode == 0
    text = done.stdout.decode()
    assert "…" not in text
    assert [line.split()[:4] for line in text.splitlines()[-4:]] == [
        ["pump7", "flow", "1", "400"],
        ["pump7", "flow", "300", "400"],
        ["pump7", "temp", "1", "400"],
        ["pump7", "temp", "300", "400"],
    ]


def test_level_seasons_cadence_and_model_are_those_of_the_configuration(
    recording: Path, tmp_path: Path
) -> None:
    config = configured(
        tmp_path,
        'horizons = [3]\nseasons = [31, 62]\nlevel = 0.5\nevery = "1m"',
        'units = 20\nseed = 5\ndtype = "float64"',
    )
    (row,) = scores(recording, "--config", config)
    model = {"units": 20, "seed": 5, "dtype": "float64", "every": 60.0}
    other = expected(seasons=[31, 62], level=0.5, model=model)
    assert row == {name: getattr(other, name) for name in row}
    (row,) = scores(recording, "--config", config, "--season", "40")
    other = expected(seasons=[40], level=0.5, model=model)
    assert row == {name: getattr(other, name) for name in row}


def test_durations_count_as_samples_by_the_usual_interval(recording: Path, tmp_path: Path) -> None:
    config = configured(tmp_path, 'horizons = ["5s", "3m"]\nseasons = ["31m"]')
    (row,) = scores(recording, "--config", config)
    other = expected(seasons=[31])
    assert row == {name: getattr(other, name) for name in row}
    said = streamlnn("eval", recording, "--config", config).stderr.decode()
    assert "pump7: horizons 5s, 3m as 3 samples, one in 60 s" in said
    assert "pump7: season 31m as 31 samples, one in 60 s" in said


def test_durations_need_a_clock(tmp_path: Path) -> None:
    recording, config = tmp_path / "pump7.csv", tmp_path / "f.toml"
    recording.write_text("\n".join(["flow", *map(str, FLOW)]))
    config.write_text('[[stream]]\nhorizons = ["3m"]\nseasons = ["31m"]')
    done = streamlnn("eval", recording, "--config", config)
    assert done.returncode == 78
    assert b"no usual interval for 'pump7'" in done.stderr
    assert b"horizons 3m could be counted: add --horizons" in done.stderr
    done = streamlnn("eval", recording, "--config", config, "--horizons", "3")
    assert done.returncode == 78
    assert b"season 31m could be counted: add --season" in done.stderr
    done = streamlnn("eval", recording, "--config", config, "--horizons", "3", "--season", "31")
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("words", "stream", "told"),
    [
        (["--target", "flwo"], None, "no field at 'flwo' (nearest: 'flow')"),
        (
            ["--target", "flow", "--target", "tmp"],
            None,
            "the stream 'pump7' has no number in a column 'tmp'; did you mean 'temp'?",
        ),
        (
            ["--target", "flow", "--inputs", "zzz"],
            None,
            "the stream 'pump7' has no number in a column 'zzz'; it has flow, temp",
        ),
        (
            ["--target", "flow"],
            "",
            "the stream 'pump7' has no number in a column 'flow'; it has q",
        ),
        (
            ["--inputs", "zzz"],
            "",
            "the stream 'pump7' has no number in a column 'zzz'; it has q",
        ),
        (
            [],
            "id = 'pump7'\n[[stream]]\nid = 'other'\ntargets = ['tmp']",
            "the stream 'other' has no number in a column 'tmp'; did you mean 'temp'?",
        ),
    ],
)
def test_a_column_that_is_not_there_is_told_with_the_nearest(
    recording: Path, tmp_path: Path, words: list[str], stream: str | None, told: str
) -> None:
    given = [] if stream is None else ["--config", configured(tmp_path, stream)]
    done = streamlnn("eval", recording, *words, *given)
    assert (done.returncode, done.stdout) == (69, b"")
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith(f"streamlnn: {recording}: ")
    assert told in line


def test_eval_needs_nothing_beyond_the_plain_install(tmp_path: Path) -> None:
    """numba would take scipy where it is; a plain install does not bring it."""
    recording = tmp_path / "r.csv"
    recording.write_text("\n".join(["v", *(str(n % 17) for n in range(120)), ""]))
    code = (
        "import sys; sys.modules['scipy'] = None; sys.argv = ['streamlnn', 'eval', "
        f"{str(recording)!r}, '--skip', '20']; from streamlnn.daemon.cli import main; main()"
    )
    env = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, timeout=100, env=env
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert b"AR(24)" in done.stdout
