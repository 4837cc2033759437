"""`streamlnn plot`: pictures of a stream from a recording, and from the store of a daemon."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from daemons import streamlnn

from streamlnn.daemon.pictures import _from_recording, _from_store, draw
from streamlnn.errors import InputUnavailable

pytest.importorskip("matplotlib", exc_type=ModuleNotFoundError)

KINDS = ["states", "connectivity", "spectrum", "weights", "forecast", "scores"]


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recording") / "pump.csv"
    rows = [f"2026-11-23T{n // 60 % 24:02}:{n % 60:02}:00Z,{math.sin(n / 9)!r}" for n in range(900)]
    path.write_text("\n".join(["time,flow", *rows, ""]))
    return path


@pytest.fixture(scope="module")
def store(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store") / "data"
    done = streamlnn("replay", recording, "--into", folder, "-o", folder.parent / "f.jsonl")
    assert done.returncode == 0, done.stderr.decode()
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_drawn_of_a_recording_and_of_a_store(
    kind: str, recording: Path, store: Path, tmp_path: Path
) -> None:
    for option, where in (("--replay", recording), ("--state", store)):
        picture = tmp_path / f"{kind}{option}.png"
        done = streamlnn("plot", kind, option, where, "-o", picture)
        assert done.returncode == 0, done.stderr.decode()
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"{picture}: {kind} of pump" in done.stderr.decode()


def test_a_store_shows_what_the_daemon_forecast_bit_for_bit(recording: Path, store: Path) -> None:
    whole = _from_recording(recording, None, None, "auto")
    kept = _from_store(store, None)
    asked = np.isfinite(kept.played.bands[:, 0, 0, 0])
    assert 1 < asked.sum() <= 900
    behind = slice(-int(asked.sum()), None)
    np.testing.assert_array_equal(kept.played.bands[behind], whole.played.bands[behind])
    np.testing.assert_array_equal(kept.played.states[behind], whole.played.states[behind])
    np.testing.assert_array_equal(kept.played.y, whole.played.y[-len(kept.played.y) :])
    np.testing.assert_array_equal(kept.model.reservoir_state, whole.model.reservoir_state)


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        ([], 2, "Name either a store, --state STORE, or a recording, --replay FILE."),
        (["--state", "{folder}"], 69, "holds no"),
        (["--replay", "none.csv"], 69, "none.csv"),
        (["--replay", "{two}"], 69, "has 2 streams: name one with --stream: a, b"),
        (["--replay", "{two}", "--stream", "c"], 69, "has no stream 'c'; it has a, b"),
        (["--replay", "{file}", "--target", "flwo"], 69, "did you mean 'flow'?"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_the_way_out(
    arguments: list[str], code: int, problem: str, recording: Path, tmp_path: Path
) -> None:
    two = tmp_path / "two.jsonl"
    heard = [(f"2026-11-23T10:00:{n:02}Z", topic, str(n)) for n in range(20) for topic in "ab"]
    lines = [
        json.dumps({"tst": tst, "topic": topic, "payload": payload, "payloadlen": len(payload)})
        for tst, topic, payload in heard
    ]
    two.write_text("\n".join([*lines, ""]))
    given = [one.format(two=two, file=recording, folder=tmp_path) for one in arguments]
    done = streamlnn("plot", "states", *given, "-o", tmp_path / "o.png")
    assert (done.returncode, done.stdout) == (code, b"")
    assert problem in done.stderr.decode()
    assert not (tmp_path / "o.png").exists()


def test_which_target_was_drawn_is_told_when_none_was_named(
    recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = tmp_path / "two.csv"
    two.write_text("fcnt,flow\n" + "".join(f"{n},{math.sin(n / 9)!r}\n" for n in range(60)))
    for kind, target in (("forecast", None), ("forecast", "flow"), ("spectrum", None)):
        draw(kind, tmp_path / "o.png", replay=two, target=target)
        told = "target 'fcnt', the first; choose with --target: flow" in capsys.readouterr().err
        assert told == (kind == "forecast" and target is None)
    draw("forecast", tmp_path / "o.png", replay=recording)
    assert "--target" not in capsys.readouterr().err


def test_one_record_alone_is_not_drawn_over_time(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(InputUnavailable, match=r"one record .* a larger --last"):
        draw("states", tmp_path / "o.png", replay=recording, last=1)
    assert not (tmp_path / "o.png").exists()
