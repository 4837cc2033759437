"""What is known of all streams at a glance: how each one stands, and of the daemon itself."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

LATEST = 60
"""Values in the small picture of a stream."""
RARE = 0.99
"""A score that one value in a hundred reaches."""
EVENTS = 50
HOLD_SECS = 5.0


class Standing(msgspec.Struct, frozen=True):
    """How a stream stands, as `/api/v1/live` tells it: see `streamlnn.daemon.web.live.summary`."""

    stream: str
    seq: int
    status: str
    stale: bool
    anomaly: bool
    score: float | None
    y: float | None
    unit: str
    skill: float | None
    oddness: float
    field: str = ""
    band: float | None = None
    latest: list[float | None] = []

    @property
    def badge(self) -> str:
        """The one word for it."""
        return "ANOMALY" if self.anomaly else "stale" if self.stale else self.status


ORDERS: Mapping[str, Any] = {
    "odd": lambda one: (-one.oddness, one.stream),
    "name": lambda one: one.stream,
    "skill": lambda one: (one.skill is None, one.skill or 0.0, one.stream),
}
"""Keys to sort standings by: the oddest first, by name, the worst forecast first."""


def oddness(anomaly: bool, stale: bool, status: str, score: float) -> float:
    """Return how odd a stream is: an anomaly before silence, that before drift, then the score.

    Scores of every day count for nothing: a list in their order would never come to rest.

    >>> oddness(False, True, "ok", 0.995), oddness(False, False, "ok", 0.8)
    (4.995, 0.0)
    """
    rare = score if score >= RARE else 0.0
    return 8.0 * anomaly + 4.0 * stale + 2.0 * (status == "drifting") + rare


@dataclass
class Overview:
    """The standings of all streams with their latest values, and the latest events, oldest first.

    >>> overview = Overview()
    >>> one = dict(status="ok", stale=False, anomaly=False, score=0, unit="", skill=0, oddness=0)
    >>> for seq, y in enumerate([1.0, 2.0]):
    ...     overview.take([Standing(stream="pump", seq=seq, y=y, **one)])
    >>> list(overview.values["pump"])
    [1.0, 2.0]
    """

    standings: dict[str, Standing] = field(default_factory=dict)
    values: dict[str, deque[float | None]] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    events: deque[Any] = field(default_factory=lambda: deque(maxlen=EVENTS))

    def take(self, told: Iterable[Standing]) -> None:
        """Take what has changed; a value that was told before is not told again."""
        for one in told:
            values = self.values.get(one.stream)
            if values is None:
                self.values[one.stream] = deque(one.latest or [one.y], LATEST)
            elif self.seen[one.stream] != one.seq:
                values.append(one.y)
            self.seen[one.stream] = one.seq
            self.standings[one.stream] = one

    def begin(self) -> None:
        """Forget who there is: a whole list comes. What they measured is kept."""
        self.standings = {}

    def sorted(self, order: str) -> list[Standing]:
        """Return all standings in one of the `ORDERS`."""
        return sorted(self.standings.values(), key=ORDERS[order])


class Steady:
    """Sorts as `order` says, but not at every look: a table that is read shall not jump.

    Places change every 5 seconds, and at once when a stream's badge does.
    """

    def __init__(self, order: str) -> None:
        self._order = order
        self._badges: dict[str, str] = {}
        self._places: list[str] = []
        self._sorted_at = -math.inf

    def sorted(self, overview: Overview, now: float) -> list[Standing]:
        """Return all standings; `now` is seconds of a monotonic clock."""
        badges = {name: one.badge for name, one in overview.standings.items()}
        if badges != self._badges or now - self._sorted_at >= HOLD_SECS:
            self._badges, self._sorted_at = badges, now
            self._places = [one.stream for one in overview.sorted(self._order)]
        return [overview.standings[name] for name in self._places]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the daemon says of itself.

    `troubles` are what keeps it from being ready, and what is degraded.
    """

    name: str
    version: str
    troubles: tuple[str, ...]


class Rate:
    """Records a second over the last looks.

    >>> rate = Rate()
    >>> rate.note(0, 10.0), rate.note(30, 12.0), rate.note(5, 13.0)
    (None, 15.0, None)
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[int, float]] = deque(maxlen=6)

    def note(self, records: int, now: float) -> float | None:
        """Return the rate at `now`, seconds; None at first, and when another daemon counts."""
        if self._looks and records < self._looks[-1][0]:
            self._looks.clear()
        self._looks.append((records, now))
        before, since = self._looks[0]
        return (records - before) / (now - since) if now > since else None
