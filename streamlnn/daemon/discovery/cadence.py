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
_FEWEST_STEADY = 5
_UNSTEADY = 0.3
_OFF = 0.1
_WHOLE_MINUTES = 600


def step_secs(arrivals: Sequence[Sequence[int]]) -> float | None:
    """Return the usual seconds between messages of topics alike, or None if that is not known.

    `arrivals` are rising nanoseconds UTC, of each topic its own; three of one tell.

    >>> step_secs([[0, 10 * 10**9, 20 * 10**9, 60 * 10**9], [5]])
    10.0
    """
    steps = [_step(times) for times in arrivals if len(times) >= _FEWEST]
    known = [step for step in steps if step > 0]
    return statistics.median(known) / NANOSECONDS if known else None


def steady_secs(tracks: Sequence[Sequence[int]]) -> float | None:
    """Return the seconds between samples where all tracks keep one pace, or None where not.

    `tracks` are rising nanoseconds UTC, of each topic its own.

    >>> steady_secs([[n * 10**9 for n in range(9)]]), steady_secs([[0, 10**9, 2 * 10**9]])
    (1.0, None)
    """
    gaps = [later - sooner for times in tracks for sooner, later in itertools.pairwise(times)]
    if not gaps or min(map(len, tracks)) <= _FEWEST_STEADY:
        return None
    usual = statistics.median(gaps)
    is_steady = all(abs(gap - usual) <= _UNSTEADY * usual for gap in gaps)
    return usual / NANOSECONDS if usual > 0 and is_steady else None


def every(tracks: Sequence[Sequence[int]], stamps: Sequence[Sequence[int]] | None) -> str | None:
    """Return the time between samples as a duration, where it is sure enough to be relied on.

    `tracks` are arrivals; `stamps` the samples' own times, if they tell theirs: in a recording that
    is played they are another pace.

    >>> every([[n * 10**9 for n in range(9)]], None)
    '1s'
    """
    secs = steady_secs(tracks)
    told = steady_secs(stamps) if stamps is not None else secs
    if secs is None or told is None or abs(told - secs) > _UNSTEADY * secs:
        return None
    return exact(secs)


def exact(secs: float) -> str:
    """Return a pace as a duration that is off by a tenth at most.

    >>> exact(9.8), exact(45.2), exact(0.33)
    ('10s', '45s', '330ms')
    """
    near = as_text(secs)
    if abs(parse_duration(near) - secs) <= _OFF * secs:
        return near
    if secs >= _WHOLE_MINUTES:
        return f"{secs / 60:.0f}m"
    is_whole = abs(round(secs) - secs) <= _OFF * secs
    return f"{secs:.0f}s" if is_whole else f"{1000 * secs:.0f}ms"


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
