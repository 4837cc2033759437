"""Files that others append to, followed through rotation, truncation and our own restarts."""

from __future__ import annotations

import logging
import os
import re
import time
from itertools import count
from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from connectors.columns import columns_of
from connectors.generations import Generation, files_of, position_of
from connectors.lines import CHUNK, LINE_LIMIT
from connectors.tail_look import examine_files
from connectors.watcher import Watcher
from streamlnn.pipeline.contract import Batch, Context, Duration, Message, NotConnected, Settings

log = logging.getLogger("streamlnn.tail")

BATCH = 1000
"""After how many messages a read is enough; the chunk that reaches it is read whole."""

MANY = 1000
MANY_SECS = 2e-4
"""From so many files on, each puts the looks apart by so much: they must not fill the time."""

# Anywhere in the name: "*.csv*" and "log.csv.1" are CSV too.
_CSV = re.compile(r"\.(csv|tsv|txt|dat)\b", re.IGNORECASE)


class TailSettings(Settings):
    """The options of followed files.

    `paths` are file names with wildcards. `format` is told by the first one's ending if it is
    not given. `start` says where to begin with files that are there already: behind the saved
    position if there is one, else at their end or beginning; or always there. Files that come
    later are read from their beginning. `poll` is how often to look; `rotate_wait` how long a
    file that was moved away stays open after its last line.
    """

    kind: Literal["tail"] = "tail"
    id: str = "tail"
    paths: list[str] = Field(min_length=1)
    format: Literal["csv", "jsonl", "influx"] | None = None
    start: Literal["saved-or-end", "saved-or-begin", "begin", "end"] = "saved-or-end"
    poll: Duration = 0.25
    rotate_wait: Duration = 5.0


class TailSource:
    """Reads the lines that are appended to files, each once and in order.

    Rotation by renaming or by deleting loses nothing as long as no file comes and goes between
    two looks, and is not compressed or taken to another folder while we are down. Truncation
    (logrotate's copytruncate) loses what was written between its copy and its cut, as it does for
    every reader. Symbolic links are followed, to regular files only.

    A file that cannot be read, or that is not there after a restart, keeps its position: it may
    come back, as one on a disk that is mounted late.
    """

    Settings: ClassVar[type[BaseModel]] = TailSettings
    examine = staticmethod(examine_files)

    def __init__(self, settings: TailSettings, context: Context) -> None:
        self.id = settings.id
        self.format = _codec(settings)
        self._settings = settings
        self._clock = context.clock
        self._watcher = Watcher(settings.paths, settings.rotate_wait)
        self._columns: dict[str, tuple[str, ...]] = {}
        self._dropped = {"too_long": 0, "torn": 0}
        self._connects = self._turn = 0
        self._is_ready = self._unsaved = False
        self._next_scan = self._next_look = 0.0

    def connect(self, position: str | None) -> None:
        """Look for the files; none being there is no error, they are waited for."""
        always = self._connects == 0 and not self._settings.start.startswith("saved")
        self._connects += 1
        saved = None if position is None or always else files_of(position)
        if saved is None:
            self._begin()
        else:
            self._resume(*saved)
        self._is_ready = not self._unsaved

    def read(self, timeout: float) -> Batch | None:
        """Return the lines that have come; at the very first an empty batch, to save the begin."""
        if self._unsaved:
            return self._batch([])
        self._is_ready = True
        deadline = time.monotonic() + timeout
        for turn in count():
            self._scan_if_due()
            files = self._turns() if time.monotonic() >= self._next_look else []
            if messages := self._collect(files):
                return self._batch(messages)
            now = time.monotonic()
            # A line may take this many turns to come, and a truncation one to be noticed.
            if now >= deadline and (not files or turn > LINE_LIMIT // CHUNK):
                break
            if not files:
                time.sleep(max(0.0, min(deadline, self._next_scan) - now))
        return None

    def idle(self) -> None:
        """Do nothing: a file waits by itself."""

    def ack(self, position: str) -> None:
        """Do nothing: a file forgets nothing."""

    @property
    def ready(self) -> bool:
        """True once it is on disk where reading begins: from then on nothing is missed."""
        return self._is_ready

    @property
    def stats(self) -> dict[str, int | dict[str, int]]:
        """How many lines were left out and why, and how many files there are, for the metrics."""
        files = self._watcher.files
        return {
            "lines_dropped": self._dropped | {"no_newline": self._watcher.dropped},
            "files": len(files),
            "files_failing": sum(file.failed for file in files),
        }

    @property
    def dropped(self) -> int:
        """How many lines were left out: too long, torn, or without a newline to the end."""
        return sum(self._dropped.values()) + self._watcher.dropped

    def close(self) -> None:
        """Close all files."""
        self._watcher.close()
        self._is_ready = False

    def _begin(self) -> None:
        at_end = self._settings.start.endswith("end")
        self._watcher.begin(time.monotonic(), self._skip if at_end else None)
        # Before anything is read: a restart would begin later, with other files or at other ends.
        self._unsaved = True

    def _skip(self, file: Generation) -> None:
        try:
            file.skip_to_end()
            first = file.first_line()
        except OSError as error:
            raise NotConnected(
                f"cannot find the end of {file.path}: {error.strerror}; take it away, or make it "
                "readable"
            ) from error
        if first is not None and self.format == "csv":
            self._name_columns(file, first)

    def _resume(self, saved: list[Generation], began: int | None) -> None:
        self._columns |= {file.origin: file.columns for file in saved if file.columns}
        self._watcher.resume(saved, began, time.monotonic())
        self._unsaved = False

    def _scan_if_due(self) -> None:
        now = time.monotonic()
        if now >= self._next_scan:
            self._watcher.scan(now)
            self._next_scan = time.monotonic() + max(self._settings.poll, self._pause())

    def _pause(self) -> float:
        """Return by how many seconds looks are put apart when there are very many files."""
        return MANY_SECS * max(0, len(self._watcher.files) - MANY)

    def _turns(self) -> list[tuple[Generation, int]]:
        """Return the files that have something new, one generation of a name at most."""
        files = [file for file in self._watcher.files if file.is_open and not file.rests]
        # Newer ones are measured first: what a writer wrote before it changed files is then seen.
        news = [self._news(file) for file in reversed(files)][::-1]
        waiting: dict[str, tuple[Generation, int]] = {}
        for file, size in zip(files, news, strict=True):
            if size is not None:
                waiting.setdefault(file.origin, (file, size))
        self._turn = (self._turn + 1) % max(1, len(waiting))
        turns = list(waiting.values())
        self._next_look = 0.0 if turns else time.monotonic() + self._pause() / 2
        return turns[self._turn :] + turns[: self._turn]

    def _news(self, file: Generation) -> int | None:
        try:
            return file.news()
        except OSError as error:
            self._watcher.failed(file, error)
            return None

    def _collect(self, turns: list[tuple[Generation, int]]) -> list[Message]:
        messages: list[Message] = []
        for file, size in turns:
            try:
                lines = file.read(size)
            except OSError as error:
                self._watcher.failed(file, error)
                continue
            messages += self._taken(file, lines)
            if len(messages) >= BATCH:
                break
        return messages

    def _taken(self, file: Generation, lines: list[bytes] | None) -> list[Message]:
        if lines is None:
            self._watcher.truncated(file)
            return []
        if file.failed:
            self._watcher.is_well(file)
        if file.lines.dropped:
            self._count_dropped(file)
        if not lines:
            return []
        file.quiet_since = None
        return self._messages(file, lines)

    def _messages(self, file: Generation, lines: list[bytes]) -> list[Message]:
        if self.format == "csv" and file.columns is None and self._name_columns(file, lines[0]):
            del lines[0]
        origin, received = _as_text(file.origin), self._clock()
        return [Message(origin, line, received, file.columns) for line in lines]

    def _name_columns(self, file: Generation, first: bytes) -> bool:
        """Learn the columns from a first line; True if it is a header."""
        file.columns, is_header = columns_of(first, self._columns.get(file.origin))
        self._columns[file.origin] = file.columns
        return is_header

    def _count_dropped(self, file: Generation) -> None:
        too_long, torn = file.lines.take_counts()
        if too_long and not file.has_long_lines:
            log.warning(
                "%s: a line of more than %d bytes is left out, as any more like it",
                file.path,
                LINE_LIMIT,
            )
            file.has_long_lines = True
        if torn:
            log.warning("%s: a line that ends in zeros is left out (a power cut?)", file.path)
        self._dropped["too_long"] += too_long
        self._dropped["torn"] += torn

    def _batch(self, messages: list[Message]) -> Batch:
        self._unsaved = False
        return Batch(messages, position_of(self._watcher.files, self._watcher.began))


def _as_text(path: str) -> str:
    r"""Return a file's name as text that can be stored and sent, whatever its bytes are.

    >>> _as_text("logs/\udcff.csv")
    'logs/\\xff.csv'
    """
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _codec(settings: TailSettings) -> str:
    if settings.format is None:
        return "csv" if _CSV.search(settings.paths[0]) else "json"
    return "json" if settings.format == "jsonl" else settings.format
