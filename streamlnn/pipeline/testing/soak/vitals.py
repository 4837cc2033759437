"""How the daemon fares: memory, open files, what it has acknowledged, what waits for its sink."""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np

from streamlnn.pipeline.testing.soak.daemon import Daemon

WARM_SECS = 60.0
WARM_SHARE = 1 / 6
"""A new process fills its caches so long, and this share of its life at least; only then does
growth tell something."""
_LEAST_LOOKS = 30
_LAST_LOOKS = 3
"""A process that is being ended has closed files already."""
_MB = 1e6
_HOUR = 3600.0
_ACKNOWLEDGED = re.compile(rb"^streamlnn_messages_total\S* (\S+)", re.MULTILINE)
_WAITING = re.compile(rb"^streamlnn_outbox_waiting\S* (\S+)", re.MULTILINE)


class Look(NamedTuple):
    """One look at a process: seconds since its first one, resident bytes, open files."""

    secs: float
    rss: int
    fds: int


class Growth(NamedTuple):
    """The longest life of a process after its warm-up: in MB an hour, and open files."""

    secs: float
    mb_an_hour: float
    least_fds: int
    most_fds: int


class Vitals:
    """Looks at a daemon whenever told to; `acknowledged` is the least that it has acknowledged."""

    def __init__(self, daemon: Daemon) -> None:
        self.looks: defaultdict[int, list[Look]] = defaultdict(list)
        self.waiting = 0
        self._daemon = daemon
        self._first: dict[int, float] = {}
        self._acknowledged: dict[int, int] = {}

    @property
    def acknowledged(self) -> int:
        """The sum of what each process counted when it was last asked."""
        return sum(self._acknowledged.values())

    @property
    def newest(self) -> Look | None:
        """The last look at the newest process."""
        return next((looks[-1] for looks in reversed(self.looks.values())), None)

    def look(self) -> None:
        """Look once; costs a millisecond or two. A process that is just ending shows nothing."""
        pid = self._daemon.pid
        if pid is None:
            return
        with suppress(OSError):
            since = time.monotonic() - self._first.setdefault(pid, time.monotonic())
            self.looks[pid].append(Look(since, _rss(pid), len(os.listdir(f"/proc/{pid}/fd"))))
        if metrics := self._daemon.ask("/metrics"):
            self._acknowledged[pid] = _number(_ACKNOWLEDGED, metrics)
            self.waiting = _number(_WAITING, metrics)

    def growth(self) -> Growth | None:
        """Return how the longest life went; None when none was long enough to tell."""
        longest = max(self.looks.values(), key=len, default=[])
        alive = longest[:-_LAST_LOOKS]
        warm = max(WARM_SECS, WARM_SHARE * alive[-1].secs) if alive else 0.0
        return growth([look for look in alive if look.secs >= warm])


def growth(looks: list[Look]) -> Growth | None:
    """Return the line that fits memory best over some looks.

    >>> growth([Look(secs, 1_000_000 * secs, 7) for secs in range(100)])
    Growth(secs=99, mb_an_hour=3600.0, least_fds=7, most_fds=7)
    """
    if len(looks) < _LEAST_LOOKS:
        return None
    secs, rss, fds = zip(*looks, strict=True)
    slope = float(np.polyfit(secs, rss, 1)[0])
    return Growth(secs[-1] - secs[0], round(slope * _HOUR / _MB, 2), min(fds), max(fds))


def _rss(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _number(pattern: re.Pattern[bytes], text: bytes) -> int:
    found = pattern.search(text)
    return int(float(found[1])) if found else 0
