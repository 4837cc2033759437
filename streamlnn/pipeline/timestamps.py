"""Time stamps as sensors write them, to nanoseconds UTC and back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from decimal import Decimal, DecimalException
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.model.records import NANOSECONDS

UNIX_UNITS = {"unix": NANOSECONDS, "unix_ms": 1_000_000, "unix_us": 1_000, "unix_ns": 1}
NAMED_FORMATS = ("auto", *UNIX_UNITS, "rfc3339")

# Dates with slashes are missing on purpose: 1/2/2026 has two meanings.
_PATTERNS = (
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d",
    "%d.%m.%Y",
)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(?::\d\d)?)(?:[.,](\d{1,9})\d*)?"
    r"\s*([Zz]|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_SLASHED = re.compile(
    r"(\d{1,2})/(\d{1,2})/(\d{4})"
    r"(?:,?[T ]+(\d{1,2}:\d\d)(:\d\d)?(?:[.,](\d{1,9})\d*)?(?: ?([AaPp][Mm]))?)?"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX = 2**63 - 1
_LONGEST = 100
"""Letters of a stamp; a longer text is none, and might take long to be found out."""

Parser = Callable[[object], int]
First = Literal["day", "month"]
"""What a date with slashes begins with: 3/4/2026 is the third of April, or the fourth of March."""


def parser(form: str, zone: str = "UTC", first: First | None = None) -> Parser:
    """Return the function that turns a value of format `form` into nanoseconds UTC.

    `form` is one of `NAMED_FORMATS` or a `strptime` pattern; `zone` applies to stamps that do not
    tell theirs. `first` is what dates with slashes begin with, where that is known: "auto" reads
    none without it. The function raises `DecodeError` for a value that does not fit, and
    `InputUnavailable` for a date that shows `first` to be wrong for those before it, too.

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
        return lambda value: _bounded(_guess(value, home, first), value)
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


def _guess(value: object, home: tzinfo, first: First | None) -> int:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _unix(value, _unit_by_size(abs(value)))
    if isinstance(value, str) and len(value) <= _LONGEST:
        text = value.strip()
        if slashed := _SLASHED.fullmatch(text):
            return _nanoseconds(_moment(slashed, first), home) + _fraction(slashed[6])
        for attempt in (_numeric_text, _rfc3339, *(_by(pattern) for pattern in _PATTERNS)):
            try:
                return attempt(text, home)
            except DecodeError:
                continue
    raise DecodeError(
        f"time {value!r:.80} has no format I know: give it as time = {{ path = ..., format = ... }}"
        ", for a recording as --time-format"
    )


def first_of(text: str) -> First | None:
    """Return what a date with slashes begins with, as far as it shows.

    >>> first_of("13/3/2026"), first_of("3/13/2026 12:00"), first_of("3/4/2026")
    ('day', 'month', None)
    """
    slashed = _SLASHED.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if slashed is None:
        return None
    leads, follows = (12 < int(part) <= 31 for part in slashed.group(1, 2))
    return None if leads == follows else "day" if leads else "month"


def is_slashed(value: object) -> bool:
    """Tell whether a value is a date with slashes, whatever it begins with."""
    return isinstance(value, str) and len(value) <= _LONGEST and bool(_SLASHED.match(value.strip()))


def is_two_dates(text: str) -> bool:
    """Tell whether a date with slashes is another one with its day first than with its month.

    >>> is_two_dates("3/4/2026"), is_two_dates("4/4/2026"), is_two_dates("13/4/2026")
    (True, False, False)
    """
    slashed = _SLASHED.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    parts = {int(part) for part in slashed.group(1, 2)} if slashed else set()
    return len(parts) == 2 and max(parts) <= 12


def slashed_formats(text: str) -> tuple[str, str]:
    """Return the formats of a date with slashes: its day first, and its month first.

    >>> slashed_formats("3/4/2026 12:00")
    ('%d/%m/%Y %H:%M', '%m/%d/%Y %H:%M')
    """
    slashed = _SLASHED.fullmatch(text.strip())
    assert slashed, "a date with slashes"
    hour = "" if not slashed[4] else " %I:%M" if slashed[7] else " %H:%M"
    rest = ("" if not slashed[5] else ":%S") + ("" if not slashed[6] else ".%f")
    rest += " %p" if slashed[7] else ""
    return f"%d/%m/%Y{hour}{rest}", f"%m/%d/%Y{hour}{rest}"


def _moment(slashed: re.Match[str], first: First | None) -> datetime:
    by_day, by_month = slashed_formats(slashed[0])
    if first is None:
        raise DecodeError(
            f"time {slashed[0]!r} may begin with the day or the month: say which, with "
            f'time = {{ path = ..., format = "{by_day}" }} or "{by_month}"'
        )
    day, month = slashed.group(1, 2) if first == "day" else slashed.group(2, 1)
    if first_of(slashed[0]) not in (None, first):
        raise InputUnavailable(
            f"there is no month {month} in {slashed[0]!r}, and the dates before it began with the "
            f"{first}: say how they are written, with --time-format '{by_day}' or '{by_month}'"
        )
    return _composed(slashed, int(day), int(month))


def _composed(slashed: re.Match[str], day: int, month: int) -> datetime:
    hours, minutes = map(int, (slashed[4] or "0:0").split(":"))
    if slashed[7] and 1 <= hours <= 12:
        hours = hours % 12 + 12 * (slashed[7].lower() == "pm")
    try:
        return datetime(int(slashed[3]), month, day, hours, minutes, int((slashed[5] or ":0")[1:]))
    except ValueError as error:
        raise DecodeError(f"time {slashed[0]!r} is none: {error}") from None


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
        zone = "Z" if match[3] in ("UTC", "GMT") else match[3] or ""
        moment = datetime.fromisoformat(match[1].upper() + zone.upper())
    except ValueError as error:
        raise DecodeError(f"time {value!r:.80} is not RFC 3339: {error}") from None
    return _nanoseconds(moment, home) + _fraction(match[2])


def _fraction(digits: str | None) -> int:
    return int((digits or "0").ljust(9, "0"))


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
