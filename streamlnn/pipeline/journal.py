"""The record log, the snapshots and the positions: one SQLite file, all or nothing.

Write-ahead logging with `synchronous=FULL`: when `transaction` ends, what was written is on disk.
The log is the recovery log and the recording. Every accepted record has a log number (`lsn`) that
only ever rises; a snapshot carries the number of the last record its state has seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from streamlnn.errors import StoreError
from streamlnn.model.records import Record
from streamlnn.pipeline import positions
from streamlnn.pipeline.contract import Message, Output
from streamlnn.pipeline.judge import Clock
from streamlnn.pipeline.plan import Plan

FORMAT = 1
FILE = "journal.db"
REPEATS_KEPT = 4096
"""A repeat is recognised among at least so many last records of its stream."""
DEAD_LETTERS_KEPT = 10_000
DEAD_LETTER_BYTES = 4096
GENERATIONS = 2

_WAYS_OUT = {
    sqlite3.SQLITE_FULL: "make room on the disk, then start again: nothing is lost",
    sqlite3.SQLITE_BUSY: "another program is writing to it: end that one, then start again",
    sqlite3.SQLITE_LOCKED: "another program is writing to it: end that one, then start again",
    sqlite3.SQLITE_CORRUPT: "it is damaged: move it aside to begin anew",
    sqlite3.SQLITE_NOTADB: "it is no journal: move it aside to begin anew",
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, plan BLOB NOT NULL,
    epoch INTEGER NOT NULL, since_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, clock BLOB
);
CREATE TABLE IF NOT EXISTS log (
    lsn INTEGER PRIMARY KEY, stream INTEGER NOT NULL, time INTEGER, received INTEGER,
    vals BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS log_by_time ON log (stream, time);
CREATE TABLE IF NOT EXISTS snapshots (
    stream INTEGER NOT NULL, lsn INTEGER NOT NULL, state BLOB NOT NULL, PRIMARY KEY (stream, lsn)
);
CREATE TABLE IF NOT EXISTS watermarks (sink TEXT PRIMARY KEY, lsn INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    sink TEXT NOT NULL, lsn INTEGER NOT NULL, nth INTEGER NOT NULL, kind TEXT NOT NULL,
    stream TEXT NOT NULL, payload BLOB NOT NULL, identity TEXT NOT NULL,
    PRIMARY KEY (sink, lsn, nth)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY, sink TEXT NOT NULL, kind TEXT NOT NULL, stream TEXT NOT NULL,
    payload BLOB NOT NULL, identity TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS stale (stream INTEGER PRIMARY KEY, event BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, origin TEXT NOT NULL, received INTEGER,
    reason TEXT NOT NULL, payload BLOB NOT NULL
);
"""


@dataclass(slots=True)
class StreamRow:
    """What the journal knows of a stream besides its records and its state."""

    name: str
    owner: str
    plan: Plan
    id: int = 0
    epoch: int = 0
    since_lsn: int = 0
    """Learning began after this log number; older snapshots and records belong to the past."""
    last_lsn: int = 0
    clock: Clock = field(default_factory=Clock)


class Journal:
    """One data directory, held for as long as the object lives; without a folder, in memory.

    With `read_only` a daemon may hold the folder and go on; the journal is seen as it was at the
    start. Raises `StoreError` when another process holds the folder, when it was written by a newer
    version, or when the file is damaged.
    """

    def __init__(
        self, folder: Path | None, *, durable: bool = True, read_only: bool = False
    ) -> None:
        self.volatile = folder is None
        self._read_only = read_only
        with ExitStack() as held:
            if folder and not read_only:
                held.enter_context(_lock(folder))
            self._db = held.enter_context(closing(_open(folder, durable, read_only)))
            self._positions = positions.Positions(self._db)
            with self.reading():
                self._lsn = self._one(
                    "SELECT max(coalesce((SELECT max(lsn) FROM log), 0),"
                    " coalesce((SELECT max(last_lsn) FROM streams), 0))"
                )
            self._held = held.pop_all()

    @property
    def last_lsn(self) -> int:
        """The log number of the newest record, 0 when there was none yet."""
        return int(self._lsn)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is on disk when this ends, or none of it is.

        An error while writing leaves the memory of the caller ahead of the disk: let it end the
        process, the restart goes on from the disk.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise StoreError(f"cannot write to the journal: {_trouble(error)}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._positions.rolled_back()
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a damaged file does to those who read it into a `StoreError`."""
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StoreError(f"cannot read the journal: {_trouble(error)}") from error

    # Records

    def append(self, row: StreamRow, record: Record) -> int:
        """Add a record to the log and return its log number."""
        self._lsn += 1
        row.last_lsn = self._lsn
        self._db.execute(
            "INSERT INTO log VALUES (?, ?, ?, ?, ?)",
            (self._lsn, row.id, record.time, record.received, record.values.tobytes()),
        )
        return int(self._lsn)

    def values_at(self, row: StreamRow, time: int) -> list[bytes]:
        """Return the raw values of the stream's records at `time`."""
        query = "SELECT vals FROM log WHERE stream = ? AND time = ?"
        return [values for (values,) in self._db.execute(query, (row.id, time))]

    def newest(self, row: StreamRow) -> list[Record]:
        """Return the stream's last records, so many as repeats are recognised among, in order."""
        query = "SELECT time, vals, received FROM log WHERE stream = ? ORDER BY lsn DESC LIMIT ?"
        found = self._db.execute(query, (row.id, REPEATS_KEPT)).fetchall()
        return [
            Record(row.name, time, np.frombuffer(values), received)
            for time, values, received in reversed(found)
        ]

    def records_after(self, lsn: int) -> Iterator[tuple[int, Record]]:
        """Yield (log number, record) in the order they were accepted."""
        query = (
            "SELECT lsn, name, time, received, vals FROM log"
            " JOIN streams ON streams.id = log.stream WHERE lsn > ? ORDER BY lsn"
        )
        for number, name, time, received, values in self._db.execute(query, (lsn,)):
            yield number, Record(name, time, np.frombuffer(values), received)

    # Streams, positions, watermarks

    def streams(self) -> dict[str, StreamRow]:
        """Return all streams by name."""
        query = "SELECT name, owner, plan, id, epoch, since_lsn, last_lsn, clock FROM streams"
        return {row[0]: _stream_row(row) for row in self._db.execute(query)}

    def save_stream(self, row: StreamRow) -> None:
        """Write a stream's row; a new one gets its number."""
        values = (
            row.owner,
            msgspec.json.encode(row.plan),
            row.epoch,
            row.since_lsn,
            row.last_lsn,
            msgspec.json.encode(row.clock),
        )
        if row.id == 0:
            columns = "owner, plan, epoch, since_lsn, last_lsn, clock, name"
            row.id = self._insert(
                f"INSERT INTO streams ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (*values, row.name),
            )
        else:
            self._db.execute(
                "UPDATE streams SET owner = ?, plan = ?, epoch = ?, since_lsn = ?, last_lsn = ?,"
                " clock = ? WHERE id = ?",
                (*values, row.id),
            )

    def position(self, source: str) -> str | None:
        """Return where a source stands; None for a new one."""
        return self._positions.of(source)

    def save_position(self, source: str, position: str) -> None:
        """Note where a source stands, in the transaction of its records.

        Of a position with many lines only those that changed are written.
        """
        self._positions.save(source, position)

    def forget_position(self, source: str) -> None:
        """Let a source begin anew."""
        self._positions.forget(source)

    def watermark(self, sink: str) -> int | None:
        """Return the log number up to which a sink has confirmed all; None for a new sink."""
        found = self._db.execute("SELECT lsn FROM watermarks WHERE sink = ?", (sink,)).fetchone()
        return found[0] if found else None

    def save_watermark(self, sink: str, lsn: int) -> None:
        """Note that a sink has confirmed all up to `lsn`, and forget what was kept for it."""
        self._db.execute("INSERT OR REPLACE INTO watermarks VALUES (?, ?)", (sink, lsn))
        self._db.execute("DELETE FROM outbox WHERE sink = ? AND lsn <= ?", (sink, lsn))

    # Snapshots and what they must not outrun

    def save_snapshot(self, row: StreamRow, lsn: int, state: bytes) -> None:
        """Keep a stream's state as of `lsn`, and the generation before it."""
        self._db.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (row.id, lsn, state))
        self._db.execute(
            "DELETE FROM snapshots WHERE stream = ? AND lsn NOT IN"
            " (SELECT lsn FROM snapshots WHERE stream = ? ORDER BY lsn DESC LIMIT ?)",
            (row.id, row.id, GENERATIONS),
        )

    def snapshots(self, row: StreamRow) -> Iterator[tuple[int, bytes]]:
        """Yield (log number, state) of the stream's present epoch, the newest first."""
        query = "SELECT lsn, state FROM snapshots WHERE stream = ? AND lsn >= ? ORDER BY lsn DESC"
        yield from self._db.execute(query, (row.id, row.since_lsn))

    def drop_snapshots(self, row: StreamRow) -> None:
        """Forget all that a stream has learned."""
        self._db.execute("DELETE FROM snapshots WHERE stream = ?", (row.id,))

    def drop_snapshot(self, row: StreamRow, lsn: int) -> None:
        """Forget a snapshot that proved unsound, unless the journal is only read."""
        if self._read_only:
            return
        self._db.execute("DELETE FROM snapshots WHERE stream = ? AND lsn = ?", (row.id, lsn))

    def keep_outputs(self, sink: str, outputs: Iterable[Output]) -> None:
        """Keep outputs that `sink` has not confirmed: a snapshot is about to pass them."""
        nth: dict[int, int] = {}
        for output in outputs:
            assert output.lsn is not None
            nth[output.lsn] = nth.get(output.lsn, -1) + 1
            self._db.execute(
                "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    sink,
                    output.lsn,
                    nth[output.lsn],
                    output.kind,
                    output.stream,
                    output.payload,
                    json.dumps(dict(output.identity)),
                ),
            )

    def kept_outputs(self, sink: str) -> Iterator[Output]:
        """Yield the outputs kept for a sink, in order."""
        query = (
            "SELECT kind, payload, stream, lsn, identity FROM outbox WHERE sink = ?"
            " ORDER BY lsn, nth"
        )
        for kind, payload, stream, lsn, identity in self._db.execute(query, (sink,)):
            yield Output(kind, payload, stream, lsn, json.loads(identity))

    # What no record caused

    def keep_notice(self, sink: str, output: Output) -> int:
        """Keep an output that no record caused until `sink` confirms it; return its number."""
        return self._insert(
            "INSERT INTO notices (sink, kind, stream, payload, identity) VALUES (?, ?, ?, ?, ?)",
            (sink, output.kind, output.stream, output.payload, json.dumps(dict(output.identity))),
        )

    def notices(self, sink: str) -> list[Output]:
        """Return what is kept for a sink, in order, under the log number of the newest record."""
        query = "SELECT kind, payload, stream, identity, id FROM notices WHERE sink = ? ORDER BY id"
        return [
            Output(kind, payload, stream, self.last_lsn, json.loads(identity), number)
            for kind, payload, stream, identity, number in self._db.execute(query, (sink,))
        ]

    def drop_notices(self, numbers: Iterable[int]) -> None:
        """Forget what has been confirmed."""
        self._db.executemany("DELETE FROM notices WHERE id = ?", [(one,) for one in numbers])

    def save_stale(self, row: StreamRow, event: bytes | None) -> None:
        """Note the event that called a stream stale; None: it is no longer."""
        if event is None:
            self._db.execute("DELETE FROM stale WHERE stream = ?", (row.id,))
        else:
            self._db.execute("INSERT OR REPLACE INTO stale VALUES (?, ?)", (row.id, event))

    def stale(self) -> dict[str, bytes]:
        """Return the streams that are stale, by name, and the events that said so."""
        query = "SELECT name, event FROM stale JOIN streams ON streams.id = stale.stream"
        return dict(self._db.execute(query).fetchall())

    # Retention

    def prune(self, row: StreamRow, *, received_before: int | None) -> int:
        """Delete the stream's records that neither recovery nor `keep` needs; return how many.

        Records received at or after `received_before` (nanoseconds) stay; None keeps no more
        than recovery and the recognition of repeats need.
        """
        oldest = self._one("SELECT min(lsn) FROM snapshots WHERE stream = ?", (row.id,))
        if oldest is None:
            return 0
        query = (
            "DELETE FROM log WHERE stream = ?1 AND lsn <= ?2 AND lsn <= coalesce((SELECT lsn FROM"
            " log WHERE stream = ?1 ORDER BY lsn DESC LIMIT 1 OFFSET ?3), 0)"
        )
        limits: tuple[int, ...] = (row.id, oldest, REPEATS_KEPT)
        if received_before is not None:
            query += " AND coalesce(received, 0) < ?4"
            limits += (received_before,)
        return self._db.execute(query, limits).rowcount

    def size(self) -> int:
        """Return the bytes in use, free pages not counted."""
        pages, free = self._one("PRAGMA page_count"), self._one("PRAGMA freelist_count")
        return int((pages - free) * self._one("PRAGMA page_size"))

    # Dead letters

    def bury(self, source: str, message: Message, reason: str) -> None:
        """Keep a message that cannot be read, with the reason; the oldest make room."""
        number = self._insert(
            "INSERT INTO dead_letters (source, origin, received, reason, payload)"
            " VALUES (?, ?, ?, ?, ?)",
            (source, message.origin, message.received, reason, message.payload[:DEAD_LETTER_BYTES]),
        )
        self._db.execute("DELETE FROM dead_letters WHERE id <= ?", (number - DEAD_LETTERS_KEPT,))

    def dead_letters(self) -> list[Mapping[str, object]]:
        """Return the dead letters, the oldest first."""
        query = "SELECT source, origin, received, reason, payload FROM dead_letters ORDER BY id"
        names = ("source", "origin", "received", "reason", "payload")
        return [dict(zip(names, row, strict=True)) for row in self._db.execute(query)]

    def close(self) -> None:
        """Let go of the folder."""
        self._held.close()

    def _one(self, query: str, values: tuple[object, ...] = ()) -> Any:
        return self._db.execute(query, values).fetchone()[0]

    def _insert(self, query: str, values: tuple[object, ...]) -> int:
        return self._db.execute(query, values).lastrowid or 0


def _stream_row(row: tuple[str, str, bytes, int, int, int, int, bytes]) -> StreamRow:
    name, owner, plan, number, epoch, since_lsn, last_lsn, clock = row
    return StreamRow(
        name,
        owner,
        msgspec.json.decode(plan, type=Plan),
        number,
        epoch,
        since_lsn,
        last_lsn,
        msgspec.json.decode(clock, type=Clock),
    )


def _lock(folder: Path) -> IO[bytes]:
    """Hold the data directory: two daemons on one journal would spoil it."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = (folder / "lock").open("wb")
    except OSError as error:
        raise StoreError(
            f"cannot use the data directory {folder}: {error.strerror}; set data_dir in [daemon]"
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StoreError(
            f"the data directory {folder} is in use by another streamlnn: stop it, or give this "
            "one a data_dir of its own"
        ) from error
    return handle


def _open(folder: Path | None, durable: bool, read_only: bool) -> sqlite3.Connection:
    where = str(folder / FILE) if folder else ":memory:"
    with ExitStack() as held:
        try:
            if read_only:
                db = held.enter_context(closing(_connect_to_read(where)))
            else:
                db = held.enter_context(closing(_connect(where, durable)))
            _check_format(db, where)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot open the journal {where}: {_trouble(error)}") from error
        held.pop_all()
    return db


def _connect_to_read(where: str) -> sqlite3.Connection:
    uri = f"{Path(where).absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, isolation_level=None, check_same_thread=False, uri=True)
    db.execute("BEGIN")  # what a daemon writes from here on is not seen
    return db


def _connect(where: str, durable: bool) -> sqlite3.Connection:
    if where != ":memory:":
        os.close(os.open(where, os.O_RDWR | os.O_CREAT, 0o600))
    db = sqlite3.connect(where, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        db.executescript(_SCHEMA + positions.SCHEMA)
        db.execute("INSERT OR IGNORE INTO meta VALUES ('format', ?)", (str(FORMAT),))
    except sqlite3.Error:
        db.close()
        raise
    return db


def _trouble(error: Exception) -> str:
    # Whoever moves a sound journal aside because the disk is full has lost what it knew.
    way_out = _WAYS_OUT.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "look at the disk")
    if isinstance(error, msgspec.DecodeError):
        way_out = _WAYS_OUT[sqlite3.SQLITE_CORRUPT]
    return f"{error}; {way_out}"


def _check_format(db: sqlite3.Connection, where: str) -> None:
    (found,) = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if int(found) != FORMAT:
        raise StoreError(
            f"the journal {where} has format {found}, this version reads {FORMAT}: "
            "use the version that wrote it, or move it aside to begin anew"
        )
