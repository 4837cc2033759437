"""Upgrades. Injected: stores as earlier formats wrote them, kept as files. Must hold: they are
taken over where they stand, and the streams go on as if there had been no upgrade.

`fixtures/journal-1.db.gz` was written by version 0.1.0 before format 2: killed after 80 records of
two streams and a dead letter, with snapshots, records behind them, and 45 unconfirmed outputs. What
it holds of models and forecasts was computed again when the model changed.
"""

from __future__ import annotations

import gzip
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from runs import batches, pipeline, said, uncut

from streamlnn.errors import StoreError
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import FILE, Journal
from streamlnn.pipeline.store import FORMAT
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

FIXTURES = Path(__file__).with_name("fixtures")


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    with gzip.open(FIXTURES / "journal-1.db.gz") as packed, (tmp_path / FILE).open("wb") as file:
        shutil.copyfileobj(packed, file)
    return tmp_path


def script() -> list[Batch]:
    """What that daemon was given, and 40 records more."""
    items = batches(120)
    bad = Batch([Message("s/fast", b"not json", 10**9)], "")
    return [*items[:10], bad, *items[10:]]


def test_a_store_of_format_1_goes_on_as_if_nothing_had_been(old_store: Path) -> None:
    sink = CollectingSink()
    pipeline(old_store, ScriptedSource(script()), sink).run()
    found, whole = numbers(sink), numbers(uncut(script()))
    assert len(found) == 120 - 30, "30 had been confirmed"
    for identity, values in found.items():
        # Bit for bit only on the kind of CPU that wrote the file.
        assert values == pytest.approx(whole[identity], rel=1e-3, abs=1e-3, nan_ok=True)


def test_what_a_store_of_format_1_held_is_all_there_and_sealed(old_store: Path) -> None:
    for _ in range(2):
        with closing(Journal(old_store)) as journal, journal.reading():
            assert [lsn for lsn, _ in journal.records_after(0)] == list(range(1, 81))
            assert {name: row.last_lsn for name, row in journal.streams().items()} == {
                "slow": 79,
                "fast": 80,
            }
            assert journal.position("scripted") == "17"
            assert journal.watermark("collecting") == 30
            assert len(journal.kept_outputs("collecting")) == 45
            assert len(journal.dead_letters()) == 1
            for row in journal.streams().values():
                assert len([state for _, state in journal.snapshots(row) if state]) == 2


def test_a_store_of_format_1_that_is_only_read_is_left_as_it_is(old_store: Path) -> None:
    before = (old_store / FILE).read_bytes()
    with pytest.raises(StoreError, match=f"has format 1, this version reads {FORMAT}: start the"):
        Journal(old_store, read_only=True)
    assert (old_store / FILE).read_bytes() == before


def numbers(sink: CollectingSink) -> dict[Any, list[float]]:
    """The forecasts' numbers, by identity."""
    return {
        identity: [
            one[key] if one[key] is not None else float("nan")
            for target in json.loads(payload)["targets"].values()
            for one in target["forecast"]
            for key in ("yhat", "yhat_lower", "yhat_upper", "coverage")
        ]
        for identity, (payload,) in said(sink.durable).items()
    }
