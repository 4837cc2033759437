"""What is on its way to a sink: in order, within a window, written again after a loss."""

from __future__ import annotations

import pytest

from streamlnn.pipeline import outbox
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.outbox import Outbox
from streamlnn.pipeline.testing import CollectingSink


def forecast(lsn: int, kind: str = "forecast") -> Output:
    return Output(kind, f"{kind} {lsn}".encode(), "s", lsn)  # type: ignore[arg-type]


def state(text: bytes, stream: str = "s") -> Output:
    return Output("state", text, stream)


def test_what_is_confirmed_moves_the_watermark() -> None:
    sink = CollectingSink()
    box = Outbox(sink, watermark=3)
    box.add([forecast(lsn) for lsn in (3, 4, 5)])
    box.push(0.0)
    assert [output.lsn for output in sink.durable] == [4, 5], "3 was confirmed before"
    assert (box.watermark, len(box), box.delivered) == (5, 0, 2)


def test_the_watermark_waits_for_every_output_of_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW", 2)
    box = Outbox(CollectingSink(), watermark=0)
    box.add([forecast(1), forecast(2), forecast(2, "event"), forecast(3)])
    box.push(0.0)
    assert box.watermark == 1
    box.push(0.0)
    assert box.watermark == 3


def test_no_more_than_a_window_is_in_the_sinks_hands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "WINDOW", 10)
    sink = CollectingSink()
    sink.holds = True
    box = Outbox(sink, watermark=0)
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
    box = Outbox(sink, watermark=0)
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
    box = Outbox(sink, watermark=0)
    box.add([state(b"old"), state(b"other", "t"), state(b"new")])
    box.push(0.0)
    assert [output.payload for output in sink.outputs] == [b"new", b"other"]
    box.push(0.0)
    assert len(sink.outputs) == 2


def test_how_things_are_is_said_after_a_loss_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    sink = CollectingSink()
    sink.fail_next = True
    box = Outbox(sink, watermark=0)
    box.add([state(b"new")])
    box.push(0.0)
    assert sink.outputs == []
    box.push(0.0)
    assert [output.payload for output in sink.outputs] == [b"new"]


def test_a_full_outbox_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FULL", 5)
    box = Outbox(CollectingSink(), watermark=0)
    box.add([forecast(lsn) for lsn in range(1, 6)])
    assert box.full
    box.push(0.0)
    assert not box.full


def test_what_a_snapshot_of_a_stream_would_pass_is_told() -> None:
    sink = CollectingSink()
    sink.holds = True
    box = Outbox(sink, watermark=0)
    box.add([forecast(1), Output("forecast", b"", "t", 2), forecast(3), forecast(9)])
    assert [output.lsn for output in box.unconfirmed({"s": 8})] == [1, 3]
