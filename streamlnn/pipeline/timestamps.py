"""Time stamps as sensors write them, to nanoseconds UTC and back."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, DecimalException
from functools import cache, lru_cache
from zoneinfo import ZoneInfo

from streamlnn.errors import DecodeError
from streamlnn.model.records import NANOSECONDS

log = logging.getLogger("streamlnn.timestamps")

UNIX_UNITS = {"unix": NANOSECONDS, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
NAMED_FORMATS = ("auto", *UNIX_UNITS, "rfc3339")

# Day-first with slashes is missing on purpose: 1/2/2026 would have two meanings.
_PATTERNS = (
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%m/%d/%Y",
)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?\s*([Zz]|[+-]\d\d:?\d\d)?"
)
_EITHER = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX = 2**63 - 1
_LONGEST = 100
"""Letters of a stamp; a longer text is none, and might take long to be found out."""

Parser = Callable[[object], int]


def parser(form: str, zone: str = "UTC") -> Parser:
    """Return the function that turns a value of format `form` into nanoseconds UTC.

    `form` is one of `NAMED_FORMATS` or a `strptime` pattern; `zone` applies to stamps that do not
    tell theirs. The function raises `DecodeError` for a value that does not fit.

    >>> parser("unix_ms")(1_700_000_000_500)
    1700000000500000000
    >>> parser("auto", "Europe/Berlin")("2026-07-01 12:00:00") // 10**9
    1782900000
    """
    home: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)
    if form in UNIX_UNITS:
        unit = UNIX_UNITS[form]
        return lambda value: _bounded(_unix(value, unit), value)
    if form == "rfc3339":
        return lambda value: _bounded(_rfc3339(value, home), value)
    if form == "auto":
        return lambda value: _bounded(_guess(value, home), value)
    return lambda value: _bounded(_pattern(value, form, home), value)


def rfc3339(nanoseconds: int) -> str:
    """Return the stamp as RFC 3339, UTC, with as many decimals as it needs.

    >>> rfc3339(1_700_000_000_500_000_000)
    '2023-11-14T22:13:20.5Z'
    """
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    if not fraction:
        return _to_seconds(seconds) + "Z"
    return f"{_to_seconds(seconds)}.{fraction:09d}".rstrip("0") + "Z"


@lru_cache(maxsize=4096)  # what one record is due at is the time of another
def _to_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _bounded(nanoseconds: int, value: object) -> int:
    if not -_MAX < nanoseconds < _MAX:
        raise DecodeError(f"time {value!r:.80} is outside the years 1678 to 2262")
    return nanoseconds


def _unix(value: object, unit: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value * unit
    if isinstance(value, float | str) and len(str(value)) <= _LONGEST:
        try:
            moment = Decimal(str(value).strip()) * unit
            # Before it is an integer: one of a million digits would take a minute to become one.
            return int(moment) if abs(moment) < _MAX else _MAX
        except (DecimalException, ValueError, OverflowError):
            pass
    raise DecodeError(f"time {value!r:.80} is not a number since 1970")


def _guess(value: object, home: tzinfo) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unix(value, _unit_by_size(abs(value)))
    if isinstance(value, str) and len(value) <= _LONGEST:
        text = value.strip()
        for attempt in (_numeric_text, _rfc3339, *(_by(pattern) for pattern in _PATTERNS)):
            try:
                moment = attempt(text, home)
            except DecodeError:
                continue
            if _EITHER.match(text):
                _tell_month_first()
            return moment
    raise DecodeError(
        f"time {value!r:.80} has no format I know: give it as time = {{ path = ..., format = ... }}"
    )


@cache  # once is enough
def _tell_month_first() -> None:
    log.warning(
        "times such as 3/4/2026 are read as month/day/year; where the day comes first, say so: "
        'time = { path = ..., format = "%d/%m/%Y %H:%M" }'
    )


def _unit_by_size(size: float) -> int:
    # Seconds until the year 5138, milliseconds from 1973 on, and so forth.
    limits = ((1e11, "unix"), (1e14, "unix_ms"), (1e17, "unix_us"))
    return UNIX_UNITS[next((name for limit, name in limits if size < limit), "unix_ns")]


def _numeric_text(text: str, home: tzinfo) -> int:  # noqa: ARG001 - one shape for all attempts
    try:
        size = abs(float(text))
    except ValueError:
        raise DecodeError(f"time {text!r:.80} is not a number") from None
    return _unix(text, _unit_by_size(size))


def _rfc3339(value: object, home: tzinfo) -> int:
    match = _RFC3339.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise DecodeError(f"time {value!r:.80} is not RFC 3339, such as 2026-11-23T10:00:00Z")
    try:
        moment = datetime.fromisoformat(match[1].upper() + (match[3] or "").upper())
    except ValueError as error:
        raise DecodeError(f"time {value!r:.80} is not RFC 3339: {error}") from None
    return _nanoseconds(moment, home) + int((match[2] or "0").ljust(9, "0"))


def _by(pattern: str) -> Callable[[object, tzinfo], int]:
    return lambda value, home: _pattern(value, pattern, home)


def _pattern(value: object, pattern: str, home: tzinfo) -> int:
    try:
        return _nanoseconds(datetime.strptime(str(value).strip(), pattern), home)
    except ValueError:
        raise DecodeError(f"time {value!r:.80} does not match the format {pattern!r}") from None


def _nanoseconds(moment: datetime, home: tzinfo) -> int:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=home)
    passed = aware - _EPOCH
    return (passed.days * 86400 + passed.seconds) * NANOSECONDS + passed.microseconds * 1000
