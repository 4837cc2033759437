"""How long a stream is usually silent, and from when on its silence is worth telling.

By the moments of receiving, because it is we who wait: a sensor that uploads a day's records at
night is silent all day, whatever the times in its records say.
"""

from __future__ import annotations

import math

from streamlnn.model.clock import FEW_GAPS
from streamlnn.model.records import NANOSECONDS

STALE_AFTER = 10.0
"""Usual silences after which a stream is stale."""

LEAST_SECS = 5.0
"""No silence is shorter than this: brokers, networks and our own disk take a moment, too."""

MEMORY = 30.0
"""Usual silences after which one counts for a third."""


class Silence:
    """What one stream's silences are like.

    `heard` is when its newest record was received, nanoseconds UTC, or None. `usual` is the mean
    silence that one meets at a random moment, in seconds: a long pause weighs by its length, so
    that the sleep between two bursts is soon usual, and what a broker delivers at once after an
    outage says nothing. One silence counts for ten usual ones at most: an outage is not usual.

    >>> silence = Silence()
    >>> for minute in range(30):
    ...     silence.hear(60 * minute * NANOSECONDS, cadence=60.0)
    >>> round(silence.usual), silence.limit(60.0, records=30), silence.limit(60.0, records=1)
    (60, 600.0, None)
    """

    def __init__(self) -> None:
        self.heard: int | None = None
        self._secs = 0.0
        self._weighted = 0.0

    @property
    def usual(self) -> float:
        """The silence to be expected, in seconds; 0 while nothing is known."""
        return self._weighted / self._secs if self._secs else 0.0

    @property
    def state(self) -> list[float | int | None]:
        """All that is remembered, as JSON can say it; may be set."""
        return [self.heard, self._secs, self._weighted]

    @state.setter
    def state(self, kept: list[float | int | None]) -> None:
        heard, secs, weighted = kept
        self.heard = None if heard is None else int(heard)
        self._secs, self._weighted = float(secs or 0.0), float(weighted or 0.0)

    def hear(self, received: int | None, cadence: float | None) -> None:
        """Take a record received at `received`; `cadence` is the usual step between records."""
        last, self.heard = self.heard, self.heard if received is None else received
        if received is None or last is None or received <= last or not cadence:
            return
        usual = max(cadence, self.usual)
        secs = min((received - last) / NANOSECONDS, STALE_AFTER * usual)
        kept = math.exp(-secs / (MEMORY * usual))
        self._secs = kept * self._secs + secs
        self._weighted = kept * self._weighted + secs * secs

    def limit(
        self, cadence: float | None, *, records: int, every: float | None = None
    ) -> float | None:
        """Return after how many seconds of silence the stream is stale; None while none knows.

        `every` is the cadence where it is given: it holds from the first record on, whatever was
        heard since. A learned one has to be known from some records first.
        """
        if records == 0:
            return None
        if every is not None:
            return max(LEAST_SECS, STALE_AFTER * every)
        if not cadence or records <= FEW_GAPS:
            return None
        return max(LEAST_SECS, STALE_AFTER * max(cadence, self.usual))
