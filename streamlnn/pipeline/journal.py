"""The record log, the snapshots and the positions: one SQLite file, all or nothing.

Write-ahead logging with `synchronous=FULL`: when `transaction` ends, what was written is on disk.
The log is the recovery log and the recording. Every accepted record has a log number (`lsn`) that
only ever rises; a snapshot carries the number of the last record its state has seen.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from streamlnn.errors import StoreError
from streamlnn.model.records import Record
from streamlnn.pipeline.contract import Message, Output
from streamlnn.pipeline.rows import REPEATS_KEPT, LogRow, StreamRow
from streamlnn.pipeline.store import (
    FILE,
    SEALED,
    damaged,
    lock,
    open_file,
    seal,
    settle,
    sync,
    trouble,
)

__all__ = ["FILE", "REPEATS_KEPT", "Journal", "LogRow", "StreamRow"]

DEAD_LETTERS_KEPT = 10_000
DEAD_LETTER_BYTES = 4096
GENERATIONS = 2
_DIGEST_BYTES = 32

_SOME_OLDEST = """
SELECT lsn FROM log INDEXED BY log_waypoints
WHERE stream = ? AND crc % 16 = 0 AND lsn <= ? ORDER BY lsn LIMIT ?
"""
_ON_THE_WAY = """
WITH RECURSIVE way(lsn, received, prev) AS (
    SELECT lsn, received, prev FROM log WHERE lsn = ?1 AND stream = ?2 AND lsn > ?3
    UNION ALL
    SELECT log.lsn, log.received, log.prev FROM way CROSS JOIN log
    WHERE log.lsn = way.prev AND way.prev > ?3
) SELECT lsn, received FROM way ORDER BY lsn
"""
"""A stream's records up to one waypoint, and after the one before."""


class Journal:
    """One data directory, held for as long as the object lives; without a folder, in memory.

    With `read_only` a daemon may hold the folder and go on; the journal is seen as it was at the
    start. If it is not `durable`, it is on disk once it has been closed: a power cut before can
    cost all of it. Raises `StoreError` when another process holds the folder, when it was written
    by a newer version, or when the file is damaged.
    """

    def __init__(
        self, folder: Path | None, *, durable: bool = True, read_only: bool = False
    ) -> None:
        self.volatile = folder is None
        self._read_only = read_only
        self._unsynced = None if durable or read_only else folder
        self._positions: dict[str, list[str]] = {}
        with ExitStack() as held:
            if folder and not read_only:
                held.enter_context(lock(folder))
            db = open_file(folder, durable=durable, read_only=read_only)
            self._db = held.enter_context(closing(db))
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
            raise StoreError(f"cannot write to the journal: {trouble(error)}") from error
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        self._positions = {}
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Turn what a damaged file does to those who read it into a `StoreError`."""
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise StoreError(f"cannot read the journal: {trouble(error)}") from error

    # Records

    def append(self, row: StreamRow, record: Record) -> int:
        """Add a record to the log and return its log number."""
        self._lsn += 1
        said = (
            self._lsn,
            row.id,
            record.time,
            record.received,
            record.values.tobytes(),
            row.last_lsn,
        )
        self._db.execute("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?, ?)", (*said, seal(*said)))
        row.count(self._lsn)
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

    def spread(self, row: StreamRow, before: int, most: int) -> list[Record]:
        """Return records of a stream with a clock from before a time, in nanoseconds, in order.

        Half of them are the newest, one after the other; as many at most are spread evenly over all
        the time that is kept. Costs some 10 microseconds each.
        """
        kept = "SELECT time, vals, received FROM log WHERE stream = ? AND time < ?"
        newest = self._db.execute(f"{kept} ORDER BY time DESC LIMIT ?", (row.id, before, most // 2))
        found = {time: rest for time, *rest in newest}
        start, end = self._first_time(row), min(found, default=before)
        step = max(1, (end - start) // max(1, most - len(found)))
        query = f"{kept} AND time >= ? ORDER BY time LIMIT 1"
        while one := self._db.execute(query, (row.id, end, start)).fetchone():
            found[one[0]] = one[1:]
            start = max(start + step, one[0] + 1)
        return [
            Record(row.name, time, np.frombuffer(values), received)
            for time, (values, received) in sorted(found.items())
        ]

    def _first_time(self, row: StreamRow) -> int:
        [first] = self._db.execute(
            "SELECT MIN(time) FROM log WHERE stream = ?", (row.id,)
        ).fetchone()
        return 0 if first is None else int(first)

    def records_after(self, lsn: int) -> Iterator[tuple[int, Record]]:
        """Yield (log number, record) in the order they were accepted.

        Raises `StoreError` for a record that is damaged, and where one is missing in between.
        """
        for number, name, time, received, values in self.rows_after(lsn, {}):
            yield number, Record(name, time, np.frombuffer(values), received)

    def rows_after(self, lsn: int, known: Mapping[str, int]) -> Iterator[LogRow]:
        """Yield what the log says of each record above a number, in their order.

        `known` says up to which log number a stream is known already: none of those is yielded,
        and the next one has to follow it. Raises `StoreError` as `records_after`.
        """
        names, last = {row.id: name for name, row in self.streams().items()}, dict(known)
        query = "SELECT * FROM log WHERE lsn > ? ORDER BY lsn"
        for number, stream, time, received, values, prev, crc in self._db.execute(query, (lsn,)):
            name = names.get(stream, "")
            before = last.get(name)
            if before is not None and number <= before:
                continue
            if not name or crc != seal(number, stream, time, received, values, prev):
                raise damaged(f"record {number} is not as it was written")
            if before is not None and prev > before:
                raise damaged(f"record {prev} of stream {name!r} is missing")
            last[name] = number
            yield number, name, time, received, values

    # Streams, positions, watermarks

    def streams(self) -> dict[str, StreamRow]:
        """Return all streams by name."""
        return {row[1]: StreamRow.of(row) for row in self._sound("streams")}

    def save_stream(self, row: StreamRow) -> None:
        """Write a stream's row; a new one gets its number."""
        if row.id == 0:
            row.id = self._one("SELECT coalesce(max(id), 0) + 1 FROM streams")
        said = row.columns()
        self._db.execute(
            "INSERT INTO streams VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
            " ON CONFLICT (id) DO UPDATE SET owner = ?3, plan = ?4, epoch = ?5, since_lsn = ?6,"
            " last_lsn = ?7, clock = ?8, marks = ?9, crc = ?10",
            (*said, seal(*said)),
        )

    def position(self, source: str) -> str | None:
        """Return where a source stands; None for a new one."""
        first = self._sound("positions", "WHERE source = ?", (source,))
        if not first:
            return None
        others = self._sound("more_position", "WHERE source = ? ORDER BY nth", (source,))
        return "\n".join([first[0][1], *(line for _, _, line in others)])

    def save_position(self, source: str, position: str) -> None:
        """Note where a source stands, in the transaction of its records.

        Of a position with many lines, such as those of a thousand files, only the ones that
        changed are written: all of them with every batch would wear the disk out.
        """
        if source not in self._positions:
            self.forget_position(source)
        before, lines = self._positions.get(source, []), position.split("\n")
        if lines[:1] != before[:1]:
            self._put("positions", (source, lines[0]))
        for nth, line in enumerate(lines[1:], 1):
            if nth >= len(before) or line != before[nth]:
                self._put("more_position", (source, nth, line))
        if len(lines) < len(before):
            query = "DELETE FROM more_position WHERE source = ? AND nth >= ?"
            self._db.execute(query, (source, len(lines)))
        self._positions[source] = lines

    def forget_position(self, source: str) -> None:
        """Let a source begin anew."""
        self._positions.pop(source, None)
        self._db.execute("DELETE FROM positions WHERE source = ?", (source,))
        self._db.execute("DELETE FROM more_position WHERE source = ?", (source,))

    def watermark(self, sink: str) -> int | None:
        """Return the log number up to which a sink has confirmed all; None for a new sink."""
        found = self._sound("watermarks", "WHERE sink = ?", (sink,))
        return found[0][1] if found else None

    def save_watermark(self, sink: str, lsn: int) -> None:
        """Note that a sink has confirmed all up to `lsn`, and forget what was kept for it."""
        self._put("watermarks", (sink, lsn))
        self._db.execute("DELETE FROM outbox WHERE sink = ? AND lsn <= ?", (sink, lsn))

    def forget_sink(self, sink: str) -> int:
        """Delete what is kept for a sink, and its watermark; return how many outputs it was."""
        gone = 0
        for table in ("outbox", "notices"):
            query = f"DELETE FROM {table} WHERE sink = ?"  # noqa: S608 - our own names
            gone += self._db.execute(query, (sink,)).rowcount
        self._db.execute("DELETE FROM watermarks WHERE sink = ?", (sink,))
        return gone

    # Snapshots and what they must not outrun

    def save_snapshot(self, row: StreamRow, lsn: int, state: bytes) -> None:
        """Keep a stream's state as of `lsn`, and the generation before it."""
        crc = seal(row.id, lsn, state[-_DIGEST_BYTES:])
        self._db.execute(
            "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?)", (row.id, lsn, state, crc)
        )
        self._db.execute(
            "DELETE FROM snapshots WHERE stream = ? AND lsn NOT IN"
            " (SELECT lsn FROM snapshots WHERE stream = ? ORDER BY lsn DESC LIMIT ?)",
            (row.id, row.id, GENERATIONS),
        )

    def snapshots(self, row: StreamRow) -> Iterator[tuple[int, bytes]]:
        """Yield (log number, state) of the stream's present epoch, the newest first.

        The state of one that does not belong where it stands is empty.
        """
        query = (
            "SELECT lsn, state, crc FROM snapshots WHERE stream = ? AND lsn >= ? ORDER BY lsn DESC"
        )
        for lsn, state, crc in self._db.execute(query, (row.id, row.since_lsn)):
            # In a damaged page the bytes may have become a number.
            is_whole = isinstance(state, bytes) and crc == seal(row.id, lsn, state[-_DIGEST_BYTES:])
            yield lsn, state if is_whole else b""

    def drop_snapshots(self, row: StreamRow) -> None:
        """Forget all that a stream has learned."""
        self._db.execute("DELETE FROM snapshots WHERE stream = ?", (row.id,))
        self._db.execute("DELETE FROM meta WHERE key = ?", (_carried(row),))

    def carry(self, row: StreamRow) -> None:
        """Note that at `since_lsn` the stream had learned what only its snapshots know."""
        self._db.execute(
            "INSERT OR REPLACE INTO meta VALUES (?, ?)", (_carried(row), str(row.since_lsn))
        )

    def is_carried(self, row: StreamRow) -> bool:
        """Tell whether `carry` was said of the stream's present beginning."""
        query = "SELECT value FROM meta WHERE key = ?"
        found = self._db.execute(query, (_carried(row),)).fetchone()
        return found is not None and found[0] == str(row.since_lsn)

    def drop_snapshot(self, row: StreamRow, lsn: int) -> None:
        """Forget a snapshot that proved unsound, unless the journal is only read."""
        if self._read_only:
            return
        self._db.execute("DELETE FROM snapshots WHERE stream = ? AND lsn = ?", (row.id, lsn))

    def keep_outputs(self, sink: str, outputs: Iterable[Output]) -> None:
        """Keep outputs that `sink` has not confirmed; one that is kept already stays as it is."""
        nth: dict[int, int] = {}
        for output in outputs:
            assert output.lsn is not None
            nth[output.lsn] = nth.get(output.lsn, -1) + 1
            said = (
                sink,
                output.lsn,
                nth[output.lsn],
                output.kind,
                output.stream,
                output.payload,
                json.dumps(dict(output.identity)),
            )
            self._db.execute(
                "INSERT OR IGNORE INTO outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*said, seal(*said))
            )

    def kept_outputs(self, sink: str, after: int = 0, most: int = -1) -> list[Output]:
        """Return the outputs kept for a sink, in order: those of log numbers above `after`.

        Of `most` rows that are looked at, the last number's are left for the next time: its
        outputs stay together.
        """
        where = "WHERE sink = ? AND lsn > ? ORDER BY lsn, nth LIMIT ?"
        rows = self._sound("outbox", where, (sink, after, most))
        if len(rows) == most and rows[0][1] != rows[-1][1]:
            rows = [row for row in rows if row[1] != rows[-1][1]]
        return [
            Output(kind, payload, stream, lsn, json.loads(identity))
            for _, lsn, _, kind, stream, payload, identity in rows
        ]

    def kept_count(self, sink: str) -> int:
        """Return how many outputs are kept for a sink."""
        return int(self._one("SELECT count(*) FROM outbox WHERE sink = ?", (sink,)))

    # What no record caused

    def keep_notice(self, sink: str, output: Output) -> int:
        """Keep an output that no record caused until `sink` confirms it; return its number."""
        number = int(self._one("SELECT coalesce(max(id), 0) + 1 FROM notices"))
        identity = json.dumps(dict(output.identity))
        self._put("notices", (number, sink, output.kind, output.stream, output.payload, identity))
        return number

    def notices(self, sink: str) -> list[Output]:
        """Return what is kept for a sink, in order, under the log number of the newest record."""
        return [
            Output(kind, payload, stream, self.last_lsn, json.loads(identity), number)
            for number, _, kind, stream, payload, identity in self._sound(
                "notices", "WHERE sink = ? ORDER BY id", (sink,)
            )
        ]

    def drop_notices(self, numbers: Iterable[int]) -> None:
        """Forget what has been confirmed."""
        self._db.executemany("DELETE FROM notices WHERE id = ?", [(one,) for one in numbers])

    def save_stale(self, row: StreamRow, event: bytes | None) -> None:
        """Note the event that called a stream stale; None: it is no longer."""
        if event is None:
            self._db.execute("DELETE FROM stale WHERE stream = ?", (row.id,))
        else:
            self._put("stale", (row.id, event))

    def stale(self) -> dict[str, bytes]:
        """Return the streams that are stale, by name, and the events that said so."""
        names = {row.id: name for name, row in self.streams().items()}
        return {names[number]: event for number, event in self._sound("stale")}

    # Retention

    def prune(self, row: StreamRow, *, received_before: int | None, most: int) -> int:
        """Delete the stream's oldest records that neither recovery nor `keep` needs.

        Records received at or after `received_before` (nanoseconds) stay; None keeps no more
        than recovery and the recognition of repeats need. They go in the order of their log
        numbers, so that there is no hole, `most` of them at once; returns how many it deleted.
        """
        oldest = self._one("SELECT min(lsn) FROM snapshots WHERE stream = ?", (row.id,))
        floor = min(oldest or 0, row.marks[0])
        gone = []
        for lsn, received in islice(self._oldest(row, floor, most), most):
            if received_before is not None and (received or 0) >= received_before:
                break
            gone.append((lsn,))
        self._db.executemany("DELETE FROM log WHERE lsn = ?", gone)
        return len(gone)

    def _oldest(self, row: StreamRow, floor: int, most: int) -> Iterator[tuple[int, int | None]]:
        """Yield number and moment of receiving of a stream's first records, in order.

        Up to `floor`; where that is none of them, the last few may be left for the next time. Times
        are no order: a clock may be set back.
        """
        found = self._db.execute(_SOME_OLDEST, (row.id, floor, most)).fetchall()
        before = 0
        for (waypoint,) in found if len(found) == most else [*found, (floor,)]:
            yield from self._db.execute(_ON_THE_WAY, (waypoint, row.id, before)).fetchall()
            before = waypoint

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

    # For those who only look

    def standing(self) -> dict[str, dict[str, Any]]:
        """Return `positions` by source, and by sink `watermarks` and the number `waiting`.

        Waiting outputs are kept for the sink beside what stepping the log again would give.
        """
        return {
            "positions": dict(self._sound("positions")),
            "watermarks": dict(self._sound("watermarks")),
            "waiting": self.waiting(),
        }

    def waiting(self) -> dict[str, int]:
        """Return by sink how many outputs are kept for it, where there are any."""
        waiting: dict[str, int] = {}
        for table in ("outbox", "notices"):
            query = f"SELECT sink, count(*) FROM {table} GROUP BY sink"  # noqa: S608 - our own names
            for sink, n in self._db.execute(query):
                waiting[sink] = waiting.get(sink, 0) + n
        return waiting

    def dead_letter_counts(self) -> list[tuple[str, str, int]]:
        """Return (source, reason, count), the most frequent first."""
        query = (
            "SELECT source, reason, count(*) AS n FROM dead_letters GROUP BY source, reason"
            " ORDER BY n DESC, max(id) DESC"
        )
        return self._db.execute(query).fetchall()

    def find_dead_letters(self, text: str, most: int) -> list[Mapping[str, Any]]:
        """Return the newest dead letters whose reason holds `text`, `most` at most, in order."""
        query = (
            "SELECT source, origin, received, reason, payload FROM dead_letters"
            " WHERE instr(lower(reason), lower(?)) ORDER BY id DESC LIMIT ?"
        )
        names = ("source", "origin", "received", "reason", "payload")
        found = self._db.execute(query, (text, most)).fetchall()
        return [dict(zip(names, row, strict=True)) for row in reversed(found)]

    def close(self) -> None:
        """Let go of the folder. Raises `StoreError` when a disk that is waited for fails."""
        unsynced, self._unsynced = self._unsynced, None
        try:
            with self._held:
                if unsynced:
                    settle(self._db)
            if unsynced:
                sync(unsynced)
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot write to the journal: {trouble(error)}") from error

    def _one(self, query: str, values: tuple[object, ...] = ()) -> Any:
        return self._db.execute(query, values).fetchone()[0]

    def _insert(self, query: str, values: tuple[object, ...]) -> int:
        return self._db.execute(query, values).lastrowid or 0

    def _put(self, table: str, said: tuple[Any, ...]) -> None:
        """Write a sealed row in place of the one with its key."""
        marks = ", ".join("?" * (len(said) + 1))
        query = f"INSERT OR REPLACE INTO {table} VALUES ({marks})"  # noqa: S608 - our own names
        self._db.execute(query, (*said, seal(*said)))

    def _sound(self, table: str, where: str = "", values: tuple[Any, ...] = ()) -> list[Any]:
        """Return rows as they were written, without their seal. Raises `StoreError` for others."""
        query = f"SELECT {SEALED[table]}, crc FROM {table} {where}"  # noqa: S608 - our own names
        rows = self._db.execute(query, values).fetchall()
        for *said, crc in rows:
            if crc != seal(*said):
                raise damaged(f"a row of its {table} is not as it was written")
        return [row[:-1] for row in rows]


def _carried(row: StreamRow) -> str:
    return f"carried {row.id}"
