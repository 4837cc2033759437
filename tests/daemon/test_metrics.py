"""What the metrics say of the streams is what the streams say of themselves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from runs import pipeline

from streamlnn.daemon import stream_gauges
from streamlnn.daemon.metrics import HELP, StreamCollector, alone, registry
from streamlnn.daemon.status import Status
from streamlnn.daemon.stream_gauges import each, totals
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

NAMES = ("north/a", "north/b", "south/c")
RECORDS = 80


def message(name: str, n: int) -> Message:
    payload = json.dumps({"t": 60 * n, "v": n % 7, "w": n % 5}).encode()
    return Message(f"s/{name}", payload, 60 * n * NANOSECONDS)


@pytest.fixture
def status(tmp_path: Path) -> Status:
    """Three streams of two targets, a record a minute."""
    table = {"topic": "s/{side}/{name}", "id": "{side}/{name}", "horizons": ["1m", "1h"]}
    table |= {"time": {"path": "t", "format": "unix"}, "fields": {"v": "v", "w": "w"}}
    batch = Batch([message(name, n) for n in range(RECORDS) for name in NAMES], "")
    made = Status()
    pipeline(tmp_path, ScriptedSource([batch]), CollectingSink(), table, observer=made).run()
    return made


def test_totals_count_streams_and_average_what_they_know(status: Status) -> None:
    lives = status.watched()
    found = totals(lives.values())
    by_status = {labels[0][1]: n for (name, labels), n in found.items() if name.endswith("status")}
    assert sum(by_status.values()) == len(NAMES)
    assert by_status["ok"] == sum(live.last[0].status == "ok" for live in lives.values())
    assert found["newest_record_timestamp_seconds", ()] == 60 * (RECORDS - 1)
    assert found["unsnapshotted_records", ()] == sum(live.fresh for live in lives.values())
    coverage = [live.last[0].coverage[0] for live in lives.values()]
    assert found["coverage_ratio", (("h", "1m"),)] == pytest.approx(sum(map(sum, coverage)) / 6)


def test_what_no_stream_knows_yet_is_left_out() -> None:
    found = totals([])
    assert set(found.values()) == {0}
    assert not any("ratio" in name or "timestamp" in name for name, _ in found)


def test_a_stream_shows_its_newest_value_and_forecasts(status: Status) -> None:
    found = each(status.watched(), "north/*")
    assert {dict(labels).get("stream") for _, labels in found} == {None, *NAMES[:2]}
    forecast = status.watched()["north/b"].last[0]
    labels = (("stream", "north/b"), ("target", "w"))
    assert found["value", labels] == (RECORDS - 1) % 5
    assert found["anomaly_score", labels] == forecast.anomaly_score[1]
    for k, h in enumerate(("1m", "1h")):
        for q in ("yhat", "yhat_lower", "yhat_upper"):
            assert found["forecast", (*labels, ("h", h), ("q", q))] == getattr(forecast, q)[k, 1]


def test_a_stale_stream_and_those_beyond_the_bound_are_not_shown(
    status: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives = status.watched()
    lives["north/a"].stale = True
    shown = each(lives, "*")
    assert {dict(labels).get("stream") for _, labels in shown} == {None, *NAMES[1:]}
    monkeypatch.setattr(stream_gauges, "MOST_STREAMS", 2)
    shown = each(lives, "*")
    assert {dict(labels).get("stream") for _, labels in shown} == {None, "north/b"}
    assert shown["streams_left_out", ()] == 1


def test_what_a_source_has_counted_is_a_counter(status: Status) -> None:
    status.gauge("source_dropped", 3, source="plant", reason="late")
    status.gauge("source_unacked", 2, source="plant")
    text = generate_latest(registry(status)).decode()
    kinds = {family.name: family.type for family in text_string_to_metric_families(text)}
    assert kinds["streamlnn_source_dropped"] == "counter"
    assert kinds["streamlnn_source_unacked"] == "gauge"
    assert 'streamlnn_source_dropped_total{reason="late",source="plant"} 3.0' in text


def test_every_metric_of_our_own_says_what_it_is(status: Status) -> None:
    for collector in (registry(status), alone(StreamCollector(status, "*"))):
        for family in text_string_to_metric_families(generate_latest(collector).decode()):
            name = family.name.removeprefix("streamlnn_")
            assert name.startswith("process_") or {name, f"{name}_total"} & set(HELP)
