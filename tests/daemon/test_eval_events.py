"""What `eval` tells of events is what the daemon would have published, from start to end."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import streamlnn
from rich.console import Console

from streamlnn.daemon.eval_events import SHOWN, print_events
from streamlnn.evaluation.episodes import Episode, episodes
from streamlnn.evaluation.played import play
from streamlnn.pipeline.plan import ModelSettings, Plan
from streamlnn.pipeline.streams import Layout

START = 1_700_000_000


def wave(n: int = 900) -> np.ndarray:
    """Two fields, one of which jumps for 5 records at 600."""
    random = np.random.default_rng(3)
    at = np.arange(n)
    values = np.stack([np.sin(at / 5), np.cos(at / 9)], axis=1)
    values += 0.02 * random.standard_normal(values.shape)
    values[600:605, 1] += 9.0
    return values


def minutes(n: int = 900) -> np.ndarray:
    """A record each minute; half an hour of silence before record 700."""
    return START + 60.0 * np.arange(n) + 1800.0 * (np.arange(n) >= 700)


def plan(**changes: Any) -> Plan:
    asked: dict[str, Any] = {
        "layout": Layout(("a", "b"), ("a", "b")),
        "targets": ("a", "b"),
        "units": ("", ""),
        "horizons": (1, 12),
        "seasons": (),
        "level": 0.9,
        "every": None,
        "limits": {},
        "model": ModelSettings().model_dump(),
    }
    return Plan(**asked | changes)


def told(times: np.ndarray | None, values: np.ndarray, **changes: Any) -> list[Episode]:
    chosen = plan(**changes)
    return episodes([play(chosen.speaker("test", "s", 0), chosen, times, values)])


def test_an_event_is_one_from_its_start_to_its_end() -> None:
    found = told(minutes(), wave())
    jump = next(one for one in found if one.start == 600)
    assert (jump.type, jump.target) == ("anomaly", "b")
    assert jump.since == minutes()[600]
    assert jump.end is not None
    assert jump.until == minutes()[jump.end]
    assert 605 < jump.end < 664
    assert 0.999 < jump.peak <= 1.0
    assert "far above" in jump.text
    gap = next(one for one in found if one.type == "gap")
    assert (gap.target, gap.start, gap.end) == (None, 699, 700)
    assert (gap.since, gap.until) == (minutes()[699], minutes()[700])
    assert math.isnan(gap.peak)


def test_what_is_still_on_at_the_end_has_no_end() -> None:
    (last,) = told(None, wave()[:603])
    assert (last.start, last.end, last.since, last.until) == (600, None, None, None)


def test_targets_forecast_alone_share_what_concerns_the_whole_stream() -> None:
    plays = []
    for k, name in enumerate("ab"):
        alone = plan(layout=Layout((name,), (name,)), targets=(name,), units=("",))
        words = alone.speaker("test", "s", 0)
        plays.append(play(words, alone, minutes(), wave()[:, [k]]))
    found = episodes(plays)
    assert [one.type for one in found].count("gap") == 1
    assert [one.target for one in found if one.start == 600] == ["b"]


def test_a_limit_that_would_be_passed_is_told_with_its_probability() -> None:
    ramp = np.stack([np.arange(400.0), np.zeros(400)], axis=1)
    found = told(None, ramp, limits={"a": (None, 300.0)})
    crossing = next(one for one in found if one.type == "crossing")
    assert crossing.target == "a"
    assert 280 < crossing.start < 300
    assert 0.5 <= crossing.peak <= 1.0


def test_eval_tells_the_events_that_the_daemon_would_publish(tmp_path: Path) -> None:
    """Line by line the same, with what identifies them, from the same recording."""
    recording, config = tmp_path / "pump.csv", tmp_path / "f.toml"
    rows = [f"{t},{a!r},{b!r}" for t, (a, b) in zip(minutes(), wave().tolist(), strict=True)]
    recording.write_text("\n".join(["time,a,b", *rows, ""]))
    published, written = tmp_path / "published.jsonl", tmp_path / "events.jsonl"
    config.write_text(
        "[daemon]\ninstance = 'plant'\n[[source]]\nkind = 'tail'\nid = 'logs'\n"
        f"paths = ['{recording}']\n[[sink]]\nkind = 'jsonl'\npath = '{published}'\n"
        "[[stream]]\ntime = { path = 'time' }\nhorizons = ['1m', '12m']\nlimits = { a = [-0.9, 2] }"
    )
    done = streamlnn("replay", recording, "--config", config, "--publish")
    assert done.returncode == 0, done.stderr.decode()
    done = streamlnn("eval", recording, "--config", config, "--events", written)
    assert done.returncode == 0, done.stderr.decode()
    events = [line for line in published.read_bytes().splitlines() if b'"phase"' in line]
    assert {json.loads(line)["type"] for line in events} >= {"anomaly", "gap", "crossing"}
    assert sorted(written.read_bytes().splitlines()) == sorted(events)
    text = done.stdout.decode()
    assert "Events of pump: " in text
    assert "2023-11-15T08:13:20Z" in text  # record 600


def test_events_go_into_a_file_that_can_be_written(tmp_path: Path) -> None:
    recording = tmp_path / "r.csv"
    recording.write_text("\n".join(["v", *(str(n % 17) for n in range(60))]))
    events = tmp_path / "no such folder" / "events.jsonl"
    done = streamlnn("eval", recording, "--skip", "5", "--events", events)
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"No such file or directory; name another file for --events" in done.stderr


def printed(found: list[Episode]) -> str:
    console = Console(file=io.StringIO(), width=60)
    with console.capture() as captured:
        print_events("pump", found, console)
    return captured.get()


def test_of_many_events_those_that_matter_most_are_shown() -> None:
    gaps = [Episode("gap", None, n, n + 1, None, None, math.nan, "Silence.") for n in range(100)]
    odd = [
        Episode("anomaly", "v", n, n + 9, None, None, 0.99 + n / 1e6, f"Odd at {n}.")
        for n in range(200, 200 + SHOWN)
    ]
    text = printed([*gaps, *odd, Episode("drift", "v", 500, None, None, None, math.nan, "Drift.")])
    lines = [line.split() for line in text.splitlines()]
    assert "Events of pump: 20 anomaly, 1 drift, 100 gap; the 20 that matter most" in text
    assert "and 101 more; --events FILE writes them all" in text
    shown = [line[2] for line in lines if line and line[0] == "anomaly"]
    assert shown == [str(n) for n in range(200, 200 + SHOWN)]
    assert "Odd at 219." in text
    assert printed([]) == "Events of pump: none\n\n"


@pytest.mark.parametrize(("end", "said"), [(None, "still on"), (7, "7")])
def test_an_event_without_a_clock_is_told_by_the_numbers_of_records(
    end: int | None, said: str
) -> None:
    text = printed([Episode("drift", "v", 5, end, None, None, math.nan, "Drift.")])
    assert f"drift v 5 {said} - Drift." in " ".join(text.split())
