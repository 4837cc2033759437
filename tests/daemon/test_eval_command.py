"""`streamlnn eval` as a user starts it: the configuration's word counts, a wrong name is told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import streamlnn

from streamlnn import Forecaster

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


def expected(times: list[float], columns: list[list[float]], **arguments: Any) -> Any:
    """What one forecaster says with these arguments: yhat, and the share of values in its band."""
    values = np.array(columns).T
    made = Forecaster(fields=len(columns), **arguments).replay(times, values)
    return made, values


def mae(made: Any, values: Any, h: int, k: int = 0, m: int = 0) -> float:
    """The mean absolute error of targets with index >= 500, h samples ahead."""
    yhat = made.yhat.reshape(len(values), made.yhat.shape[1], -1)[:, k, m]
    return float(np.abs(values[500:, m] - yhat[500 - h : len(values) - h]).mean())


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
    model = {"units": 20, "seed": 5, "dtype": "float64", "every": 60.0, "level": 0.5}
    (row,) = scores(recording, "--config", config)
    told = expected(TIMES, [FLOW], horizons=[3], seasons=[31, 62], **model)
    assert row["mae"] == pytest.approx(mae(*told, h=3))
    assert (row["level"], row["coverage"]) == (0.5, pytest.approx(0.5, abs=0.1))
    naive = np.abs(np.array(FLOW[500:]) - FLOW[469:-31]).mean()
    assert row["mae_seasonal"] == pytest.approx(naive)
    (row,) = scores(recording, "--config", config, "--season", "40")
    told = expected(TIMES, [FLOW], horizons=[3], seasons=[40], **model)
    assert row["mae"] == pytest.approx(mae(*told, h=3))


def test_with_a_configuration_targets_are_forecast_together_as_by_the_daemon(
    recording: Path, tmp_path: Path
) -> None:
    """From all fields, at the durations as they are; `--target` forecasts one alone."""
    path = configured(tmp_path, 'horizons = ["3m", "12m"]\nseasons = ["31m"]')
    path.write_text(path.read_text().replace("q = 'flow'", "t = 'temp', q = 'flow'"))
    rows = scores(recording, "--config", path)
    assert [(row["target"], row["h"], row["clock"]) for row in rows] == [
        (name, h, "time") for name in ("t", "q") for h in (180, 720)
    ]
    told = expected(TIMES, [TEMP, FLOW], horizons=["3m", "12m"], seasons=["31m"])
    maes = [mae(*told, h=h, k=k, m=m) for m in (0, 1) for k, h in enumerate((3, 12))]
    assert [row["mae"] for row in rows] == pytest.approx(maes)
    path.write_text(path.read_text().replace("horizons", "targets = ['q']\nhorizons"))
    rows = scores(recording, "--config", path)
    told = expected(TIMES, [TEMP, FLOW], horizons=["3m", "12m"], seasons=["31m"], targets=[1])
    made, values = told
    assert rows[0]["mae"] == pytest.approx(mae(made, values[:, 1:], h=3))
    alone = scores(recording, "--config", path, "--target", "q")
    told = expected(TIMES, [FLOW], horizons=["3m", "12m"], seasons=["31m"])
    assert alone[0]["mae"] == pytest.approx(mae(*told, h=3))


def test_samples_of_the_command_line_and_durations_of_the_configuration_go_together(
    recording: Path, tmp_path: Path
) -> None:
    config = configured(tmp_path, 'horizons = ["5s", "3m"]\nseasons = ["31m"]')
    rows = scores(recording, "--config", config)
    assert [(row["h"], row["clock"]) for row in rows] == [(5, "time"), (180, "time")]
    done = streamlnn("eval", recording, "--config", config, "--horizons", "3", "--json")
    assert "pump7: season 31m as 31 samples, one in 60 s" in done.stderr.decode()
    (row,) = json.loads(done.stdout)
    told = expected(TIMES, [FLOW], horizons=[3], seasons=[31])
    assert (row["h"], row["clock"]) == (3, "samples")
    assert row["mae"] == pytest.approx(mae(*told, h=3))
    rows = scores(recording, "--config", config, "--season", "31")
    told = expected(TIMES, [FLOW], horizons=["5s", "3m"], seasons=["1860s"])
    assert rows[1]["mae"] == pytest.approx(mae(*told, h=3, k=1))


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
