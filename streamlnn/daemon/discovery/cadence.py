"""How often a topic speaks, and how far ahead it is worth looking at that pace."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from streamlnn.model.records import NANOSECONDS
from streamlnn.model.units import parse_duration

BY_SAMPLE = [1, 12, 48]
"""Horizons of streams that were heard too seldom to know their pace."""

_AHEAD = (1, 6, 60)
_FRIENDLY = (
    *("100ms", "200ms", "500ms", "1s", "2s", "5s", "10s", "15s", "20s", "30s"),
    *("1m", "2m", "5m", "10m", "15m", "20m", "30m", "1h", "2h", "3h", "6h", "12h"),
    *("1d", "2d", "3d", "1w", "2w", "4w"),
)
_ROUNDED_DOWN = 0.85
"""A horizon may be so much shorter than it was meant to be: clocks and senders are not exact."""
_FEWEST = 3
_BURST = 0.2


def step_secs(arrivals: Sequence[Sequence[int]]) -> float | None:
    """Return the usual seconds between messages of topics alike, or None if that is not known.

    `arrivals` are rising nanoseconds UTC, of each topic its own; three of one tell.

    >>> step_secs([[0, 10 * 10**9, 20 * 10**9, 60 * 10**9], [5]])
    10.0
    """
    steps = [_step(times) for times in arrivals if len(times) >= _FEWEST]
    known = [step for step in steps if step > 0]
    return statistics.median(known) / NANOSECONDS if known else None


def horizons(step: float | None) -> list[str] | list[int]:
    """Return horizons of about 1, 6 and 60 steps of so many seconds, as durations easy to read.

    >>> horizons(9.8), horizons(3600), horizons(None)
    (['10s', '1m', '10m'], ['1h', '6h', '3d'], [1, 12, 48])
    """
    if step is None:
        return list(BY_SAMPLE)
    found = dict.fromkeys(_friendly(step * times) for times in _AHEAD)
    return list(found)


def as_text(secs: float) -> str:
    """Return a pace in words: the friendly duration nearest to it.

    >>> as_text(9.7)
    '10s'
    """
    return min(_FRIENDLY, key=lambda text: abs(parse_duration(text) - secs))


def _step(times: Sequence[int]) -> float:
    gaps = [later - sooner for sooner, later in itertools.pairwise(times)]
    # Of a sender in bursts most gaps are nothing: what counts is how often a burst comes.
    middle, mean = statistics.median(gaps), statistics.fmean(gaps)
    return middle if middle > _BURST * mean else mean


def _friendly(secs: float) -> str:
    longer = (text for text in _FRIENDLY if parse_duration(text) >= _ROUNDED_DOWN * secs)
    return next(longer, _FRIENDLY[-1])
