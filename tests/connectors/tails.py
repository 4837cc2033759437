"""A followed file and who writes to it, for the tests of the tail source."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Batch, Context
from streamlnn.pipeline.testing import FakeClock, payloads

# So often that every read looks: the tests then need no waiting.
ALWAYS = "1us"


def tail(
    path: Path | str, position: str | None = None, *, begun: bool = True, **options: object
) -> TailSource:
    """A source that is connected; `begun` as well, unless the first batch is what is asked for."""
    chosen = {"paths": [str(path)], "poll": ALWAYS, "start": "saved-or-begin"} | options
    source = TailSource(TailSettings(**chosen), Context(clock=FakeClock()))
    source.connect(position)
    if begun and not source.ready:
        source.read(0.0)
    return source


def drain(source: TailSource) -> list[Batch]:
    """Read all that is there; that which only says where reading begins is left out."""
    batches = []
    while batch := source.read(0.0):
        batches += [batch] if batch.messages else []
    return batches


def lines(source: TailSource) -> list[bytes]:
    return payloads(drain(source))


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def shift(path: Path) -> None:
    """Make room for `.1`, as logrotate does."""
    numbers = sorted(int(old.suffix[1:]) for old in path.parent.glob(path.name + ".*[0-9]"))
    for number in reversed(numbers):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")


class Writer:
    """Writes numbered lines to a log file and rotates it; `written` is what a reader must see."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.header = header
        self.written: list[bytes] = []
        self._open()

    def write(self, cut: int) -> Iterator[None]:
        """Write a line in two parts; between them the reader may look."""
        line = b"%06d,%d" % (len(self.written), len(self.written) % 7)
        self._file.write(line[:cut])
        yield
        self._file.write(line[cut:] + b"\n")
        self.written.append(line)

    def write_whole(self) -> None:
        for _ in self.write(3):
            pass

    def rename(self) -> None:
        """Move the file away; lines still go there until the writer opens the new one."""
        shift(self.path)
        self.rename_to(Path(f"{self.path}.1"))

    def rename_to(self, target: Path) -> None:
        """Move the file away to `target`."""
        self.path.rename(target)
        self.write_whole()
        self._file.close()
        self._open()

    def delete(self) -> None:
        """Delete the file and begin a new one, which may well get the same inode."""
        self.path.unlink()
        self._file.close()
        self._open()

    def copytruncate(self) -> None:
        """Copy the file away and cut it, as logrotate does for writers that never reopen."""
        self.write_whole()
        shift(self.path)
        shutil.copy(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self._file.write(self.header)


ROTATIONS: dict[str, Callable[[Writer], None]] = {
    "rename": Writer.rename,
    "delete": Writer.delete,
    "copytruncate": Writer.copytruncate,
}
