"""What the loop takes in, what it leaves out, what it says of itself, what it keeps."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.codecs import JsonCodec
from streamlnn.pipeline import announce, journal, rows, snapshots
from streamlnn.pipeline.contract import Batch, Message, Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ABORT, DROP, Abort, CollectingSink, ScriptedSource

SECOND = 1_000_000_000
TABLE = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix"}}


class Counting(Observer):
    """An observer that adds up the counters."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        self.counts[name, *(labels[key] for key in sorted(labels) if key != "source")] += n


def message(t: int, value: float = 1.0, topic: str = "s/pump", **more: Any) -> Message:
    payload = json.dumps({"t": t, "v": value}).encode()
    return Message(topic, payload, t * SECOND, **more)


def run(
    items: list[Any],
    table: dict[str, Any] | None = None,
    folder: Path | None = None,
    retention: Retention | None = None,
    sink: CollectingSink | None = None,
) -> tuple[CollectingSink, Counter[tuple[str, ...]]]:
    sink, observer = sink or CollectingSink(), Counting()
    streams = StreamMap([StreamSettings(**{**TABLE, **(table or {})})], JsonCodec())
    Pipeline(
        Journal(folder),
        [(ScriptedSource(items), streams)],
        [sink],
        observer,
        instance="i",
        model=ModelSettings(units=8),
        retention=retention or Retention(),
    ).run()
    return sink, observer.counts


def forecasts(sink: CollectingSink) -> list[dict[str, Any]]:
    return [json.loads(one.payload) for one in sink.durable if one.kind == "forecast"]


def said(sink: CollectingSink, kind: str) -> list[Output]:
    return [output for output in sink.outputs if output.kind == kind]


def test_a_record_from_beyond_the_allowed_skew_is_dropped_and_counted() -> None:
    table = {"time": {"path": "t", "format": "unix", "max_skew": "5m"}}
    ahead = [Message("s/pump", json.dumps({"t": t, "v": 1}).encode(), 0) for t in (299, 300, 301)]
    sink, counts = run(ahead, table)
    assert [told["time"][-9:] for told in forecasts(sink)] == ["00:04:59Z", "00:05:00Z"]
    assert counts["dropped_total", "future"] == 1


def test_without_a_bound_the_future_is_taken_as_it_comes() -> None:
    sink, counts = run([Message("s/pump", b'{"t": 4000000000, "v": 1}', 0)])
    assert len(forecasts(sink)) == 1
    assert counts["dropped_total", "future"] == 0


def test_a_retained_message_may_begin_a_stream_and_is_no_news_to_one_that_has_begun() -> None:
    items = [message(1, retained=True), message(2), message(3, retained=True), message(4)]
    sink, counts = run(items)
    assert [told["time"][-3:] for told in forecasts(sink)] == ["01Z", "02Z", "04Z"]
    assert counts["dropped_total", "retained"] == 1


def test_repeats_late_records_and_clashes_are_counted_apart() -> None:
    items = [message(1), message(5), message(5), message(3), message(5, 2.0), message(6)]
    sink, counts = run(items)
    assert len(forecasts(sink)) == 3
    assert {reason: counts["dropped_total", reason] for reason in ("repeat", "late", "clash")} == {
        "repeat": 1,
        "late": 1,
        "clash": 1,
    }


def test_one_stream_is_fed_by_one_topic(tmp_path: Path) -> None:
    """The second topic's messages become dead letters that say what to do."""
    table = {"topic": "s/#", "id": "pump"}
    sink, counts = run([message(1), message(2, topic="s/other"), message(3)], table, tmp_path)
    assert len(forecasts(sink)) == 2
    assert counts["dead_letters_total",] == 1
    kept = Journal(tmp_path)
    [letter] = kept.dead_letters()
    kept.close()
    assert "put what tells them apart into the stream's id" in str(letter["reason"])


def test_only_the_newest_dead_letters_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "DEAD_LETTERS_KEPT", 10)
    run([Message("s/pump", b"{%d" % n, 0) for n in range(25)], None, tmp_path)
    kept = Journal(tmp_path)
    assert [letter["payload"] for letter in kept.dead_letters()] == [
        b"{%d" % n for n in range(15, 25)
    ]
    kept.close()


def test_horizons_in_seconds_without_a_time_say_what_to_do(tmp_path: Path) -> None:
    table = {"time": None, "horizons": ["10s"]}
    run([Message("s/pump", b"1", None)], table, tmp_path)
    kept = Journal(tmp_path)
    [letter] = kept.dead_letters()
    kept.close()
    assert "give it a time = { path = ... }, or horizons in samples" in str(letter["reason"])


def test_events_are_counted_by_type() -> None:
    values = [math.sin(n / 5) for n in range(400)]
    values[300] = 50.0
    sink, counts = run([message(n, value) for n, value in enumerate(values)])
    told = [json.loads(output.payload) for output in said(sink, "event")]
    assert ("anomaly", "start") in {(event["type"], event["phase"]) for event in told}
    assert counts["events_total", "anomaly"] == sum(one["type"] == "anomaly" for one in told)


def test_online_is_said_when_ready_and_again_after_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.05)
    sink, _ = run([message(1), DROP, message(2)])
    assert [output.payload for output in said(sink, "status")] == [b"online", b"online"]
    assert json.loads(said(sink, "info")[0].payload)["instance"] == "i"


def test_health_and_the_list_of_streams_are_said() -> None:
    sink, _ = run([message(n, topic=f"s/pump{n % 2}") for n in range(10)])
    assert json.loads(said(sink, "health")[0].payload)["v"] == 1
    streams = json.loads(said(sink, "streams")[-1].payload)["streams"]
    assert streams == [
        {"id": name, "status": "warming", "stale": False} for name in ("pump0", "pump1")
    ]
    assert {output.stream for output in said(sink, "state")} == {"pump0", "pump1"}


def test_states_are_said_at_most_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announce, "STATE_EVERY_SECS", 1000.0)
    sink, _ = run([message(n) for n in range(50)])
    assert len(said(sink, "state")) <= 2, "the first, and the last at the end"


def test_snapshots_come_by_the_clock_where_records_are_few(tmp_path: Path) -> None:
    items = [message(n) for n in range(20)]
    _, rarely = run(items, None, tmp_path / "a", Retention(snapshot_every_secs=3600.0))
    _, often = run(items, None, tmp_path / "b", Retention(snapshot_every_secs=0.0))
    assert rarely["snapshots_total",] == 1, "at the end"
    assert often["snapshots_total",] > 10


@pytest.mark.parametrize(
    ("retention", "kept"),
    [
        (Retention(keep_secs=1e10), 600),
        (Retention(keep_secs=0.0), 100),
        (Retention(keep_secs=1e10, max_bytes=1), 100),
    ],
    ids=["kept", "not kept", "too large"],
)
def test_records_are_kept_as_long_and_as_large_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retention: Retention, kept: int
) -> None:
    monkeypatch.setattr(rows, "REPEATS_KEPT", 100)
    monkeypatch.setattr(snapshots, "REDO_LIMIT", 50)
    run([message(n) for n in range(600)], None, tmp_path, retention)
    store = Journal(tmp_path)
    count = sum(1 for _ in store.records_after(0))
    store.close()
    assert kept <= count <= kept + 200
    assert (count == 600) == (kept == 600)


def crossings(sink: CollectingSink) -> set[tuple[str, str, float]]:
    told = [json.loads(output.payload) for output in said(sink, "event")]
    return {(one["phase"], one["id"], one["limit"]) for one in told if one["type"] == "crossing"}


def test_crossings_under_way_go_on_after_a_crash_and_a_changed_plan(tmp_path: Path) -> None:
    """Each starts once and ends once, as without the crash and the change."""
    values = [20.0] * 100 + [20 + n / 2 for n in range(150)] + [20.0] * 100
    table = {"limits": {"v": [None, 60.0]}, "horizons": [1, 12]}
    changed = {**table, "units": {"v": "m"}}
    items: list[Any] = [Batch([message(n, v)], "") for n, v in enumerate(values)]
    uncut, _ = run(items, table)
    starts = {id_ for phase, id_, _ in crossings(uncut) if phase == "start"}
    under_way = next(n for n, value in enumerate(values) if value > 70)
    assert starts
    sink = CollectingSink()
    with pytest.raises(Abort):
        run([*items[: under_way - 5], ABORT], table, tmp_path, sink=sink)
    run(items[:under_way], table, tmp_path, sink=sink)
    run(items, changed, tmp_path, sink=sink)
    assert crossings(sink) == crossings(uncut)


def test_a_journal_on_disk_is_synced_at_every_commit(tmp_path: Path) -> None:
    store = Journal(tmp_path)
    (mode,) = store._db.execute("PRAGMA synchronous").fetchone()
    (kind,) = store._db.execute("PRAGMA journal_mode").fetchone()
    store.close()
    assert (mode, kind) == (2, "wal"), "2 is FULL"


def test_two_tables_that_give_one_stream_different_fields_do_not_meet(tmp_path: Path) -> None:
    """The second is told to go by another id; the daemon goes on, and starts again."""
    both = [
        StreamSettings(**{**TABLE, "id": "x", "fields": {"v": "v"}}),
        StreamSettings(**{**TABLE, "id": "x", "fields": {"v": "v", "t": "t"}}),
    ]
    for part in ([message(1), message(2)], [message(3)]):
        Pipeline(
            Journal(tmp_path),
            [(ScriptedSource(part, id=f"part{part[0].received}"), StreamMap(both, JsonCodec()))],
            [sink := CollectingSink()],
            Observer(),
            instance="i",
            model=ModelSettings(units=8),
        ).run()
        assert [list(told["targets"]) for told in forecasts(sink)] == [["v"]] * len(part)
    kept = Journal(tmp_path)
    assert "give one another id" in str(kept.dead_letters()[0]["reason"])
    kept.close()


def test_a_time_that_is_configured_later_is_used_from_then_on(tmp_path: Path) -> None:
    run([message(5_000)], {"time": None}, tmp_path)
    sink, _ = run([message(5_000), message(1_000_000)], TABLE, tmp_path)
    assert [(told["epoch"], told["time"]) for told in forecasts(sink)] == [
        (1, "1970-01-12T13:46:40Z")
    ]


def test_one_bad_field_of_one_table_does_not_spoil_the_other_table(tmp_path: Path) -> None:
    tables = [
        StreamSettings(**{**TABLE, "id": "good", "fields": {"v": "v"}}),
        StreamSettings(**{**TABLE, "id": "bad", "fields": {"w": "nowhere"}}),
    ]
    sink = CollectingSink()
    Pipeline(
        Journal(tmp_path),
        [(ScriptedSource([message(1)]), StreamMap(tables, JsonCodec()))],
        [sink],
        Observer(),
        instance="i",
        model=ModelSettings(units=8),
    ).run()
    assert [told["stream"] for told in forecasts(sink)] == ["good"]


def test_a_limit_applies_only_to_streams_that_have_what_it_limits(tmp_path: Path) -> None:
    sink, _ = run([message(n) for n in range(60)], {"limits": {"temp": [0.0, 1.0]}}, tmp_path)
    assert len(forecasts(sink)) == 60


def test_targets_that_the_first_message_does_not_have_are_told(tmp_path: Path) -> None:
    run([message(1)], {"targets": ["temp"]}, tmp_path)
    kept = Journal(tmp_path)
    [letter] = kept.dead_letters()
    kept.close()
    assert "has no 'temp' for its targets (it has: v)" in str(letter["reason"])
