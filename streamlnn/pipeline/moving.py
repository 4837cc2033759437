"""A stream's model, taken out of one journal and put into another: arrays and JSON, never pickle.

What is exported is all that the stream is: its plan, what it has learned, and the records among
which a repeat is recognised. A journal that is read may be in use by a daemon; one that is changed
must be held by the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from streamlnn.errors import StateError, StoreError
from streamlnn.model import arrays
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Record
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.judge import Clock
from streamlnn.pipeline.live import LiveStream, restore
from streamlnn.pipeline.plan import Plan

_SNAPSHOT = ("settings", "crossings")
"""What a snapshot says beside the arrays; the rest of an export stands in the stream's row."""
_LATER = ("silence",)
"""What exports of earlier versions do not say."""


def current(row: StreamRow, journal: Journal, instance: str) -> LiveStream:
    """Return a stream as it stands at the end of the log: its snapshot, and the steps after it."""
    live = restore(row, journal, instance)
    if live.lsn < row.last_lsn:
        for lsn, record in journal.records_after(live.lsn):
            if record.stream == row.name:
                live.step(lsn, record)
    return live


def export_stream(live: LiveStream, journal: Journal) -> bytes:
    """Return a stream as a file holds it; `Forecaster.load` takes its model out again."""
    row = live.row
    meta = {
        "stream": row.name,
        "owner": row.owner,
        "plan": msgspec.to_builtins(row.plan),
        "epoch": row.epoch,
        "clock": msgspec.to_builtins(row.clock),
        "records": [_plain(record) for record in journal.newest(row) if record.time is not None],
        **live.meta,
    }
    return arrays.pack(meta, live.forecaster.state())


def import_stream(journal: Journal, data: bytes) -> StreamRow:
    """Put an exported stream into the journal, in place of one of the same name, and return it.

    A stream that was not there goes on in its epoch; one that was begins a new one, as its
    forecasts are others now. Raises `StateError` for what is no export, or fits no model of this
    version, and `StoreError` where the stream's past is not settled.
    """
    meta, kept = arrays.unpack(data)
    told, records = _read(meta)
    model = Forecaster.from_state(meta["settings"], kept)
    if model.settings != told.plan.forecaster().settings:
        raise StateError(f"the exported model of {told.name!r} is not what its plan asks for")
    row = journal.streams().get(told.name, told)
    if row.id:
        check_settled(journal, row)
        row.owner, row.plan, row.clock = told.owner, told.plan, told.clock
        row.epoch = max(row.epoch, told.epoch) + 1
    with journal.transaction():
        journal.save_stream(row)
        for record in records:
            if record.values.tobytes() not in journal.values_at(row, record.time or 0):
                journal.append(row, record)
        row.since_lsn = journal.last_lsn
        journal.save_stream(row)
        journal.drop_snapshots(row)
        own = {key: meta[key] for key in (*_SNAPSHOT, *_LATER) if key in meta}
        snapshot = arrays.pack(own, kept)
        journal.save_snapshot(row, journal.last_lsn, snapshot)
        journal.carry(row)
    return row


def reset_stream(journal: Journal, row: StreamRow) -> None:
    """Let a stream forget all it has learned: it begins anew, in a new epoch, with its next record.

    Raises `StoreError` where its past is not settled.
    """
    check_settled(journal, row)
    row.epoch, row.since_lsn = row.epoch + 1, journal.last_lsn
    with journal.transaction():
        journal.save_stream(row)
        journal.drop_snapshots(row)


def check_settled(journal: Journal, row: StreamRow) -> None:
    """Raise `StoreError` if records wait to be redone: forecasts of them may be unpublished."""
    newest = next((lsn for lsn, _ in journal.snapshots(row)), row.since_lsn)
    if newest < row.last_lsn:
        raise StoreError(
            f"the last run did not end in order, and forecasts of {row.name!r} may not be "
            "published yet: start the daemon and stop it, then try again"
        )


def _plain(record: Record) -> tuple[int | None, list[float | None]]:
    # JSON has no NaN; what is missing is null, and every other value comes back bit for bit.
    return record.time, [None if value != value else value for value in record.values.tolist()]


def _records(meta: Mapping[str, Any], row: StreamRow) -> list[Record]:
    told = msgspec.convert(meta["records"], list[tuple[int, list[float | None]]])
    values = np.array([given for _, given in told], np.float64)
    if told and values.shape != (len(told), len(row.plan.layout.names)):
        raise ValueError(f"records of {values.shape[1:]} values")
    return [Record(row.name, time, one) for (time, _), one in zip(told, values, strict=True)]


def _read(meta: Mapping[str, Any]) -> tuple[StreamRow, list[Record]]:
    if "horizons" in meta:
        raise StateError(
            "it holds a model that `Forecaster.save` wrote, which tells no stream: name the one "
            "that is to go on with it: --stream ID"
        )
    if missing := {"stream", *_SNAPSHOT} - set(meta):
        raise StateError(f"not an exported stream: it does not tell its {', '.join(missing)}")
    try:
        row = StreamRow(
            str(meta["stream"]),
            str(meta["owner"]),
            msgspec.convert(meta["plan"], Plan),
            epoch=int(meta["epoch"]),
            clock=msgspec.convert(meta["clock"], Clock),
        )
        return row, _records(meta, row)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"the export of a stream is not complete: {error}") from error
