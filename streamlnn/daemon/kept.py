"""The records that a journal keeps, as a recording: they are what the daemon stepped, in order.

They were read and judged when they came. What is left to decide is what to forecast from them: the
table of the configuration that takes them, else what was in force when they were recorded.
"""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streamlnn.daemon.config import Config
from streamlnn.pipeline.contract import Message, Tree
from streamlnn.pipeline.journal import FILE, Journal, StreamRow
from streamlnn.pipeline.plan import ModelSettings, Plan, plan_for
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import Layout, Reading, StreamMap

log = logging.getLogger("streamlnn.kept")


class _Kept(msgspec.Struct, array_like=True):
    """What a message of a journal says: the record's time, nanoseconds or None, and raw values."""

    time: int | None
    values: bytes


def journal_folder(path: Path) -> Path | None:
    """Return the data directory that `path` or the journal there belongs to, or None."""
    folder = path if path.is_dir() else path.parent
    return folder if path in (folder, folder / FILE) and (folder / FILE).exists() else None


class KeptRecords:
    """A journal in the place of a recording on disk; its offsets are log numbers.

    `rows` are its streams. A daemon may run on it. Raises `StoreError`.
    """

    format = "journal"
    codec = "json"
    has_topics = False
    dropped = 0

    def __init__(self, folder: Path) -> None:
        self.sources: dict[str, Any] = {}
        self._folder = folder
        with closing(Journal(folder, read_only=True)) as journal, journal.reading():
            self.rows = journal.streams()
            self.size = journal.last_lsn

    def entries(self, offset: int = 0) -> Generator[tuple[Message, int]]:
        """Yield each record as a message, with its log number."""
        before = offset
        with closing(Journal(self._folder, read_only=True)) as journal, journal.reading():
            for lsn, record in journal.records_after(offset):
                if lsn > self.size:
                    return  # a stream that came since is not in `rows`
                if before == offset == 0 and lsn > 1:
                    log.warning("records before number %d are no longer kept", lsn)
                before = lsn
                kept = _Kept(record.time, record.values.tobytes())
                yield Message(record.stream, msgspec.msgpack.encode(kept), record.received), lsn


class KeptMap(StreamMap):
    """Reads the messages of `KeptRecords`."""

    def __init__(self, rows: dict[str, StreamRow], config: Config | None) -> None:
        super().__init__([], _NoCodec())
        self._rows = rows
        self._settings = {name: _settings(row, config) for name, row in rows.items()}

    def read_each(self, message: Message) -> list[Any]:
        """Return the record as a reading."""
        kept = msgspec.msgpack.decode(message.payload, type=_Kept)
        row = self._rows[message.origin]
        stamped = row.plan.layout.time_path is not None
        return [
            Reading(
                row.name,
                row.owner,
                kept.time,
                stamped,
                row.plan.layout,
                np.frombuffer(kept.values),
                self._settings[row.name],
                accepted=True,
            )
        ]

    def follows(self, owner: str) -> bool:  # noqa: ARG002 - all streams come from here
        """Tell that every stream is fed from here."""
        return True


class _NoCodec:
    def decode(self, message: Message) -> Tree:
        return message.payload


def model_of(rows: dict[str, StreamRow]) -> ModelSettings:
    """Return the model that the streams of a journal had."""
    return next((ModelSettings(**row.plan.model) for row in rows.values()), ModelSettings())


def asked(row: StreamRow, config: Config) -> Plan:
    """Return what a configuration asks for a stream: as it was, where no table takes it."""
    taking = [_told(one, row, config.model) for one in config.streams if _takes(one, row)]
    return row.plan if row.plan in taking or not taking else taking[0]


def _told(table: StreamSettings, row: StreamRow, model: ModelSettings) -> Plan:
    """Return what a table asks for, which may find the fields elsewhere by now."""
    plan = _plan(table, row, model)
    if table.fields is None:
        return plan
    paths = tuple(table.fields.values())
    time_path = table.time.path if table.time else plan.layout.time_path
    return msgspec.structs.replace(plan, layout=Layout(tuple(table.fields), paths, time_path))


def _settings(row: StreamRow, config: Config | None) -> StreamSettings:
    """Return how a stream is forecast: by the table that takes it, else as it was."""
    if config is None:
        return _as_it_was(row.plan)
    taking = [one for one in config.streams if _takes(one, row)]
    same = [one for one in taking if _plan(one, row, config.model) == row.plan]
    if not taking:
        log.warning(
            "stream %r: no [[stream]] table has its topic and its fields %s: forecast as it was",
            row.name,
            ", ".join(row.plan.layout.names),
        )
    return [*same, *taking, _as_it_was(row.plan)][0]


def _takes(table: StreamSettings, row: StreamRow) -> bool:
    """Tell whether a table would read such records from where they came from."""
    names = row.plan.layout.names
    return (
        StreamMap([table], _NoCodec()).follows(row.owner)
        and (table.fields is None or tuple(table.fields) == names)
        and set(table.targets or ()) <= set(names)
    )


def _plan(table: StreamSettings, row: StreamRow, model: ModelSettings) -> Plan:
    layout, nothing = row.plan.layout, np.zeros(0)
    return plan_for(Reading(row.name, row.owner, None, False, layout, nothing, table), model)


def _as_it_was(plan: Plan) -> StreamSettings:
    return StreamSettings().model_copy(
        update={
            "targets": list(plan.targets),
            "units": dict(zip(plan.targets, plan.units, strict=True)),
            "horizons": list(plan.horizons),
            "seasons": list(plan.seasons),
            "level": plan.level,
            "every": plan.every,
            "limits": plan.limits,
        }
    )
