"""What is on its way to a sink: in order, within a window, written again after a loss."""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from streamlnn.pipeline import outbox
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.outbox import Outbox
from streamlnn.pipeline.testing import CollectingSink


def forecast(lsn: int, kind: str = "forecast") -> Output:
    return Output(kind, f"{kind} {lsn}".encode(), "s", lsn)  # type: ignore[arg-type]


def outbox_of(sink: CollectingSink, watermark: int = 0, journal: Journal | None = None) -> Outbox:
    journal = journal or Journal(None)
    with journal.transaction():
        journal.save_watermark(sink.id, watermark)
    return Outbox(sink, journal)


def state(text: bytes, stream: str = "s") -> Output:
    return Output("state", text, stream)


def test_what_is_confirmed_moves_the_watermark() -> None:
    sink = CollectingSink()
    box = outbox_of(sink, 3)
    box.add([forecast(lsn) for lsn in (3, 4, 5)])
    box.push(0.0)
    assert [output.lsn for output in sink.durable] == [4, 5], "3 was confirmed before"
    assert (box.watermark, len(box), box.delivered) == (5, 0, 2)


def test_the_watermark_waits_for_every_output_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW", 2)
    box = outbox_of(CollectingSink(), 0)
    box.add([forecast(1), forecast(2), forecast(2, "event"), forecast(3)])
    box.push(0.0)
    assert box.watermark == 1
    box.push(0.0)
    assert box.watermark == 3


def test_no_more_than_a_window_is_in_the_sinks_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW", 10)
    sink = CollectingSink()
    sink.holds = True
    box = outbox_of(sink, 0)
    box.add([forecast(lsn) for lsn in range(1, 50)])
    for _ in range(3):
        box.push(0.0)
    assert len(sink.durable) == 10
    assert len(box) == 49


def test_after_a_loss_all_that_was_not_confirmed_is_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    sink = CollectingSink()
    sink.holds = True
    box = outbox_of(sink, 0)
    box.add([forecast(1), forecast(2)])
    box.push(0.0)
    sink.fail_next, sink.holds = True, False
    box.add([forecast(3)])
    box.push(0.0)
    assert not box.link.up
    box.push(0.0)
    assert [output.lsn for output in sink.durable] == [1, 2, 1, 2, 3]
    assert (sink.connects, box.watermark) == (2, 3)


def test_of_what_tells_how_things_are_only_the_newest_is_written() -> None:
    sink = CollectingSink()
    box = outbox_of(sink, 0)
    box.add([state(b"old"), state(b"other", "t"), state(b"new")])
    box.push(0.0)
    assert [output.payload for output in sink.outputs] == [b"new", b"other"]
    box.push(0.0)
    assert len(sink.outputs) == 2


def test_how_things_are_is_said_after_a_loss_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    sink = CollectingSink()
    sink.fail_next = True
    box = outbox_of(sink, 0)
    box.add([state(b"new")])
    box.push(0.0)
    assert sink.outputs == []
    box.push(0.0)
    assert [output.payload for output in sink.outputs] == [b"new"]


def test_in_memory_a_full_outbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay without a store has no place for what a sink is behind by: its file waits."""
    monkeypatch.setattr(outbox, "FULL", 5)
    box = outbox_of(CollectingSink())
    box.add([forecast(lsn) for lsn in range(1, 6)])
    assert box.full(10**9)
    box.push(0.0)
    assert not box.full(10**9)


def test_what_a_snapshot_of_a_stream_would_pass_is_kept() -> None:
    sink, journal = CollectingSink(), Journal(None)
    sink.holds = True
    box = outbox_of(sink, journal=journal)
    box.add([forecast(1), Output("forecast", b"", "t", 2), forecast(3), forecast(9)])
    with journal.transaction():
        box.keep({"s": 8})
    assert [output.lsn for output in journal.kept_outputs(sink.id)] == [1, 3]


def test_what_does_not_fit_into_memory_waits_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "FULL", 10)
    monkeypatch.setattr(outbox, "_LEAST_LOADED", 3)
    with closing(Journal(tmp_path)) as journal:
        sink = CollectingSink()
        sink.holds = True
        box = outbox_of(sink, journal=journal)
        for lsn in range(1, 100):
            box.add([forecast(lsn), forecast(lsn, "event")])
            with journal.transaction():
                box.spill()
        assert len(box) == 198
        assert len(box._waiting) == 10
        assert not box.full(10**9)
        assert box.full(1)
        sink.holds = False
        while box:
            box.push(0.0)
        assert [output.lsn for output in sink.durable] == [n // 2 for n in range(2, 200)]
        assert box.watermark == 99


STEPS = some.lists(
    some.tuples(
        some.sampled_from(["add", "commit", "push", "hold", "notice", "crash"]), some.integers(1, 9)
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_all_comes_in_order_and_the_watermark_passes_nothing(
    steps: list[tuple[str, int]],
) -> None:
    """A crash loses what is in memory; what was committed as a record is redone."""
    sink, lsn = CollectingSink(), 0
    with (
        tempfile.TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patch,
        closing(Journal(Path(folder), durable=False)) as journal,
    ):
        patch.setattr(outbox, "FULL", 6)
        patch.setattr(outbox, "WINDOW", 4)
        patch.setattr(outbox, "_LEAST_LOADED", 3)
        box = outbox_of(sink, journal=journal)
        for what, n in [*steps, ("release", 0)]:
            if what == "add":
                for _ in range(n):
                    lsn += 1
                    box.add(made(lsn))
            elif what == "commit":
                commit(journal, box)
            elif what == "push":
                box.push(0.0)
            elif what == "hold":
                sink.holds = n < 6
            elif what == "notice":
                add_notice(journal, box, lsn)
            elif what == "crash":
                commit(journal, box)
                box = Outbox(sink, journal)
                with journal.transaction():
                    box.refill([one for n in range(1, lsn + 1) for one in made(n)])
            assert box.watermark <= confirmed_up_to(sink), "nothing unconfirmed is passed"
        sink.holds = False
        while box:
            box.push(0.0)
        first_seen = list(dict.fromkeys(one.payload for one in sink.durable if not one.notice))
        assert first_seen == [one.payload for n in range(1, lsn + 1) for one in made(n)]
        assert box.watermark == lsn or not lsn


def made(lsn: int) -> list[Output]:
    return [forecast(lsn), *[forecast(lsn, "event")] * (lsn % 3 == 0)]


def commit(journal: Journal, box: Outbox) -> None:
    with journal.transaction():
        box.spill()
        journal.save_watermark(box.sink.id, box.watermark)


def add_notice(journal: Journal, box: Outbox, lsn: int) -> None:
    output = Output("event", b"stale", "s", lsn)
    with journal.transaction():
        number = journal.keep_notice(box.sink.id, output)
    box.add([replace(output, notice=number)])


def confirmed_up_to(sink: CollectingSink) -> int:
    """The number up to which every output of a record has been given to the sink."""
    given, lsn = {output.payload for output in sink.durable}, 0
    while all(one.payload in given for one in made(lsn + 1)) and given:
        lsn += 1
        if not any(one.payload in given for one in made(lsn + 1)):
            break
    return lsn
