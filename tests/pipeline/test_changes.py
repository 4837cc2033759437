"""Streams that run already: what a changed configuration, or a stranger's message, does to them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from runs import MODEL, batches, payload, pipeline, said

from connectors.codecs import JsonCodec
from streamlnn.errors import StoreError
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.store import open_file
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ABORT, Abort, CollectingSink, ScriptedSource

BEFORE = {"horizons": [1, 3], "level": 0.9}
KEEPS = {**BEFORE, "level": 0.8}
BEGINS_ANEW = {**BEFORE, "horizons": [1, 2]}


def run(
    folder: Path,
    items: Sequence[Any],
    table: dict[str, Any],
    sink: CollectingSink | None = None,
) -> CollectingSink:
    """Run until the script's end or its first abort."""
    sink = sink or CollectingSink()
    with suppress(Abort):
        pipeline(folder, ScriptedSource(items), sink, table).run()
    return sink


def run_tables(folder: Path, items: Sequence[Any], *tables: dict[str, Any]) -> CollectingSink:
    sink = CollectingSink()
    streams = StreamMap([StreamSettings(**table) for table in tables], JsonCodec())
    Pipeline(
        Journal(folder),
        [(ScriptedSource(items), streams)],
        [sink],
        Observer(),
        instance="i",
        model=MODEL,
        max_streams=2,
    ).run()
    assert len(streams.layouts) <= 2, "of streams that there are not nothing is kept"
    return sink


@pytest.mark.parametrize("after", [KEEPS, BEGINS_ANEW])
def test_what_nobody_has_confirmed_outlives_a_crash_a_change_and_a_crash(
    tmp_path: Path, after: dict[str, Any]
) -> None:
    items = batches(30)
    deaf = CollectingSink()
    deaf.holds = True
    run(tmp_path, [*items[:3], ABORT], BEFORE, deaf)
    run(tmp_path, [*items[:4], ABORT], after, deaf)
    heard = said(run(tmp_path, items, after).durable)
    assert len(heard) == 30
    assert {one: heard[one] for one in said(deaf.durable)} == said(deaf.durable)


@pytest.mark.parametrize("after", [KEEPS, BEGINS_ANEW])
def test_what_only_a_damaged_snapshot_knew_is_not_taken_for_nothing(
    tmp_path: Path, after: dict[str, Any]
) -> None:
    """A stream that has begun anew has lost nothing; one whose state was kept has."""
    items = batches(30)
    run(tmp_path, items[:3], BEFORE)
    whole = said(run(tmp_path, [*items[:5], ABORT], after).durable)
    with closing(open_file(tmp_path, durable=True, read_only=False)) as db:
        db.execute("UPDATE snapshots SET state = zeroblob(length(state))")
    if after is KEEPS:
        for _ in range(2):
            with pytest.raises(StoreError, match=r"no snapshot of stream '.*' is sound"):
                pipeline(tmp_path, ScriptedSource(items), CollectingSink(), after).run()
    else:
        again = said(run(tmp_path, items, after).durable)
        assert {one: again.get(one, values) for one, values in whole.items()} == whole


def test_a_message_of_another_topic_changes_nothing_of_a_stream(tmp_path: Path) -> None:
    """Also the first one after a restart, when the configuration is yet to be looked at."""
    tables = (
        {"topic": "plant/{d}", "id": "{d}"},
        {"topic": "lab/{d}", "id": "lab-{d}", "fields": {"other": "v"}},
    )
    ours = [Message("plant/lab-7", payload(n, 1.0), n) for n in range(4)]
    strange = Message("lab/7", payload(9, 1.0), 9)
    run_tables(tmp_path, ours[:2], *tables)
    sink = run_tables(tmp_path, [*ours[:2], strange, *ours[2:]], *tables)
    assert sorted(said(sink.durable)) == [("lab-7", 0, 2), ("lab-7", 0, 3)]


def test_a_refused_message_does_not_say_what_fields_there_are(tmp_path: Path) -> None:
    table = {"topic": "s/{name}", "id": "{name}", "targets": ["v"]}
    items = [
        Message("s/a", b'{"boot": 1}', 1),
        *(Message("s/a", payload(n, 1.0), n) for n in (2, 3)),
    ]
    assert len(said(run_tables(tmp_path, items, table).durable)) == 2


def test_nothing_is_kept_of_streams_that_are_too_many(tmp_path: Path) -> None:
    table = {"topic": "s/{name}", "id": "{name}"}
    items = [Message(f"s/{n}", payload(n, 1.0), n) for n in range(10)]
    assert len(said(run_tables(tmp_path, items, table).durable)) == 2


def test_a_retained_message_is_no_news_after_a_change_either(tmp_path: Path) -> None:
    table = {**BEFORE, "time": None}
    old = [Batch([Message("s/a", payload(n, 1.0), n * 10**9)], "") for n in range(3)]
    retained = Batch([Message("s/a", payload(2, 1.0), 9 * 10**9, retained=True)], "")
    run(tmp_path, old, table)
    assert said(run(tmp_path, [*old, retained], {**table, "level": 0.8}).durable) == {}
