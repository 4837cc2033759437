"""Slow and absent consumers, floods of streams, poison. Injected: a sink that confirms nothing for
long, one that is lost, ids without end, a record on which the model fails, before and after a
crash. Must hold: memory is bounded, the other sinks go on, what was not said is said later in
order, and whoever is well is not held up.
"""

from __future__ import annotations

import json
import math
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from runs import TABLE, BrokerLike, batches, limited, pipeline, said, uncut

from connectors.codecs import JsonCodec
from streamlnn.model.forecaster import Forecaster
from streamlnn.pipeline import outbox
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.messages import schema
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ABORT, DROP, Abort, CollectingSink, ScriptedSource


class Watching(Observer):
    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + n


def two_sinks(folder: Path, source: Any, *sinks: CollectingSink, **more: Any) -> Pipeline:
    streams = StreamMap([StreamSettings(**TABLE)], JsonCodec())
    made = Pipeline(
        Journal(folder),
        [(source, streams)],
        sinks,
        more.pop("observer", Observer()),
        instance="i",
        model=ModelSettings(units=8),
        **more,
    )
    return limited(made)


def test_a_sink_that_takes_nothing_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FULL", 50)
    items = batches(400, 20)
    deaf, well = CollectingSink(id="deaf"), CollectingSink(id="well")
    deaf.holds = True
    made = two_sinks(tmp_path, ScriptedSource(items), deaf, well)
    made.run()
    waiting = made._delivery.outboxes[0]
    assert len(waiting._waiting) <= 51, "memory is bounded"
    assert made.undelivered == 400
    reference = said(uncut(items).durable)
    assert said(well.durable) == reference
    deaf.holds = False
    again = two_sinks(tmp_path, ScriptedSource(items), deaf, well)
    again.drain_secs = 60.0
    again.run()
    assert said(deaf.durable) == reference
    order = list(dict.fromkeys(one.lsn for one in deaf.durable))
    assert order == sorted(order), "what was not said is said in order"


def test_where_there_is_no_room_left_the_sources_wait_and_it_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(outbox, "FULL", 20)
    sink = CollectingSink()
    sink.holds = True
    turns = 0

    def release() -> None:
        sink.holds = False

    class Patient(ScriptedSource):
        def idle(self) -> None:
            nonlocal turns
            turns += 1
            if turns == 30:
                release()

    items = batches(300, 10)
    made = two_sinks(tmp_path, Patient(items), sink, retention=Retention(max_bytes=300_000))
    made.drain_secs = 60.0
    made.run()
    assert turns >= 30, "it was waited for the sink"
    assert said(sink.durable) == said(uncut(items).durable)
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "no room for what sink 'collecting' has not taken",
        "the sinks have room again",
    ]


def test_ids_without_end_are_refused_and_counted(tmp_path: Path) -> None:
    flood = [Batch([Message(f"s/{n}", b'{"t":1,"v":2}', 1) for n in range(500)], "")]
    own = [Batch([Message("s/1", b'{"t":%d,"v":2}' % t, t)], "") for t in range(2, 6)]
    sink, observer = CollectingSink(), Watching()
    two_sinks(
        tmp_path, ScriptedSource([*flood, *own]), sink, observer=observer, max_streams=3
    ).run()
    assert {stream for stream, _, _ in said(sink.durable)} == {"0", "1", "2"}
    assert len(said(sink.durable)) == 3 + 4, "those that there are go on"
    assert observer.counts["dead_letters_total"] == 497
    with closing(Journal(tmp_path)) as journal:
        assert "raise max_streams in [daemon]" in str(journal.dead_letters()[0]["reason"])


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """The model fails on the value 666, as no model should."""
    step, replay = Forecaster.step, Forecaster.replay

    def failing_step(self: Forecaster, time: Any, values: Any) -> Any:
        if values == 666.0:
            raise ZeroDivisionError
        return step(self, time, values)

    def failing_replay(self: Forecaster, times: Any, values: Any) -> Any:
        if (values == 666.0).any():
            raise ZeroDivisionError
        return replay(self, times, values)

    monkeypatch.setattr(Forecaster, "step", failing_step)
    monkeypatch.setattr(Forecaster, "replay", failing_replay)


@pytest.mark.usefixtures("poisoned")
def test_a_record_on_which_the_model_fails_stops_nothing_and_not_at_the_restart_either(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def line(n: int) -> Message:
        value = 666.0 if n in (7, 13) else math.sin(n)
        payload = json.dumps({"t": n, "v": value}).encode()
        return Message(f"s/{'bad' if n % 2 else 'good'}", payload, n)

    items = [Batch([line(n), line(n + 1)], "") for n in range(0, 40, 2)]
    whole, sink = CollectingSink(), CollectingSink()
    pipeline(tmp_path / "whole", ScriptedSource(items), whole).run()
    assert len(said(whole.durable)) == 40 - 2
    assert [one.levelname for one in caplog.records] == ["ERROR"], "told once"
    source = ScriptedSource([*items[:12], ABORT, *items[12:]])
    for _ in range(2):
        with suppress(Abort):
            pipeline(tmp_path / "cut", source, sink).run()
    assert said(sink.durable) == said(whole.durable)


class Forgetful(BrokerLike):
    """A broker that has forgotten the session whenever the connection was lost."""

    @property
    def stats(self) -> dict[str, int]:
        return {"sessions_lost": max(0, len(self.connects) - 1)}


def test_a_lost_session_is_told_of_every_stream_of_its_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    items, sink = batches(40), CollectingSink()
    pipeline(tmp_path, Forgetful([*items[:4], DROP, *items[4:]]), sink).run()
    events = [json.loads(one.payload) for one in sink.outputs if one.kind == "event"]
    lost = [event for event in events if event["type"] == "session_lost"]
    for event in lost:
        jsonschema.validate(event, schema("event"))
    assert {event["stream"] for event in lost} == {"slow", "fast"}
    assert len(lost) == 2
    assert said(sink.durable) == said(uncut(items).durable)
