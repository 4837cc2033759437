"""How far a command has come, and how fast: a line on stderr where somebody is looking."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

EVERY_SECS = 0.1
"""How often it is drawn, and how long a command may take before it is drawn at all."""

_RATE_OVER = 50
_FOR_ALL, _FOR_TIMES = 92, 70
"""Columns of a terminal from which on the bar itself, and the times, are drawn."""


class Bar:
    """Counts what was done and draws it: `doing`, 1,234 records, 56/s, and the time left.

    `share` returns how much of all that is, from 0 to 1, or None where nobody can tell; without it
    the count is compared with `total`, if that is known. `more` returns what else is to be told.
    Where stderr is no terminal, or with `hidden`, nothing is drawn and nothing is asked. Drawn by
    whoever counts, never from another thread. A context manager: the line is gone behind it.
    """

    def __init__(
        self,
        doing: str,
        share: Callable[[], float | None] | None = None,
        *,
        total: int | None = None,
        what: str = "records",
        more: Callable[[], str] = str,
        hidden: bool = False,
    ) -> None:
        self.count = 0
        self._doing, self._share, self._total = doing, share, total
        self._what, self._more = what, more
        self._progress: Progress | None = None
        self._past = deque([(time.monotonic(), 0)], maxlen=_RATE_OVER)
        is_seen = sys.stderr is not None and sys.stderr.isatty() and not hidden
        self._due = time.monotonic() + EVERY_SECS if is_seen else float("inf")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def add(self, n: int = 1) -> None:
        """Count `n` more, and draw if it is time to."""
        self.count += n
        if time.monotonic() >= self._due:
            self._draw(time.monotonic())

    def clear(self) -> None:
        """Take the line away, to write something else; it comes back with the next count."""
        if self._progress is not None:
            self._progress.stop()

    def _draw(self, now: float) -> None:
        self._due = now + EVERY_SECS
        self._past.append((now, self.count))
        if self._progress is None:
            self._progress = _made(self._doing)
        [task], share = self._progress.task_ids, self._come()
        total = None if share is None else 1.0
        self._progress.update(task, completed=share, total=total, told=self._told())
        self._progress.start()  # it may have been cleared
        self._progress.refresh()

    def _come(self) -> float | None:
        if self._share is not None:
            return self._share()
        return min(1.0, self.count / self._total) if self._total else None

    def _told(self) -> str:
        parts = [f"{self.count:,} {self._what}", self._more(), f"{self._rate():,.0f}/s"]
        return ", ".join(part for part in parts if part)

    def _rate(self) -> float:
        """Return the count per second, of the last few seconds."""
        (began, before), (now, count) = self._past[0], self._past[-1]
        return (count - before) / (now - began) if now > began else 0.0


def _made(doing: str) -> Progress:
    console = Console(stderr=True)
    progress = Progress(
        *_columns(console.width),
        console=console,
        auto_refresh=False,
        transient=True,
        redirect_stdout=False,  # which is for data, and may be a file
    )
    progress.add_task(doing, total=None, told="")
    return progress


def _columns(width: int) -> Iterator[ProgressColumn]:
    """Yield what a terminal of that width has room for, whole: a part of a time says nothing."""
    yield TextColumn("{task.description}")
    if width >= _FOR_ALL:
        yield BarColumn(bar_width=20)
    yield TextColumn("{task.fields[told]}")
    if width >= _FOR_TIMES:
        yield TimeElapsedColumn()
        yield TimeRemainingColumn()
