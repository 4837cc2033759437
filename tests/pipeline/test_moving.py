"""A stream is exported with all that it is, and what is no sound export changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlnn.errors import StateError, StoreError
from streamlnn.model import arrays
from streamlnn.model.records import NANOSECONDS, Record
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.judge import Verdict, accept, judge
from streamlnn.pipeline.live import LiveStream, begin, restore
from streamlnn.pipeline.moving import current, export_stream, import_stream, reset_stream
from streamlnn.pipeline.plan import ModelSettings, Plan
from streamlnn.pipeline.streams import Layout

PLAN = Plan(
    layout=Layout(("a", "b"), ("a", "b")),
    targets=("b",),
    units=("",),
    horizons=(1, 12),
    seasons=(),
    level=0.9,
    every=None,
    limits={"b": (None, 0.5)},
    model=ModelSettings(units=10).model_dump(),
)


def record(n: int) -> Record:
    values = np.array([np.nan if n % 7 == 0 else np.cos(n / 9), np.sin(n / 5)])
    return Record("pump", (1_700_000_000 + 60 * n) * NANOSECONDS, values)


def step(live: LiveStream, journal: Journal, first: int, last: int) -> list[bytes]:
    made = []
    with journal.transaction():
        for n in range(first, last):
            accept(live.row.clock, record(n).time)
            lsn = journal.append(live.row, record(n))
            made += [output.payload for output in live.step(lsn, record(n))]
        journal.save_stream(live.row)
    return made


def journal_with(records: int) -> tuple[Journal, LiveStream]:
    """A journal in memory, with a stream that has stepped so many records and no snapshot."""
    journal = Journal(None)
    row = StreamRow("pump", "topic", PLAN, epoch=3)
    with journal.transaction():
        journal.save_stream(row)
    live = begin(row, "plant")
    step(live, journal, 0, records)
    return journal, live


@pytest.fixture(scope="module")
def exported() -> bytes:
    journal, live = journal_with(100)
    return export_stream(live, journal)


def test_an_imported_stream_goes_on_where_it_was(exported: bytes) -> None:
    """Same epoch and numbers; crossings that were under way, and repeats, are still known."""
    _, original = journal_with(100)
    assert original.watch.state, "a limit is about to be passed"
    there = Journal(None)
    row = import_stream(there, exported)
    assert (row.epoch, row.owner, row.plan, row.clock) == (3, "topic", PLAN, original.row.clock)
    live = restore(there.streams()["pump"], there, "plant")
    assert live.watch.state == original.watch.state
    again = [record(99), record(40)]
    seen = [judge(row.clock, one.time, one.values.tobytes(), known(there, row)) for one in again]
    assert seen == [Verdict.REPEAT, Verdict.REPEAT]
    assert step(live, there, 100, 120) == step(original, empty_journal(original), 100, 120)


def known(journal: Journal, row: StreamRow) -> Callable[[int], list[bytes]]:
    return lambda time: journal.values_at(row, time)


def empty_journal(live: LiveStream) -> Journal:
    journal = Journal(None)
    live.row.id = 0
    with journal.transaction():
        journal.save_stream(live.row)
    return journal


def test_in_place_of_another_it_begins_a_new_epoch(exported: bytes) -> None:
    journal, live = journal_with(30)
    with journal.transaction():
        live.snapshot(journal)
    before = journal.last_lsn
    row = import_stream(journal, exported)
    assert row.epoch == 4
    assert journal.last_lsn == before + 70, "records that were there are not taken twice"
    assert restore(row, journal, "plant").forecaster.seq == 100
    assert [lsn for lsn, _ in journal.snapshots(row)] == [journal.last_lsn]


def test_what_has_learned_is_forgotten_by_a_reset() -> None:
    journal, live = journal_with(30)
    with journal.transaction():
        live.snapshot(journal)
    reset_stream(journal, live.row)
    row = journal.streams()["pump"]
    assert row.epoch == 4
    assert current(row, journal, "plant").forecaster.seq == 0


def test_nothing_is_changed_while_records_wait_to_be_redone(exported: bytes) -> None:
    journal, live = journal_with(30)
    for change in (
        lambda: reset_stream(journal, live.row),
        lambda: import_stream(journal, exported),
    ):
        with pytest.raises(
            StoreError, match=r"did not end in order.* start the daemon and stop it"
        ):
            change()
    assert journal.streams()["pump"].epoch == 3
    assert current(journal.streams()["pump"], journal, "plant").forecaster.seq == 30


def changed(data: bytes, **changes: Any) -> bytes:
    meta, kept = arrays.unpack(data)
    return arrays.pack(meta | changes, kept)


def other_horizons(data: bytes) -> bytes:
    return changed(data, plan=arrays.unpack(data)[0]["plan"] | {"horizons": [1, 2]})


DAMAGED: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut": (lambda data: data[:-40], "its header says otherwise"),
    "flipped": (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "checksum"),
    "empty": (lambda data: b"", "cut short"),
    "another file": (lambda data: arrays.pack({"a": 1}, {}), "not an exported stream"),
    "no plan": (lambda data: changed(data, plan={"a": 1}), "is not complete"),
    "records of others": (lambda data: changed(data, records=[[1, [1.0]]]), "is not complete"),
    "odd settings": (lambda data: changed(data, settings={"a": 1}), "do not make a forecaster"),
    "another plan": (other_horizons, "is not what its plan asks for"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_no_sound_export_is_refused(name: str, exported: bytes) -> None:
    damage, said = DAMAGED[name]
    journal = Journal(None)
    with pytest.raises(StateError, match=said):
        import_stream(journal, damage(exported))
    assert journal.streams() == {}


def test_a_journal_that_is_only_read_is_as_it_was_and_not_in_the_way(tmp_path: Path) -> None:
    row = StreamRow("pump", "", PLAN)
    with closing(Journal(tmp_path)) as journal:
        with journal.transaction():
            journal.save_stream(row)
            journal.save_snapshot(row, 0, b"unsound")
        with closing(Journal(tmp_path, read_only=True)) as reader:
            with journal.transaction():
                journal.save_stream(StreamRow("later", "", PLAN))
            assert list(reader.streams()) == ["pump"]
            assert restore(row, reader, "plant").forecaster.seq == 0
            with pytest.raises(StoreError, match="cannot write"), reader.transaction():
                reader.save_stream(row)
        assert [lsn for lsn, _ in journal.snapshots(row)] == [0]
    with pytest.raises(StoreError, match="unable to open"):
        Journal(tmp_path / "none", read_only=True)
    assert not (tmp_path / "none").exists()
