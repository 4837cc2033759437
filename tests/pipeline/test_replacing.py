"""A model that was made in Python goes on as a stream's, whatever befalls the daemon."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runs import batches, often, pipeline, run_to_the_end, said

from streamlnn import Forecaster, Reservoir
from streamlnn.errors import StateError, StoreError
from streamlnn.model import arrays
from streamlnn.pipeline.contract import Batch
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.live import restore
from streamlnn.pipeline.moving import export_stream
from streamlnn.pipeline.replacing import as_call, replace_model
from streamlnn.pipeline.testing import ABORT, CollectingSink, ScriptedSource

SEEN, ALL = 60, 200


def reservoir(units: int = 8, inputs: int = 1) -> Reservoir:
    """Dense, so of another fan-in than a drawn one, and without liquid time."""
    random = np.random.default_rng(3)
    W, W_in = random.standard_normal((units, units)), random.uniform(-1, 1, (units, inputs))
    return Reservoir.from_arrays(W / np.sqrt(units), W_in, leak=np.linspace(0.2, 1.0, units))


def records(stream: str, items: list[Batch]) -> list[tuple[float, float]]:
    told = [one for batch in items for one in batch.messages if one.origin == f"s/{stream}"]
    read = [json.loads(one.payload) for one in told]
    return [(one["t"], one["v"]) for one in read]


def trained(stream: str = "fast", **settings: Any) -> Forecaster:
    """A model of a given reservoir that has learned what the stream has read."""
    model = Forecaster([1, 12, 48], reservoir=reservoir(), seed=7, **settings)
    for time, value in records(stream, batches(SEEN)):
        model.step(time, value)
    return model


def saved(model: Forecaster, folder: Path) -> bytes:
    model.save(folder / "model.slnn")
    return (folder / "model.slnn").read_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose streams have learned the first records."""
    pipeline(tmp_path / "store", ScriptedSource(batches(SEEN)), CollectingSink()).run()
    return tmp_path / "store"


def replaced(store: Path, data: bytes, name: str = "fast") -> StreamRow:
    with closing(Journal(store)) as journal, journal.reading():
        row = journal.streams()[name]
        replace_model(journal, row, data, row.plan)
        return row


def forecasts(sink: CollectingSink, stream: str) -> dict[tuple[int, int], list[float]]:
    told = [json.loads(one.payload) for one in sink.durable if one.kind == "forecast"]
    return {
        (one["epoch"], one["seq"]): [each["yhat"] for each in one["targets"]["v"]["forecast"]]
        for one in told
        if one["stream"] == stream
    }


@pytest.mark.parametrize("kills", [False, True], ids=["in one go", "killed after each batch"])
def test_the_forecasts_are_those_of_the_model_in_python(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kills: bool
) -> None:
    """Bit for bit; snapshots come on the way, and the redone steps say the same."""
    often(monkeypatch, records=20)
    model = trained()
    before = replaced(store, saved(model, tmp_path))
    read, rest = batches(ALL)[: SEEN // 5], batches(ALL)[SEEN // 5 :]
    script = [item for batch in rest for item in ((batch, ABORT) if kills else (batch,))]
    sink = CollectingSink()
    died = run_to_the_end(store, ScriptedSource([*read, *script]), sink)
    assert died == (len(rest) if kills else 0)
    assert {len(values) for values in said(sink.durable).values()} == {1}
    first = model.seq
    expected = [model.step(*record).yhat.tolist() for record in records("fast", rest)]
    assert forecasts(sink, "fast") == {(1, first + n): yhat for n, yhat in enumerate(expected)}
    with closing(Journal(store)) as journal:
        row = journal.streams()["fast"]
        live = restore(row, journal, "")
    np.testing.assert_array_equal(live.forecaster.connectivity, reservoir().W.astype("float32"))
    assert (row.owner, row.plan, row.since_lsn) == ("s/fast", before.plan, before.since_lsn)


def test_a_changed_level_keeps_the_model_and_its_reservoir(store: Path, tmp_path: Path) -> None:
    model = trained()
    replaced(store, saved(model, tmp_path))
    sink, rest = CollectingSink(), batches(ALL)[SEEN // 5 :]
    pipeline(store, ScriptedSource(batches(ALL)), sink, {"level": 0.8}).run()
    model = Forecaster.from_state({**model.settings, "level": 0.8}, model.state())
    expected = [model.step(*record).yhat.tolist() for record in records("fast", rest)]
    assert list(forecasts(sink, "fast").values()) == expected


def test_the_model_of_another_stream_is_taken_out_of_its_export(
    store: Path, tmp_path: Path
) -> None:
    with closing(Journal(store)) as journal:
        row = journal.streams()["slow"]
        data = export_stream(restore(row, journal, ""), journal)
    assert replaced(store, data).epoch == 1
    with closing(Journal(store)) as journal:
        live = restore(journal.streams()["fast"], journal, "")
    assert live.forecaster.seq == len(records("slow", batches(SEEN)))
    assert journal_clock(store, "fast") == 59 * 10**9


def journal_clock(store: Path, name: str) -> int | None:
    with closing(Journal(store)) as journal:
        return journal.streams()[name].clock.last


def test_every_setting_that_differs_is_told_with_the_way_out(store: Path, tmp_path: Path) -> None:
    model = Forecaster([1, 5], level=0.8, reservoir=reservoir(20))
    with pytest.raises(StateError) as told:
        replaced(store, saved(model, tmp_path))
    said = str(told.value)
    assert "horizons: [1, 5] in the file, [1, 12, 48] asked for; level: 0.8 in" in said
    assert "units: 20 in the file, 8 asked for; make it as Forecaster([1, 12, 48], units=8)" in said
    assert "with a reservoir of 8 units, or change horizons of its [[stream]], level of " in said
    assert "units of [model] in the configuration (all streams begin anew under another)" in said
    assert "seed" not in said


def test_settings_that_say_the_same_in_other_words_fit(tmp_path: Path) -> None:
    """A minute is 60 s; it is not 60 samples."""
    table = {"horizons": ["1m"], "seasons": ["1h"]}
    pipeline(tmp_path / "store", ScriptedSource(batches(SEEN)), CollectingSink(), table).run()
    with pytest.raises(StateError, match=re.escape("horizons: [60] in the file, ['1m'] asked")):
        replaced(tmp_path / "store", saved(Forecaster([60], units=8), tmp_path))
    model = Forecaster(["60s"], seasons=["60m"], targets=[0], units=8)
    assert replaced(tmp_path / "store", saved(model, tmp_path)).plan.horizons == ("1m",)


@pytest.mark.parametrize(
    ("time", "said"), [(61.0, "61 s"), (1.7e12, "1700000000000 s")], ids=["ahead", "milliseconds"]
)
def test_a_model_that_is_ahead_of_its_stream_is_refused(
    store: Path, tmp_path: Path, time: float, said: str
) -> None:
    """It would learn what the stream has yet to read for a second time."""
    model = trained()
    model.step(time, 1.0)
    told = f"learned up to {said} since 1970, stream 'fast' has read up to 59 s: it would learn"
    with pytest.raises(StateError, match=told):
        replaced(store, saved(model, tmp_path))


def test_nothing_changes_where_records_wait_to_be_redone_or_the_file_is_none(
    store: Path, tmp_path: Path
) -> None:
    with pytest.raises(StateError, match="do not make a forecaster"):
        replaced(store, arrays.pack({"a": 1}, {}))
    with pytest.raises(StateError, match="checksum"):
        replaced(store, saved(trained(), tmp_path)[:-1] + b"x")
    with closing(Journal(store)) as journal, journal.transaction():
        row = journal.streams()["fast"]
        journal.drop_snapshots(row)
    with pytest.raises(StoreError, match="did not end in order"):
        replaced(store, saved(trained(), tmp_path))
    with closing(Journal(store)) as journal:
        assert journal.streams()["fast"].epoch == 0


@pytest.mark.parametrize(
    ("model", "call"),
    [
        (Forecaster([1]), "Forecaster([1])"),
        (
            Forecaster(["1m"], fields=2, targets=[1], seasons=["1h"], every=60.0),
            "Forecaster(['1m'], fields=2, targets=[1], seasons=['1h'], every=60.0)",
        ),
        (
            Forecaster([1, 2], level=0.5, seed=3, dtype="float64", plasticity=True),
            "Forecaster([1, 2], level=0.5, seed=3, dtype='float64', plasticity=True)",
        ),
    ],
    ids=["usual", "by time", "all others"],
)
def test_the_call_that_is_told_makes_these_settings(model: Forecaster, call: str) -> None:
    assert as_call(model.settings) == call
    assert as_call(eval(call).settings) == call
