"""Row "clock jumps" of the fault matrix: the daemon's clock is wrong for a while, or for good.

Injected: in the pipeline a clock that jumps by an hour ahead and back, to the end of 32-bit seconds
(2038), beyond unsigned ones (2106), and to 1970, for three batches of every six.

Must hold: streams whose records carry their time are forecast as if nothing had happened, nobody is
called stale who speaks, nothing ends, and records that are to be kept are still there afterwards.
"""

from __future__ import annotations

import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runs import pipeline, said

from streamlnn.pipeline import rows, snapshots
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.testing import CollectingSink, FakeClock, ScriptedSource

SECOND = 10**9
NOW = 1_700_000_000
JUMPS = [3600.0, -3600.0, 2**31 + 5.0 - NOW, 2**32 + 5.0 - NOW, -float(NOW)]
"""Seconds by which the clock is off from one batch to the next but three."""


class Wrong(FakeClock):
    """Goes on by a second with each batch, and is off by `off` seconds."""

    def __init__(self) -> None:
        super().__init__(NOW * SECOND)
        self.off = 0.0

    def __call__(self) -> int:
        return self.now + round(self.off * 1e9)


class Sensor(ScriptedSource):
    """Speaks every second, and is received by a clock that is wrong every other three times."""

    def __init__(self, clock: Wrong, jumps: list[float]) -> None:
        super().__init__([Message("s/pump", sample(n), None) for n in range(200)])
        self._clock, self._jumps = clock, jumps

    def read(self, timeout: float) -> Batch | None:
        turn, part = divmod(self._at, 6)
        self._clock.advance(1.0)
        self._clock.off = self._jumps[turn % len(self._jumps)] if part > 2 else 0.0
        batch = super().read(timeout)
        heard = [replace(message, received=self._clock()) for message in batch.messages]
        return replace(batch, messages=heard)


def sample(n: int) -> bytes:
    return json.dumps({"t": NOW + n, "v": math.sin(n / 5) + n % 7}).encode()


def run(
    folder: Path | None, jumps: list[float], table: dict[str, Any] | None = None, **more: Any
) -> CollectingSink:
    clock, sink = Wrong(), CollectingSink()
    pipeline(folder, Sensor(clock, jumps), sink, table, clock=clock, **more).run()
    return sink


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots, and what is deleted with them, come so often that a short run meets them."""
    monkeypatch.setattr(snapshots, "REDO_LIMIT", 10)
    monkeypatch.setattr(rows, "REPEATS_KEPT", 10)


@pytest.mark.parametrize("every", [None, "1s"])
def test_stamped_streams_are_forecast_as_if_nothing_had_happened(every: str | None) -> None:
    """The same forecasts and events byte for byte, and nobody is stale."""
    table = {"every": every} if every else {}
    steady, jumping = (run(None, jumps, table) for jumps in ([0.0], JUMPS))
    assert said(jumping.durable) == said(steady.durable)
    assert len(said(steady.durable)) == 200
    events = [json.loads(one.payload) for one in jumping.durable if one.kind == "event"]
    assert [event for event in events if event["type"] == "stale"] == []


def test_streams_by_the_time_of_receipt_go_on_too() -> None:
    """Their time is the clock's: it may jump, and their forecasts are finite all the same."""
    table = {"time": None, "horizons": ["1s", "1m"]}
    told = [json.loads(one.payload) for one in run(None, JUMPS, table).durable]
    forecasts = [one for one in told if "seq" in one and "type" not in one]
    assert [one["seq"] for one in forecasts] == list(range(200))
    for one in forecasts:
        values = [h["yhat"] for h in one["targets"]["v"]["forecast"]]
        assert all(value is None or math.isfinite(value) for value in values)


def test_what_is_to_be_kept_outlives_a_jump_ahead(tmp_path: Path) -> None:
    """A clock that was in 2106 for a moment has made nothing old."""
    run(tmp_path, JUMPS, retention=Retention(keep_secs=3600.0))
    with closing(sqlite3.connect(tmp_path / "journal.db")) as db:
        assert db.execute("SELECT count(*) FROM log").fetchone() == (200,)


def test_a_bound_on_skew_holds_while_our_clock_is_behind_and_no_longer() -> None:
    """What is ahead of us is refused, as was asked for; then the stream goes on."""
    table = {"time": {"path": "t", "format": "unix", "max_skew": "5m"}}
    steady, behind = (run(None, jumps, table) for jumps in ([0.0], [-3600.0]))
    assert len(said(steady.durable)) == 200
    assert len(said(behind.durable)) == 101
