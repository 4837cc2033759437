"""Kill the pipeline at every step; what it says after the restart is what it would have said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from runs import (
    BrokerLike,
    batches,
    events,
    limited,
    often,
    pipeline,
    run_to_the_end,
    said,
    uncut,
)

from streamlnn.pipeline import outbox, recovery, snapshots
from streamlnn.pipeline.journal import FILE, Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.testing import ABORT, DROP, Abort, CollectingSink, ScriptedSource


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch, records=20)


@pytest.mark.parametrize("kind", [ScriptedSource, BrokerLike])
def test_a_kill_between_any_two_batches_changes_nothing(tmp_path: Path, kind: Any) -> None:
    items = batches(120)
    reference = uncut(items)
    sink = CollectingSink()
    script = [item for batch in items for item in (batch, ABORT)]
    assert run_to_the_end(tmp_path, kind(script), sink) == len(items)
    assert said(sink.durable) == said(reference.durable)
    assert events(sink.durable) == events(reference.durable)


def test_a_lost_connection_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    items = batches(60)
    sink = CollectingSink()
    script = [item for batch in items for item in (batch, DROP)]
    assert run_to_the_end(tmp_path, ScriptedSource(script), sink) == 0
    assert said(sink.durable) == said(uncut(items).durable)


KILLING_POINTS: dict[str, tuple[Any, str]] = {
    "append": (Journal, "append"),
    "save_stream": (Journal, "save_stream"),
    "save_position": (Journal, "save_position"),
    "save_watermark": (Journal, "save_watermark"),
    "keep_outputs": (Journal, "keep_outputs"),
    "spill": (outbox.Outbox, "spill"),
    "load": (outbox.Outbox, "_load_stored"),
    "refill": (outbox.Outbox, "refill"),
    "save_snapshot": (Journal, "save_snapshot"),
    "prune": (Journal, "prune"),
    "step": (LiveStream, "step"),
    "ack": (ScriptedSource, "ack"),
    "write": (CollectingSink, "write"),
    "flush": (CollectingSink, "flush"),
}


@contextmanager
def killing(owner: Any, name: str, call: int, *, before: bool) -> Iterator[None]:
    """The process dies before or after the n-th call of a method."""
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and before:
            raise Abort
        result = original(*args, **kwargs)
        if calls == call:
            raise Abort
        return result

    setattr(owner, name, wrapper)
    try:
        yield
    finally:
        setattr(owner, name, original)


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("point", KILLING_POINTS)
def test_a_kill_at_any_point_changes_nothing(tmp_path: Path, point: str, before: bool) -> None:
    """Each point is hit at its first calls and at some later ones, with both kinds of source."""
    items = batches(45)
    reference = said(uncut(items).durable)
    owner, name = KILLING_POINTS[point]
    for call in (1, 2, 3, 5, 9, 14):
        for kind in (ScriptedSource, BrokerLike):
            folder = tmp_path / f"{call}-{kind.__name__}"
            source, sink = kind(items), CollectingSink()
            with killing(owner, name, call, before=before):
                run_to_the_end(folder, source, sink)
            assert said(sink.durable) == reference, f"call {call} of {name}, {kind.__name__}"


@settings(max_examples=40, deadline=None)
@given(
    plan=some.lists(
        some.tuples(some.sampled_from(sorted(KILLING_POINTS)), some.integers(1, 40)),
        min_size=1,
        max_size=6,
    ),
    size=some.integers(1, 12),
    like_a_broker=some.booleans(),
    holds=some.booleans(),
)
def test_any_row_of_kills_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    plan: list[tuple[str, int]],
    size: int,
    like_a_broker: bool,
    holds: bool,
) -> None:
    """Kills follow each other, also in the recovery from the one before, also with a slow sink."""
    items = batches(60, size)
    reference = said(uncut(items).durable)
    folder = tmp_path_factory.mktemp("store")
    source, sink = (BrokerLike if like_a_broker else ScriptedSource)(items), CollectingSink()
    sink.holds = holds
    for point, call in plan:
        with killing(*KILLING_POINTS[point], call, before=call % 2 == 0):
            try:
                limited(pipeline(folder, source, sink)).run()
            except Abort:
                continue
    sink.holds = False
    run_to_the_end(folder, source, sink)
    assert said(sink.durable) == reference


def test_every_message_is_on_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    class Watching(ScriptedSource):
        def ack(self, position: str) -> None:
            with closing(sqlite3.connect(f"file:{tmp_path / FILE}?mode=ro", uri=True)) as db:
                (stored,) = db.execute("SELECT count(*) FROM log").fetchone()
            assert stored == 5 * int(position)
            super().ack(position)

    source = Watching(batches(40))
    pipeline(tmp_path, source, CollectingSink()).run()
    assert len(source.acks) == 8


def test_forecasts_that_a_sink_never_confirmed_are_said_again_with_the_same_value(
    tmp_path: Path,
) -> None:
    items = batches(80)
    deaf = CollectingSink()
    deaf.holds = True
    limited(pipeline(tmp_path, ScriptedSource(items), deaf)).run()
    hearing = CollectingSink()
    pipeline(tmp_path, ScriptedSource(items), hearing).run()
    assert said(hearing.durable) == said(uncut(items).durable)


def test_what_was_confirmed_is_not_said_again_after_a_clean_stop(tmp_path: Path) -> None:
    items = batches(40)
    pipeline(tmp_path, ScriptedSource(items), CollectingSink()).run()
    again = CollectingSink()
    pipeline(tmp_path, ScriptedSource(items), again).run()
    assert again.durable == []


def flip_a_bit_of_every_newest_snapshot(folder: Path) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        query = "SELECT stream, max(lsn), state FROM snapshots GROUP BY stream"
        for stream, lsn, state in db.execute(query).fetchall():
            damaged = bytearray(state)
            damaged[len(state) // 2] ^= 1
            where = (bytes(damaged), stream, lsn)
            db.execute("UPDATE snapshots SET state = ? WHERE stream = ? AND lsn = ?", where)


def test_a_damaged_snapshot_is_left_out_and_the_one_before_it_used(tmp_path: Path) -> None:
    first, rest = batches(120)[:12], batches(120)[12:]
    sink = CollectingSink()
    pipeline(tmp_path, ScriptedSource(first), sink).run()
    flip_a_bit_of_every_newest_snapshot(tmp_path)
    pipeline(tmp_path, ScriptedSource([*first, *rest]), sink).run()
    assert said(sink.durable) == said(uncut([*first, *rest]).durable)


def test_a_new_sink_begins_with_what_comes_next(tmp_path: Path) -> None:
    pipeline(tmp_path, ScriptedSource(batches(40)), CollectingSink()).run()
    newcomer = CollectingSink(id="newcomer")
    pipeline(tmp_path, ScriptedSource(batches(50)), newcomer).run()
    assert len(said(newcomer.durable)) == 10


def test_a_changed_level_keeps_the_state_and_changed_horizons_begin_a_new_epoch(
    tmp_path: Path,
) -> None:
    sink = CollectingSink()
    pipeline(tmp_path, ScriptedSource(batches(40)), sink).run()
    wider = CollectingSink()
    pipeline(tmp_path, ScriptedSource(batches(60)), wider, {"level": 0.5}).run()
    assert {(epoch, seq >= 13) for _, epoch, seq in said(wider.durable)} == {(0, True)}
    other = CollectingSink()
    pipeline(tmp_path, ScriptedSource(batches(80)), other, {"horizons": [2]}).run()
    assert {epoch for _, epoch, _ in said(other.durable)} == {1}
    assert min(seq for _, _, seq in said(other.durable)) == 0


def test_after_a_change_of_plan_a_crash_is_recovered_under_the_plan_that_was_in_force(
    tmp_path: Path,
) -> None:
    """The uncut run and the killed one see the same change at the same record."""

    def changed_run(folder: Path, kill: bool) -> dict[tuple[str, int, int], set[bytes]]:
        sink = CollectingSink()
        pipeline(folder, ScriptedSource(batches(40)), sink).run()
        tail = [*batches(60), *([ABORT] if kill else []), *batches(80)[12:]]
        source = ScriptedSource(tail)
        for _ in range(2 if kill else 1):
            with suppress(Abort):
                pipeline(folder, source, sink, {"level": 0.5}).run()
        return said(sink.durable)

    assert changed_run(tmp_path / "cut", kill=True) == changed_run(tmp_path / "uncut", kill=False)


def test_a_stop_during_recovery_is_heard_at_once_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "REDO_LIMIT", 10_000)
    monkeypatch.setattr(recovery, "BLOCK", 10)
    items = batches(60)
    source, sink = ScriptedSource([*items, ABORT]), CollectingSink()
    with suppress(Abort):
        limited(pipeline(tmp_path, source, sink)).run()
    steps = 0
    original = LiveStream.step

    def stopping_step(live: LiveStream, *args: Any) -> Any:
        nonlocal steps
        steps += 1
        stopped.stop.set()
        return original(live, *args)

    with monkeypatch.context() as patch:
        patch.setattr(LiveStream, "step", stopping_step)
        stopped = pipeline(tmp_path, source, sink)
        stopped.run()
    assert 0 < steps <= 10
    pipeline(tmp_path, source, sink).run()
    assert said(sink.durable) == said(uncut(items).durable)


def test_a_new_epoch_that_is_killed_at_once_does_not_fall_back_on_what_was_learned_before(
    tmp_path: Path,
) -> None:
    """The clean stop before the change has left a snapshot at the very record of the change."""
    pipeline(tmp_path, ScriptedSource(batches(40)), CollectingSink()).run()
    script = [*batches(50), ABORT, *batches(60)[10:]]
    source, sink = ScriptedSource(script), CollectingSink()
    for _ in range(2):
        with suppress(Abort):
            pipeline(tmp_path, source, sink, {"horizons": [2]}).run()
    found = said(sink.durable)
    assert {epoch for _, epoch, _ in found} == {1}
    assert sorted(seq for name, _, seq in found if name == "slow") == list(range(6))
    assert all(len(payloads) == 1 for payloads in found.values())
