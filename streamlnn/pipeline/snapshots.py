"""When which stream's state is written down, and the old records that nobody needs then.

After a crash the work since the snapshots is done once more, so they come when that has grown to
some seconds; they are spread over many turns of the loop, so that none of them is felt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.observer import Observer

REDO_SECS = 3.0
"""So much work would have to be redone after a crash: time for snapshots."""
REDO_LIMIT = 30_000
"""So many records count as much work, too."""
TURN_SECS = 0.006
"""What the snapshots of one turn may take, their commit apart."""
AT_ONCE = 32
_USUAL_SECS = 0.002
_LEAST_PRUNED = 64


@dataclass(frozen=True, slots=True)
class Retention:
    """How often state is written down, and how long records stay beyond what recovery needs."""

    snapshot_every_secs: float = 3600.0
    keep_secs: float = 86400.0
    max_bytes: int = 2_000_000_000


class Snapshots:
    """Writes down the streams that have learned something, a few a turn.

    `keep` writes down, before that, the outputs that their states have passed unconfirmed.
    """

    def __init__(
        self,
        journal: Journal,
        keep: Callable[[Mapping[str, int]], None],
        retention: Retention,
        observer: Observer,
        clock: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._keep = keep
        self._retention = retention
        self._observer = observer
        self._clock = clock
        self._began = clock(), time.monotonic()
        self._due: list[str] = []
        self._at = time.monotonic()
        self._records = 0
        self._secs = 0.0
        self._each_secs = _USUAL_SECS

    def worked(self, records: int, secs: float) -> None:
        """Note work that a crash would cost."""
        self._records += records
        self._secs += secs

    def some(self, lives: Mapping[str, LiveStream]) -> None:
        """Write down the next streams, if it is time."""
        if not self._due and self._wanted():
            self._due = _fresh(lives)
            self._at, self._records, self._secs = time.monotonic(), 0, 0.0
        some = max(1, int(TURN_SECS / self._each_secs))
        now, self._due = self._due[:some], self._due[some:]
        self._write([lives[name] for name in now])

    def all(
        self, lives: Mapping[str, LiveStream], beat: Callable[[], None], secs: float = float("inf")
    ) -> None:
        """Write down all streams that have learned something, for up to `secs` seconds."""
        fresh, deadline = _fresh(lives), time.monotonic() + secs
        while fresh and time.monotonic() < deadline:
            beat()
            now, fresh = fresh[:AT_ONCE], fresh[AT_ONCE:]
            self._write([lives[name] for name in now])

    def _wanted(self) -> bool:
        age = time.monotonic() - self._at
        much = self._records > REDO_LIMIT or self._secs > REDO_SECS
        return much or age > self._retention.snapshot_every_secs

    def _write(self, lives: list[LiveStream]) -> None:
        """Write the state of some streams, and beside it the outputs that it has passed."""
        if not lives:
            return
        began = time.monotonic()
        passed = {live.row.name: live.lsn for live in lives}
        received_before = self._keep_from()
        with self._journal.transaction():
            self._keep(passed)
            for live in lives:
                new = live.fresh
                live.snapshot(self._journal)
                self._journal.prune(
                    live.row, received_before=received_before, most=2 * new + _LEAST_PRUNED
                )
            each = (time.monotonic() - began) / len(lives)
        self._each_secs += 0.2 * (each - self._each_secs)
        self._observer.count("snapshots_total", len(lives))
        self._observer.gauge("last_snapshot_timestamp_seconds", self._clock() / NANOSECONDS)

    def _keep_from(self) -> int | None:
        if self._journal.volatile or self._journal.size() > self._retention.max_bytes:
            return None
        # A clock that jumps ahead must not make all records old: it may come back.
        wall, began = self._began
        passed = round((time.monotonic() - began) * NANOSECONDS)
        now = min(self._clock(), wall + passed)
        return now - round(self._retention.keep_secs * NANOSECONDS)


def _fresh(lives: Mapping[str, LiveStream]) -> list[str]:
    """Return the streams with something new; first those that a crash would cost the most."""
    fresh = [name for name, live in lives.items() if live.fresh]
    return sorted(fresh, key=lambda name: -lives[name].fresh)
