"""The store: what was written inside a transaction is there, and nothing else is."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from streamlnn.errors import ConfigError, StoreError
from streamlnn.model.records import Record
from streamlnn.pipeline.contract import Message, Output
from streamlnn.pipeline.journal import (
    DEAD_LETTER_BYTES,
    FILE,
    REPEATS_KEPT,
    Journal,
    StreamRow,
)
from streamlnn.pipeline.plan import Plan
from streamlnn.pipeline.streams import Layout
from streamlnn.pipeline.testing import Abort

PLAN = Plan(
    layout=Layout(("a",), ("a",)),
    targets=("a",),
    units=("",),
    horizons=(1, 12),
    seasons=(),
    level=0.9,
    every=None,
    limits={},
    model={"units": 10, "seed": 1, "dtype": "float32"},
)


def record(time: int, value: float = 1.0, received: int | None = None) -> Record:
    return Record("s", time, np.array([value]), received)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    store = Journal(tmp_path / "store")
    yield store
    store.close()


def stream(journal: Journal, name: str = "s") -> StreamRow:
    row = StreamRow(name, "topic", PLAN)
    with journal.transaction():
        journal.save_stream(row)
    return row


def tamper(folder: Path, statement: str) -> None:
    with closing(sqlite3.connect(folder / FILE)) as db, db:
        db.execute(statement)


def test_a_record_comes_back_as_it_was(journal: Journal) -> None:
    row = stream(journal)
    with journal.transaction():
        lsn = journal.append(row, record(5, float("nan"), received=7))
    [(number, found)] = journal.records_after(0)
    assert (number, found.stream, found.time, found.received) == (lsn, "s", 5, 7)
    assert found.values.tobytes() == np.array([np.nan]).tobytes()


def test_nothing_of_a_failed_transaction_is_kept(journal: Journal) -> None:
    row = stream(journal)

    def killed() -> None:
        with journal.transaction():
            journal.append(row, record(1))
            journal.save_position("source", "9")
            raise Abort

    with pytest.raises(Abort):
        killed()
    assert list(journal.records_after(0)) == []
    assert journal.position("source") is None


def test_log_numbers_rise_over_restarts_even_when_the_log_was_pruned(tmp_path: Path) -> None:
    store = Journal(tmp_path)
    row = stream(store)
    with store.transaction():
        lsn = store.append(row, record(1))
        store.save_stream(row)
    store.close()
    tamper(tmp_path, "DELETE FROM log")
    again = Journal(tmp_path)
    assert again.last_lsn == lsn
    again.close()


def test_a_stream_comes_back_with_its_plan_and_its_clock(tmp_path: Path) -> None:
    store = Journal(tmp_path)
    row = stream(store)
    row.clock.last, row.clock.late_run, row.epoch = 17, 3, 2
    with store.transaction():
        store.save_stream(row)
    store.close()
    again = Journal(tmp_path)
    assert again.streams() == {"s": row}
    again.close()


def test_two_generations_of_snapshots_are_kept_and_those_of_a_past_epoch_are_not_used(
    journal: Journal,
) -> None:
    row = stream(journal)
    with journal.transaction():
        for lsn in (1, 2, 3):
            journal.save_snapshot(row, lsn, bytes([lsn]))
    assert list(journal.snapshots(row)) == [(3, b"\3"), (2, b"\2")]
    row.since_lsn = 3
    assert list(journal.snapshots(row)) == [(3, b"\3")]


def test_outputs_that_a_snapshot_passed_are_kept_until_the_watermark_passes_them(
    journal: Journal,
) -> None:
    sent = [Output("forecast", b"f", "s", 4, {"seq": "1"}), Output("event", b"e", "s", 4)]
    with journal.transaction():
        journal.keep_outputs("sink", sent)
        journal.keep_outputs("sink", sent)
        journal.save_watermark("sink", 3)
    assert list(journal.kept_outputs("sink")) == sent
    with journal.transaction():
        journal.save_watermark("sink", 4)
    assert list(journal.kept_outputs("sink")) == []


def fill(journal: Journal, row: StreamRow, count: int) -> None:
    with journal.transaction():
        for time in range(count):
            journal.append(row, record(time, received=time))


def test_pruning_leaves_what_recovery_and_repeats_need(journal: Journal) -> None:
    row, prune = stream(journal), partial(journal.prune, received_before=None, most=10**6)
    fill(journal, row, 2 * REPEATS_KEPT + 100)
    with journal.transaction():
        assert prune(row) == 0, "no snapshot covers them yet"
        journal.save_snapshot(row, 60, b"old")
        journal.save_snapshot(row, 2 * REPEATS_KEPT + 90, b"new")
        assert prune(row) == 60, "the older generation needs the rest"
        journal.save_snapshot(row, 2 * REPEATS_KEPT + 95, b"newer")
        assert prune(row) == REPEATS_KEPT - 60, "repeats must be recognised"


def full_store(folder: Path) -> tuple[Journal, StreamRow]:
    """A store of one stream, half of whose records nobody needs any more."""
    store = Journal(folder)
    row = stream(store)
    fill(store, row, 2 * REPEATS_KEPT)
    with store.transaction():
        store.save_snapshot(row, 2 * REPEATS_KEPT, b"")
        store.save_stream(row)
    return store, row


def test_a_stream_is_pruned_in_steps_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    store, row = full_store(tmp_path)
    with store.transaction():
        assert store.prune(row, received_before=None, most=100) == 100
    store.close()
    again = Journal(tmp_path)
    with again.transaction():
        row = again.streams()["s"]
        assert again.prune(row, received_before=None, most=10**6) == REPEATS_KEPT - 100
    again.close()


def test_pruning_keeps_records_as_long_as_asked(journal: Journal) -> None:
    row = stream(journal)
    fill(journal, row, 2 * REPEATS_KEPT + 100)
    with journal.transaction():
        for lsn in (2 * REPEATS_KEPT + 99, 2 * REPEATS_KEPT + 100):
            journal.save_snapshot(row, lsn, b"")
        assert journal.prune(row, received_before=30, most=10**6) == 30


@pytest.mark.parametrize("received_before", [0, None], ids=["for a day", "too large"])
def test_a_stream_whose_clock_is_set_back_again_and_again_is_pruned(
    journal: Journal, received_before: int | None
) -> None:
    """Time since the device was switched on, each day: the newest records have the oldest times."""
    row, other, days, daily = stream(journal), stream(journal, "other"), 64, 288
    for day in range(days):
        for hour in range(24):
            now = day * daily + (hour + 1) * daily // 24
            with journal.transaction():
                for n in range(now - daily // 24, now):
                    journal.append(row, record(n % daily, n, received=n))
                    journal.append(other, record(n, received=n))
                for each in (row, other):
                    journal.save_snapshot(each, each.last_lsn, b"")
                    before = None if received_before is None else now - daily
                    journal.prune(each, received_before=before, most=2 * daily // 24 + 64)
    left = [found.stream for _, found in journal.records_after(0)]
    needed = row.marks[2] + REPEATS_KEPT
    assert left.count("s") == left.count("other") == needed


def test_a_store_of_before_is_pruned_too(tmp_path: Path) -> None:
    store, _ = full_store(tmp_path)
    store.close()
    tamper(tmp_path, "DROP INDEX log_waypoints")
    again = Journal(tmp_path)
    with again.transaction():
        row = again.streams()["s"]
        assert again.prune(row, received_before=None, most=10**6) == REPEATS_KEPT
    again.close()


def test_dead_letters_keep_reason_and_the_head_of_the_payload(journal: Journal) -> None:
    with journal.transaction():
        journal.bury("plant", Message("t", b"x" * 10_000, 5), "no JSON")
    [letter] = journal.dead_letters()
    assert (letter["source"], letter["origin"], letter["reason"]) == ("plant", "t", "no JSON")
    assert letter["payload"] == b"x" * DEAD_LETTER_BYTES


def test_a_second_owner_of_the_folder_is_refused(tmp_path: Path) -> None:
    store = Journal(tmp_path)
    with pytest.raises(StoreError, match="in use by another streamlnn"):
        Journal(tmp_path)
    store.close()
    Journal(tmp_path).close()


def test_a_file_that_is_no_journal_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="move it aside to begin anew"):
        Journal(tmp_path)


def test_a_file_that_somebody_else_writes_to_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(sqlite3.connect, timeout=0.0)
    Journal(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr("streamlnn.pipeline.store.sqlite3.connect", impatient)
        with pytest.raises(StoreError, match="another program is writing to it"):
            Journal(tmp_path)


def test_a_full_disk_is_not_called_damage(journal: Journal) -> None:
    """The size limit of the file stands for the disk's."""
    row = stream(journal)
    journal._db.execute("PRAGMA max_page_count = 20")
    with pytest.raises(StoreError, match="make room on the disk"):
        fill(journal, row, 10_000)
    assert journal.values_at(row, 1) == []


def test_a_damaged_row_is_a_clear_error(tmp_path: Path) -> None:
    store = Journal(tmp_path)
    stream(store)
    store.close()
    tamper(tmp_path, "UPDATE streams SET plan = '{}'")
    store = Journal(tmp_path)
    with pytest.raises(StoreError, match="damaged: restore it from a copy"), store.reading():
        store.streams()
    store.close()


def test_a_newer_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    tamper(tmp_path, "UPDATE meta SET value = '999'")
    with pytest.raises(StoreError, match="format 999, this version reads"):
        Journal(tmp_path)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="set data_dir"):
        Journal(tmp_path / "file" / "store")


def test_the_store_is_for_its_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "store").close()
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    for name in (FILE, "lock"):
        assert stat.S_IMODE((tmp_path / "store" / name).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_into_is_refused(tmp_path: Path, mode: int) -> None:
    """They could put another journal in the place of ours."""
    tmp_path.chmod(mode)
    with pytest.raises(StoreError, match=f"others may write into .*: chmod 700 {tmp_path}"):
        Journal(tmp_path)
    tmp_path.chmod(0o750)
    Journal(tmp_path).close()


def test_a_spread_of_records_is_dense_at_the_end_and_reaches_back_to_the_first(
    journal: Journal,
) -> None:
    row, other = stream(journal), stream(journal, "other")
    with journal.transaction():
        for time in [*range(10_000), *range(50_000, 51_000)]:
            journal.append(row, record(time, value=float(time)))
            journal.append(other, record(time))
    found = journal.spread(row, 50_900, most=100)
    times = [one.time or 0 for one in found]
    assert times[-50:] == list(range(50_850, 50_900))
    assert times[0] == 0
    assert len(times) <= 100
    assert np.diff([time for time in times if time < 10_000]).min() > 500
    assert [one.values.tolist() for one in found] == [[time] for time in times]
    assert [one.time for one in journal.spread(row, 3, most=100)] == [0, 1, 2]
    assert journal.spread(row, 0, most=100) == []
