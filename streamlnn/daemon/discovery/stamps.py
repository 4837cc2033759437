"""Which leaf is a sample's time, and how it is written: judged beside the time of its arrival."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from streamlnn.daemon.discovery.payloads import stamp_rank
from streamlnn.errors import DecodeError
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.timestamps import UNIX_UNITS, parser

Seen = Sequence[tuple[Any, int]]
"""Values of one leaf, each with the time of its arrival in nanoseconds UTC."""

_FIRST = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * NANOSECONDS
_AHEAD = 36 * 3600 * NANOSECONDS
_QUARTER_SECS = 900
_LATE_SECS = 120.0
"""A stamp that is a whole zone away from its arrival is so to within this."""
_WITH_ZONE = re.compile(r".*\d(Z|z|[+-]\d\d:?\d\d)\s*")


@dataclass(frozen=True, slots=True)
class Stamp:
    """Where a sample's time stands and how it is written, as a stream's `time` table has it.

    `offset_secs` is how far stamps without a zone are ahead of UTC; None where they tell theirs.
    """

    path: str
    format: str
    zone: str = "UTC"
    offset_secs: int | None = None


def recognise(seen: Mapping[str, Seen], home: str = "UTC") -> list[Stamp]:
    """Return the leaves that tell the time, the likeliest first; `home` is this machine's zone.

    A clock that stands, or that shows 1970 or tomorrow, is none. One that is years behind may be a
    recording that is played, and is one.

    >>> at = 1_700_000_000 * 10**9
    >>> recognise({"ts": [(1_700_000_000_123, at)], "t": [(21.5, at)]})
    [Stamp(path='ts', format='unix_ms', zone='UTC', offset_secs=None)]
    """
    paths = sorted(seen, key=stamp_rank)
    found = [_stamp(path, seen[path], home) for path in paths]
    return [stamp for stamp in found if stamp is not None]


def _stamp(path: str, seen: Seen, home: str) -> Stamp | None:
    if len(seen) > 1 and len({str(value) for value, _ in seen}) == 1:
        return None
    form = _unit(seen) or _text_format(seen)
    if form is None:
        return None
    if form in UNIX_UNITS or all(_WITH_ZONE.fullmatch(str(value)) for value, _ in seen):
        return Stamp(path, form)
    offset = _offset_secs(form, seen)
    return Stamp(path, form, _zone(offset, seen[-1][1], home), offset)


def _unit(seen: Seen) -> str | None:
    """Return the unit of numbers since 1970 that brings them nearest to their arrival."""
    try:
        first, arrival = float(seen[0][0]), seen[0][1]
    except (ValueError, OverflowError):
        return None
    form: str = min(UNIX_UNITS, key=lambda unit: abs(first * UNIX_UNITS[unit] - arrival))
    return form if _fits(form, seen) else None


def _text_format(seen: Seen) -> str | None:
    return next((form for form in ("rfc3339", "auto") if _fits(form, seen)), None)


def _fits(form: str, seen: Seen) -> bool:
    parse = parser(form)
    try:
        return all(_FIRST <= parse(value) <= arrival + _AHEAD for value, arrival in seen)
    except DecodeError:
        return False


def _offset_secs(form: str, seen: Seen) -> int:
    """Return how far the sender's clock is ahead of UTC, where that looks like a time zone."""
    parse = parser(form)
    ahead = statistics.median((parse(value) - arrival) / NANOSECONDS for value, arrival in seen)
    offset = round(ahead / _QUARTER_SECS) * _QUARTER_SECS
    is_zone = -12 * 3600 <= offset <= 14 * 3600 and abs(ahead - offset) <= _LATE_SECS
    return offset if is_zone else 0


def _zone(offset_secs: int, arrival: int, home: str) -> str:
    """Return a zone with this offset at that moment: ours, where it fits, else a fixed one."""
    moment = datetime.fromtimestamp(arrival // NANOSECONDS, UTC)
    hours = offset_secs // 3600
    # The sign in these names is the other way round.
    fixed = f"Etc/GMT{-hours:+d}" if hours * 3600 == offset_secs else ""
    likely = [name for name in (home, fixed) if name] if offset_secs else ["UTC"]
    names: list[str] = [*likely, *sorted(available_timezones())]
    return next((name for name in names if _has_offset(name, moment, offset_secs)), "UTC")


def _has_offset(name: str, moment: datetime, offset_secs: int) -> bool:
    return moment.astimezone(ZoneInfo(name)).utcoffset() == timedelta(seconds=offset_secs)
