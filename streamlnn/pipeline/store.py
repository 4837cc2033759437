"""The journal's file: who may open it, what is in it, and how its rows are sealed.

A row carries the checksum of all it says and of where it stands, so that a flipped bit on a disk is
told and never taken for a record. Records carry the number of the one before them in their stream:
a row that has vanished leaves a hole that shows.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import sqlite3
import stat
import zlib
from contextlib import ExitStack, closing
from pathlib import Path
from typing import IO

import msgspec

from streamlnn.errors import ConfigError, StoreError

log = logging.getLogger("streamlnn.store")

FORMAT = 2
FILE = "journal.db"
AUTOCHECKPOINT_PAGES = 1_000

_LOCK_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
_FOR_GOOD = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
_BEGIN_ANEW = "it is damaged: restore it from a copy, or move it aside to begin anew"
_END_THAT_ONE = "another program is writing to it: end that one, then start again"
_WAYS_OUT = {
    sqlite3.SQLITE_FULL: "make room on the disk, then start again: nothing is lost",
    sqlite3.SQLITE_IOERR: "the disk fails: look at it, then start again; what was said to be "
    "on it counts",
    sqlite3.SQLITE_BUSY: _END_THAT_ONE,
    sqlite3.SQLITE_LOCKED: _END_THAT_ONE,
    sqlite3.SQLITE_CORRUPT: _BEGIN_ANEW,
    sqlite3.SQLITE_NOTADB: "it is no journal: move it aside to begin anew",
}

SEALED = {
    "streams": "id, name, owner, plan, epoch, since_lsn, last_lsn, clock, marks",
    "log": "lsn, stream, time, received, vals, prev",
    "positions": "source, position",
    "more_position": "source, nth, line",
    "watermarks": "sink, lsn",
    "outbox": "sink, lsn, nth, kind, stream, payload, identity",
    "notices": "id, sink, kind, stream, payload, identity",
    "stale": "stream, event",
}
"""The columns that each table's checksum `crc` covers. A snapshot's covers its own digest."""

_SMALL = ("meta", "streams", "positions", "more_position", "watermarks", "stale")
"""Tables whose rows nothing else would miss: their pages are checked at each start."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS streams (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, plan BLOB NOT NULL,
    epoch INTEGER NOT NULL, since_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, clock BLOB,
    marks BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS log (
    lsn INTEGER PRIMARY KEY, stream INTEGER NOT NULL, time INTEGER, received INTEGER,
    vals BLOB NOT NULL, prev INTEGER NOT NULL, crc INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS log_by_time ON log (stream, time);
CREATE TABLE IF NOT EXISTS snapshots (
    stream INTEGER NOT NULL, lsn INTEGER NOT NULL, state BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (stream, lsn)
);
CREATE TABLE IF NOT EXISTS positions (
    source TEXT PRIMARY KEY, position TEXT NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS more_position (
    source TEXT NOT NULL, nth INTEGER NOT NULL, line TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (source, nth)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS watermarks (
    sink TEXT PRIMARY KEY, lsn INTEGER NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (
    sink TEXT NOT NULL, lsn INTEGER NOT NULL, nth INTEGER NOT NULL, kind TEXT NOT NULL,
    stream TEXT NOT NULL, payload BLOB NOT NULL, identity TEXT NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (sink, lsn, nth)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notices (
    id INTEGER PRIMARY KEY, sink TEXT NOT NULL, kind TEXT NOT NULL, stream TEXT NOT NULL,
    payload BLOB NOT NULL, identity TEXT NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS stale (
    stream INTEGER PRIMARY KEY, event BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS dead_letters (
    id INTEGER PRIMARY KEY, source TEXT NOT NULL, origin TEXT NOT NULL, received INTEGER,
    reason TEXT NOT NULL, payload BLOB NOT NULL
);
"""

_WAYPOINTS = "CREATE INDEX IF NOT EXISTS log_waypoints ON log (stream) WHERE crc % 16 = 0"
"""One record in 16 of each stream, for its checksum is as good as drawn by lot: from there to the
others it goes by `prev`. An index of all records costs half as much again as the log itself.
Stores of before are given it too, and versions of before keep it up to date.
"""

_FROM_1_TO_2 = """
ALTER TABLE streams ADD COLUMN marks BLOB NOT NULL DEFAULT '[0,0,0]';
ALTER TABLE log ADD COLUMN prev INTEGER NOT NULL DEFAULT 0;
UPDATE log SET prev = before.prev FROM (
    SELECT lsn, lag(lsn, 1, 0) OVER (PARTITION BY stream ORDER BY lsn) AS prev FROM log
) AS before WHERE before.lsn = log.lsn;
ALTER TABLE snapshots ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE snapshots SET crc = seal(stream, lsn, substr(state, -32));
CREATE TABLE more_position (
    source TEXT NOT NULL, nth INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (source, nth)
) WITHOUT ROWID;
"""


def seal(*values: int | str | bytes | None) -> int:
    """Return the checksum of a row's values, in their order; None counts.

    >>> seal(1, None, b"a") == seal(1, None, b"a"), seal(1, None, b"a") == seal(1, b"a", None)
    (True, False)
    """
    return zlib.crc32(msgspec.msgpack.encode(values))


def damaged(what: str) -> StoreError:
    """Return the error that tells of damage, and what to do about it."""
    return StoreError(f"cannot read the journal: {what}; {_BEGIN_ANEW}")


def lock(folder: Path) -> IO[bytes]:
    """Hold the data directory: two daemons on one journal would spoil it.

    Raises `StoreError` when it is in use or belongs to somebody else, and `ConfigError` when it can
    neither be made nor written.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_owner(folder)
        handle = os.fdopen(os.open(folder / "lock", _LOCK_FLAGS, 0o600), "wb")
    except OSError as error:
        text = f"cannot use the data directory {folder}: {error.strerror}; set data_dir in [daemon]"
        # What another start does not mend is the configuration's fault; a full disk is not.
        raise (ConfigError([text]) if error.errno in _FOR_GOOD else StoreError(text)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        handle.close()
        raise StoreError(
            f"the data directory {folder} is in use by another streamlnn: stop it, or give this "
            "one a data_dir of its own"
        ) from error
    return handle


def open_file(folder: Path | None, *, durable: bool, read_only: bool) -> sqlite3.Connection:
    """Open the journal of a folder, bringing an older format up to date; None: in memory.

    Raises `StoreError`.
    """
    where = str(folder / FILE) if folder else ":memory:"
    with ExitStack() as held:
        try:
            if read_only:
                db = held.enter_context(closing(_connect_to_read(where)))
            else:
                db = held.enter_context(closing(_connect(where, durable)))
            _check_format(db, where, read_only)
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise StoreError(f"cannot open the journal {where}: {trouble(error)}") from error
        held.pop_all()
    return db


def settle(db: sqlite3.Connection) -> None:
    """Take into the file, and wait for the disk, what was written without waiting for it."""
    db.execute("PRAGMA synchronous = FULL")
    # Where all is in the file already, though not on the disk, SQLite sees nothing to wait for.
    db.execute("INSERT OR REPLACE INTO meta VALUES ('settled', '')")
    db.execute("DELETE FROM meta WHERE key = 'settled'")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def sync(folder: Path) -> None:
    """Wait until a journal that is closed is on the disk, and its name.

    Not before it is closed: whoever closes a file lets go of all locks that the process has on it.
    """
    for place in (folder / FILE, folder):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def trouble(error: Exception) -> str:
    """Return an error in words, and the way out.

    Whoever moves a sound journal aside because the disk is full has lost what it knew.
    """
    way_out = _WAYS_OUT.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "look at the disk")
    # The message of an error may quote bytes of the file, which then are no text.
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        way_out = _BEGIN_ANEW
    return f"{error}; {way_out}"


def _check_owner(folder: Path) -> None:
    found = folder.stat()
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"the data directory {folder} belongs to user {found.st_uid}, and we are "
            f"{os.geteuid()}: run as that user, or set data_dir in [daemon]"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise StoreError(f"others may write into the data directory {folder}: chmod 700 {folder}")


def _connect_to_read(where: str) -> sqlite3.Connection:
    uri = f"{Path(where).absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, isolation_level=None, check_same_thread=False, uri=True)
    _add_seal(db)
    db.execute("BEGIN")  # what a daemon writes from here on is not seen
    return db


def _connect(where: str, durable: bool) -> sqlite3.Connection:
    if where != ":memory:":
        os.close(os.open(where, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    db = sqlite3.connect(where, isolation_level=None, check_same_thread=False)
    try:
        _add_seal(db)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'OFF'}")
        db.execute(f"PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}")
        _prepare(db)
    except BaseException:
        db.close()
        raise
    return db


def _add_seal(db: sqlite3.Connection) -> None:
    db.create_function("seal", -1, seal, deterministic=True)


def _prepare(db: sqlite3.Connection) -> None:
    """Make the tables of a new file, or bring those of an older one up to date, all or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = _format(db)
        if found == 1:
            _upgrade(db)
        elif found is None:
            _run(db, _SCHEMA)
        if found in (None, 1):
            db.execute("INSERT OR REPLACE INTO meta VALUES ('format', ?)", (str(FORMAT),))
        if found in (None, 1, FORMAT):
            db.execute(_WAYPOINTS)
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _upgrade(db: sqlite3.Connection) -> None:
    log.warning("the journal is brought from format 1 to format %d", FORMAT)
    _run(db, _FROM_1_TO_2)
    for table, columns in SEALED.items():
        db.execute(f"ALTER TABLE {table} ADD COLUMN crc INTEGER NOT NULL DEFAULT 0")
        db.execute(f"UPDATE {table} SET crc = seal({columns})")  # noqa: S608 - our own names


def _run(db: sqlite3.Connection, script: str) -> None:
    # executescript would commit before it begins.
    for statement in filter(str.strip, script.split(";")):
        db.execute(statement)


def _format(db: sqlite3.Connection) -> int | None:
    if not db.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone():
        return None
    found = db.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    if found is None or not found[0].isdecimal():
        raise damaged("it does not tell its format")
    return int(found[0])


def _check_format(db: sqlite3.Connection, where: str, read_only: bool) -> None:
    found = _format(db)
    if found == 1 and read_only:
        raise StoreError(
            f"the journal {where} has format 1, this version reads {FORMAT}: start the daemon on "
            "it once, which brings it up to date"
        )
    if found != FORMAT:
        raise StoreError(
            f"the journal {where} has format {found}, this version reads {FORMAT}: "
            "use the version that wrote it, or move it aside to begin anew"
        )
    for table in _SMALL:
        ((said, *_), *_) = db.execute(f"PRAGMA integrity_check({table})").fetchall()
        if said != "ok":
            raise damaged(said)
