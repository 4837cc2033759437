"""What `check` says a stream costs is what it costs: memory, and bytes written to the disk."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.codecs import JsonCodec
from streamlnn import Forecaster
from streamlnn.daemon.config import loads
from streamlnn.daemon.footprint import (
    COMMIT_BYTES,
    RECORD_BYTES,
    SNAPSHOT_FACTOR,
    as_text,
    footprint,
    size,
)
from streamlnn.pipeline import loop
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

CONFIG = """
[daemon]
{daemon}
[[source]]
kind = "mqtt"
id = "plant"
url = "mqtt://localhost"
[[stream]]
topic = "s/{{device}}"
{stream}
[model]
{model}
"""


def cost(stream: str, daemon: str = "", model: str = "") -> dict[str, Any]:
    config = loads(CONFIG.format(daemon=daemon, stream=stream, model=model))
    return footprint(config.streams[0], config)


@pytest.mark.parametrize(
    ("stream", "model", "arguments"),
    [
        ("horizons = [1, 12, 48]", "", {"horizons": [1, 12, 48]}),
        (
            'horizons = [1, 5000]\nfields = { a = "a", b = "b" }',
            "units = 30",
            {"horizons": [1, 5000], "fields": 2, "units": 30},
        ),
        (
            'fields = { a = "a", b = "b", c = "c" }\ntargets = ["c"]\nseasons = [48]',
            'units = 20\ndtype = "float64"',
            {"horizons": [1, 12, 48], "fields": 3, "targets": [2], "seasons": [48], "units": 20}
            | {"dtype": "float64"},
        ),
    ],
)
def test_memory_is_what_the_model_says_of_itself(
    stream: str, model: str, arguments: dict[str, Any]
) -> None:
    told = cost(stream, model=model)
    assert told["bytes"] == told["bytes_most"] == Forecaster(**arguments).nbytes


@pytest.mark.parametrize("every", [0.5, 3.0, 9.5, 600.0])
def test_memory_that_grows_with_the_cadence_is_what_it_grows_to(every: float) -> None:
    """Ten minutes ahead at this cadence; without it, the two ends of what it may be."""
    given = f'horizons = ["1m", "10m"]\nevery = "{every}s"'
    model = Forecaster(["1m", "10m"], units=10, every=every)
    for n in range(1500):
        model.step(n * every, math.sin(n / 10))
    known = cost(given, model="units = 10")
    unknown = cost('horizons = ["1m", "10m"]', model="units = 10")
    assert known["bytes"] == known["bytes_most"] == model.nbytes
    assert unknown["bytes"] <= model.nbytes <= unknown["bytes_most"]


def test_what_is_not_known_is_said() -> None:
    told = cost('horizons = ["10s"]')
    assert (told["fields"], told["journal_a_day"]) == (None, None)
    assert " MB of memory (for one field), " in as_text(told)
    assert as_text(told).endswith("of snapshots and the journal a day")


def test_a_slow_sensor_has_no_more_snapshots_than_records() -> None:
    hourly, slow = cost('every = "1h"'), cost('every = "12h"')
    assert hourly["snapshots_a_day"] == pytest.approx(12 * slow["snapshots_a_day"], rel=1e-6)
    seldom = cost('every = "1s"', 'snapshot_every = "1d"')
    often = cost('every = "1s"', 'snapshot_every = "1m"')
    assert often["snapshots_a_day"] > 100 * seldom["snapshots_a_day"] > 0


# ---------------------------------------------------------------------- measured, on this machine


def written(action: Callable[[], object]) -> int:
    """How many bytes this process hands to the system while `action` runs."""

    def now() -> int:
        lines = Path("/proc/self/io").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("wchar"))

    before = now()
    action()
    return now() - before


def message(n: int) -> Message:
    payload = json.dumps({"v": math.sin(n / 7), "t": n}).encode()
    return Message("s/pump", payload, n * 10**9)


def pipeline(folder: Path, batches: int, size: int, **retention: float) -> Pipeline:
    """Batches with idle turns between them, as they come live."""
    items: list[Any] = []
    for n in range(batches):
        items += [Batch([message(n * size + k) for k in range(size)], "")]
        items += [lambda: None] * 2
    table = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix"}}
    return Pipeline(
        Journal(folder),
        [(ScriptedSource(items), StreamMap([StreamSettings(**table)], JsonCodec()))],
        [CollectingSink()],
        Observer(),
        instance="i",
        model=ModelSettings(),
        retention=Retention(**retention),
    )


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "IDLE_SECS", 0.0)


needs_proc = pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="needs /proc/self/io")


@needs_proc
def test_the_journal_writes_about_as_much_as_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlnn.pipeline.snapshots.Snapshots.all", lambda *_: None)
    alone = written(pipeline(tmp_path / "a", 500, 1).run) / 500
    many = written(pipeline(tmp_path / "b", 100, 100).run) / 100
    assert COMMIT_BYTES / 2 < alone < COMMIT_BYTES * 2
    assert RECORD_BYTES / 2 < (many - alone) / 99 < RECORD_BYTES * 2


@needs_proc
def test_a_snapshot_writes_about_as_much_as_is_said(tmp_path: Path) -> None:
    often = pipeline(tmp_path, 100, 1, snapshot_every_secs=0.0)
    bytes_each = written(often.run) / 100 - COMMIT_BYTES
    state = Forecaster([1, 12, 48]).nbytes
    assert SNAPSHOT_FACTOR / 2 < bytes_each / state < SNAPSHOT_FACTOR * 2


def test_check_compiles_nothing(tmp_path: Path) -> None:
    """It answers in a second or two, also on a machine that never ran the model."""
    config = tmp_path / "f.toml"
    config.write_text(CONFIG.format(daemon="", stream='horizons = ["1m"]', model=""))
    code = (
        "import sys, numba.core.dispatcher as d\n"
        "def refuse(self, sig): raise SystemExit(f'compiles {self}')\n"
        "d.Dispatcher.compile = refuse\n"
        "from streamlnn.daemon.cli import main\n"
        f"sys.argv = ['streamlnn', 'check', {str(config)!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=250)
    assert done.returncode == 0, done.stderr.decode()
    assert b"memory" in done.stdout


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 KB"), (9_960, "10 KB"), (2.5e12, "2.5 TB")],
)
def test_sizes_are_told_in_two_or_three_figures(count: float, text: str) -> None:
    assert size(count) == text
