"""Power loss. Injected: the machine stops at any operation of the disk, and what was not synced is
dropped, kept or torn at 512 bytes. Must hold: what was committed is there, in full and in order;
every forecast is said, with the value of an uncut run; what was acknowledged is not needed again.
"""

from __future__ import annotations

import os
import random
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from lossy_disk import LossyDisk, journals_on
from runs import BrokerLike, batches, limited, often, pipeline, said, uncut
from test_journal import PLAN

from streamlnn.errors import StoreError
from streamlnn.model.records import Record
from streamlnn.pipeline import store
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

EXAMPLES = int(os.environ.get("STREAMLNN_EXAMPLES", "200"))
# SQLite's own cleaning up after the machine has stopped is told nowhere else.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch, records=15)


def write(folder: Path, committed: list[int], *, durable: bool = True) -> None:
    """Write transactions of a growing number of records; note each that was said to be durable."""
    with closing(Journal(folder, durable=durable)) as journal:
        row = journal.streams().get("s") or StreamRow("s", "t", PLAN)
        for n in range(1, 9):
            with journal.transaction():
                journal.save_stream(row)
                for _ in range(n):
                    number = journal.last_lsn + 1
                    journal.append(row, Record("s", number, np.array([number * 0.5]), number))
                journal.save_stream(row)
                journal.save_position("source", str(journal.last_lsn))
                if n % 3 == 0:
                    state = bytes([n]) * 3_000
                    journal.save_snapshot(row, journal.last_lsn, state)
                    outputs = [Output("forecast", state, "s", journal.last_lsn)]
                    journal.keep_outputs("sink", outputs)
            committed.append(journal.last_lsn)


def check(folder: Path, committed: list[int]) -> None:
    """What is found is one of the states between two transactions, none older than promised."""
    with closing(Journal(folder)) as journal, journal.reading():
        found = list(journal.records_after(0))
        assert [lsn for lsn, _ in found] == list(range(1, journal.last_lsn + 1)), "no hole"
        assert all(record.values[0] == lsn * 0.5 for lsn, record in found)
        assert journal.last_lsn >= (committed[-1] if committed else 0), "committed and lost"
        assert int(journal.position("source") or 0) == journal.last_lsn
        for row in journal.streams().values():
            assert row.last_lsn == journal.last_lsn
            assert all(state for _, state in journal.snapshots(row))
        journal.kept_outputs("sink")


def test_what_a_journal_has_committed_survives_a_power_cut_at_every_operation() -> None:
    """Eight cuts at each operation of the disk, and every other one is followed by a second."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with journals_on(LossyDisk()) as whole:
            write(folder, [])
        assert set(whole.log) == {"create", "write", "sync", "truncate", "delete"}
        assert cut_everywhere(folder, whole.count) >= 2_000


def cut_everywhere(folder: Path, count: int) -> int:
    return sum(
        cut_and_check(folder, at, random.Random(1_000 * at + seed))
        for at in range(1, count + 1)
        for seed in range(8)
    )


def cut_and_check(folder: Path, at: int, chance: random.Random) -> int:
    disk, committed, tried = LossyDisk(), list[int](), 0
    for _ in range(1 + at % 2):
        disk.fails_at = disk.count + at
        with journals_on(disk), suppress(StoreError):
            write(folder, committed)
        disk = disk.power_cut(chance)
        tried += 1
    with journals_on(disk):
        check(folder, committed)
    return tried


def test_the_disk_of_these_tests_does_lose_what_is_not_synced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With a journal that does not sync the same check fails: it can."""
    real = store.open_file
    monkeypatch.setattr(
        "streamlnn.pipeline.journal.open_file",
        lambda folder, durable, read_only: real(folder, durable=False, read_only=read_only),
    )
    with tempfile.TemporaryDirectory() as name, pytest.raises((AssertionError, StoreError)):
        cut_everywhere(Path(name), 200)


@pytest.mark.parametrize("pages", [1, 5, 20, 1_000])
def test_a_journal_that_does_not_sync_is_on_the_disk_once_it_is_closed(
    pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that `replay --into` may be fast, and the machine be turned off when it has ended."""
    monkeypatch.setattr(store, "AUTOCHECKPOINT_PAGES", pages)
    for seed in range(50):
        with tempfile.TemporaryDirectory() as name:
            disk, committed = LossyDisk(), list[int]()
            with journals_on(disk):
                write(Path(name), committed, durable=False)
            with journals_on(disk.power_cut(random.Random(seed))):
                check(Path(name), committed)


CUTS = some.lists(some.tuples(some.integers(1, 400), some.booleans()), min_size=1, max_size=3)


@pytest.mark.timeout(1800)
@settings(max_examples=EXAMPLES, deadline=None)
@given(
    cuts=CUTS,
    seed=some.integers(0, 2**32),
    size=some.integers(1, 12),
    like_a_broker=some.booleans(),
    holds=some.booleans(),
)
def test_a_pipeline_says_all_and_always_the_same_over_any_row_of_power_cuts(
    cuts: list[tuple[int, bool]], seed: int, size: int, like_a_broker: bool, holds: bool
) -> None:
    """Each cut is at so many operations after the start; the other kind is a kill, which loses
    nothing that was written."""
    items, chance, disk = batches(40, size), random.Random(seed), LossyDisk()
    source = (BrokerLike if like_a_broker else ScriptedSource)(items)
    sink = CollectingSink()
    with tempfile.TemporaryDirectory() as name:
        for at, power in cuts:
            disk.fails_at = disk.count + at
            sink.holds = holds
            with journals_on(disk), suppress(StoreError):
                limited(pipeline(Path(name), source, sink)).run()
            disk = disk.power_cut(chance) if power else disk.stopped()
        sink.holds = False
        with journals_on(disk):
            pipeline(Path(name), source, sink).run()
    assert said(sink.durable) == reference()


def reference() -> Any:
    if "said" not in _kept:
        _kept["said"] = said(uncut(batches(40)).durable)
    return _kept["said"]


_kept: dict[str, Any] = {}
