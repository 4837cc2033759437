"""A disk in memory that forgets what was not synced, under the real SQLite and the real journal.

`LossyDisk.power_cut` leaves of every file what was durable, and of each write since then nothing,
all, or some of its sectors of 512 bytes. `fails_at` makes one operation fail and all after it, as
a machine that stops there; `error_at` makes just one fail, as a bad sector or a full disk does.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import apsw
import pytest

SECTOR = 512
_CODES = {apsw.FullError: sqlite3.SQLITE_FULL, apsw.IOError: sqlite3.SQLITE_IOERR}
_MODIFYING = ("write", "truncate", "sync", "delete", "create")


@dataclass
class _File:
    """What programs see, what would survive, and what was done since the last sync."""

    seen: bytearray = field(default_factory=bytearray)
    durable: bytearray | None = None
    unsynced: list[tuple[int, bytes | None]] = field(default_factory=list)


class LossyDisk:
    """Files by name; `count` is how many operations there were, by kind in `log`."""

    def __init__(self) -> None:
        self.files: dict[str, _File] = {}
        self.deleted: dict[str, _File] = {}
        self.count = 0
        self.log: list[str] = []
        self.fails_at: int | None = None
        self.error_at: int | None = None
        self.error: type[Exception] = apsw.IOError
        self.dead = False

    def do(self, kind: str, action: Callable[[], Any]) -> Any:
        """Carry out an operation that changes something, unless it is its turn to fail."""
        assert kind in _MODIFYING
        self.count += 1
        self.log.append(kind)
        if self.dead or self.count == self.fails_at:
            self.dead = True
            raise apsw.IOError("the machine has stopped")
        if self.count == self.error_at:
            raise self.error("this operation fails")
        return action()

    def sync_folder(self) -> None:
        """The names of the files are durable from here on, though not what is in them."""
        self.deleted.clear()
        for file in self.files.values():
            file.durable = bytearray() if file.durable is None else file.durable

    def power_cut(self, chance: random.Random) -> LossyDisk:
        """Return the disk that is found after the power came back."""
        found = LossyDisk()
        for name, file in {**self.deleted, **self.files}.items():
            if name not in self.files and chance.random() < 0.5:
                continue  # the deletion reached the disk
            survived = _survivor(file, chance)
            if survived is not None:
                found.files[name] = _File(bytearray(survived), bytearray(survived))
        return found

    def stopped(self) -> LossyDisk:
        """Return the disk that is found after a kill: the system still wrote all it had."""
        found = LossyDisk()
        for name, file in self.files.items():
            found.files[name] = _File(bytearray(file.seen), bytearray(file.seen))
        return found


def _survivor(file: _File, chance: random.Random) -> bytearray | None:
    if file.durable is None and chance.random() < 0.5:
        return None  # its name never reached the folder
    content = bytearray(file.durable or b"")
    keep = chance.choice([0.0, 0.5, 0.9, 1.0])
    for offset, data in file.unsynced:
        if chance.random() > keep:
            continue
        if data is None:
            del content[offset:]
        else:
            _write_torn(content, offset, data, chance)
    return content


def _write_torn(content: bytearray, offset: int, data: bytes, chance: random.Random) -> None:
    torn = chance.random() < 0.3
    for at in range(0, len(data), SECTOR):
        if not torn or chance.random() < 0.5:
            _put(content, offset + at, data[at : at + SECTOR])


def _put(content: bytearray, offset: int, data: bytes) -> None:
    if len(content) < offset:
        content.extend(bytes(offset - len(content)))
    content[offset : offset + len(data)] = data


class _OpenFile:
    """The face of a file that SQLite sees."""

    def __init__(self, disk: LossyDisk, name: str) -> None:
        self._disk = disk
        self._name = name
        if name not in disk.files:
            disk.do("create", lambda: disk.files.__setitem__(name, _File()))
        self._file = disk.files[name]

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._file.seen[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:
        def write() -> None:
            _put(self._file.seen, offset, data)
            self._file.unsynced.append((offset, bytes(data)))

        self._disk.do("write", write)

    def xTruncate(self, size: int) -> None:
        def truncate() -> None:
            del self._file.seen[size:]
            self._file.unsynced.append((size, None))

        self._disk.do("truncate", truncate)

    def xSync(self, flags: int) -> None:
        def sync() -> None:
            if self._file.durable is None and self._name.endswith(("-wal", "-journal")):
                self._disk.sync_folder()  # as SQLite does after the first sync of such a file
            self._file.durable = bytearray(self._file.seen)
            self._file.unsynced.clear()

        self._disk.do("sync", sync)

    def xFileSize(self) -> int:
        return len(self._file.seen)

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE  # as SQLite takes of every disk

    def xFileControl(self, op: int, pointer: int) -> bool:
        return False

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xClose(self) -> None: ...


class _Vfs(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("lossy", "")
        self.disk = LossyDisk()

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        flags[1] = flags[0]
        return _OpenFile(self.disk, name.filename() if hasattr(name, "filename") else str(name))

    def xFullPathname(self, name: str) -> str:
        return name

    def xAccess(self, name: str, flags: int) -> bool:
        return name in self.disk.files

    def xDelete(self, name: str, sync_folder: bool) -> None:
        def delete() -> None:
            file = self.disk.files.pop(name, None)
            if file is not None and not sync_folder:
                self.disk.deleted[name] = file

        self.disk.do("delete", delete)


class _Cursor:
    def __init__(self, rows: Any, changes: int) -> None:
        self._rows = rows
        self.rowcount = changes

    def fetchone(self) -> Any:
        with _as_sqlite3():
            return next(self._rows, None)

    def fetchall(self) -> list[Any]:
        with _as_sqlite3():
            return list(self._rows)

    def __iter__(self) -> Iterator[Any]:
        with _as_sqlite3():
            yield from self._rows


class _Connection:
    """`sqlite3.Connection`, as far as the journal uses it, on the lossy disk.

    The one difference: WAL without shared memory, which needs the file for itself.
    """

    def __init__(self, where: str) -> None:
        with _as_sqlite3():
            self._db = apsw.Connection(where, vfs="lossy")
        self.execute("PRAGMA locking_mode = EXCLUSIVE")

    def execute(self, query: str, values: Sequence[Any] = ()) -> _Cursor:
        with _as_sqlite3():
            rows = iter(self._db.execute(query, values))
            return _Cursor(rows, self._db.changes())

    def executemany(self, query: str, values: Sequence[Sequence[Any]]) -> None:
        with _as_sqlite3():
            self._db.executemany(query, values)

    def create_function(self, name: str, count: int, function: Any, deterministic: bool) -> None:
        self._db.create_scalar_function(name, function, count, deterministic=deterministic)

    @property
    def in_transaction(self) -> bool:
        return bool(self._db.in_transaction)

    def close(self) -> None:
        with suppress(apsw.Error):  # as a process that ends: nobody hears it
            self._db.close()


@contextmanager
def _as_sqlite3() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        told = sqlite3.OperationalError(str(error))
        told.sqlite_errorcode = _CODES.get(type(error), sqlite3.SQLITE_ERROR)
        raise told from error


_vfs: _Vfs | None = None


@contextmanager
def journals_on(disk: LossyDisk) -> Iterator[LossyDisk]:
    """For the length of the block every journal's file is on `disk`."""
    global _vfs
    _vfs = _vfs or _Vfs()
    _vfs.disk = disk
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda where, **_: _Connection(where))
        yield disk
