"""What the metrics tell of the streams: sums over all of them, or, where asked for, each one's own.

Both look at streams while the pipeline's thread goes on with them, and change nothing.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from streamlnn.daemon.status import Series
from streamlnn.model.records import NANOSECONDS, Forecast
from streamlnn.model.units import ahead

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

Horizons = tuple[str, tuple[float, ...]]
"""A clock, and how far ahead it is forecast."""

MOST_STREAMS = 500
"""Streams that are shown one by one in a scrape; a pattern says which."""
_MOST_RATIOS = 200
"""Horizons that have a series; each table can have others."""

_UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
_BOUNDS = ("yhat", "yhat_lower", "yhat_upper")


def as_label(h: float, clock: str) -> str:
    """Return a horizon as it stands in a configuration, and behind `offset` in a query.

    >>> as_label(3600, "time"), as_label(90, "time"), as_label(0.5, "time")
    ('1h', '90s', '500ms')
    >>> as_label(12, "samples")
    '12 samples'
    """
    if clock == "samples":
        return ahead(h, clock)
    whole = (unit for unit, ms in _UNITS.items() if h * 1000 % ms == 0)
    unit = next(whole, None)
    return f"{h:g}s" if unit is None else f"{h * 1000 / _UNITS[unit]:g}{unit}"


def totals(lives: Iterable[LiveStream]) -> dict[Series, float]:
    """Return how many streams have which status and are odd, and how far all of them have come.

    Beside that, by horizon, coverage and skill as a mean over all streams and targets that know
    them. What nobody knows yet is left out.
    """
    counts: Counter[Series] = Counter({_status(one): 0 for one in ("warming", "ok", "drifting")})
    counts["streams_anomalous", ()] = counts["unsnapshotted_records", ()] = 0
    alike: dict[Horizons, list[Forecast]] = defaultdict(list)
    newest: int | None = None
    for live in lives:
        counts["unsnapshotted_records", ()] += live.fresh
        if live.last is None:
            continue
        forecast, time = live.last
        counts[_status(forecast.status)] += 1
        counts["streams_anomalous", ()] += bool(forecast.anomaly_active.any())
        alike[live.speaker.clock, tuple(live.speaker.horizons)].append(forecast)
        newest = time if newest is None else max(newest, time or newest)
    return {**counts, **_ratios(alike), **_newest(newest)}


def _status(status: str) -> Series:
    return "streams_by_status", (("status", status),)


def _newest(time: int | None) -> dict[Series, float]:
    return {} if time is None else {("newest_record_timestamp_seconds", ()): time / NANOSECONDS}


def _ratios(alike: Mapping[Horizons, list[Forecast]]) -> dict[Series, float]:
    sums: dict[Series, float] = defaultdict(float)
    known: Counter[Series] = Counter()
    for (clock, horizons), forecasts in alike.items():
        for name in ("coverage", "skill"):
            rows = [getattr(one, name).reshape(len(horizons), -1) for one in forecasts]
            for h, row in zip(horizons, np.concatenate(rows, axis=1), strict=True):
                key = (f"{name}_ratio", (("h", as_label(h, clock)),))
                finite = row[np.isfinite(row)]
                sums[key] += float(finite.sum())
                known[key] += finite.size
    return {key: sums[key] / n for key, n in islice(known.items(), _MOST_RATIOS) if n}


def each(lives: Mapping[str, LiveStream], match: str) -> dict[Series, float]:
    """Return value, anomaly and forecasts of the streams whose ids fit a pattern (`*`, `?`, `[]`).

    Of 500 streams at most, the first by name; `streams_left_out` counts the others that fit. Those
    that are stale are not shown: what they said last is not what is.
    """
    fitting = sorted(name for name in lives if fnmatchcase(name, match))
    shown = {
        key: value
        for name in fitting[:MOST_STREAMS]
        if not lives[name].stale
        for key, value in _own(name, lives[name])
    }
    return {("streams_left_out", ()): max(0, len(fitting) - MOST_STREAMS), **shown}


def _own(name: str, live: LiveStream) -> Iterator[tuple[Series, float]]:
    if live.last is None:
        return
    forecast, words = live.last[0], live.speaker
    for m, target in enumerate(words.targets):
        labels = (("stream", name), ("target", target))
        yield ("value", labels), forecast.y[m]
        yield ("anomaly_score", labels), forecast.anomaly_score[m]
        yield ("anomaly_active", labels), forecast.anomaly_active[m]
        for q in _BOUNDS:
            rows = getattr(forecast, q).reshape(len(words.horizons), -1)
            for h, row in zip(words.horizons, rows, strict=True):
                yield ("forecast", (*labels, ("h", as_label(h, words.clock)), ("q", q))), row[m]
