"""Moments as recordings tell them, in nanoseconds that a journal can keep."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from streamlnn.model.records import NANOSECONDS

_END_OF_TIME = 2**63


def from_seconds(seconds: str) -> int:
    """Return seconds since 1970, UTC, as nanoseconds.

    Raises `ValueError` also for a moment that int64 does not hold.

    >>> from_seconds("1700000000.000000005")
    1700000000000000005
    """
    try:
        stamp = Decimal(seconds.strip()) * NANOSECONDS
        is_kept = 0 <= stamp < _END_OF_TIME
    except (ArithmeticError, ValueError):
        raise ValueError(f"{seconds!r:.40} is no time in seconds since 1970") from None
    if not is_kept:
        raise ValueError(f"{seconds!r:.40} is no time between the years 1970 and 2262")
    # Not before: as an int 1e999980 takes half a minute.
    return int(stamp)


def from_moment(whole: str, fraction: str) -> int:
    """Return a moment to the second with its offset from UTC, and its `fraction`'s digits.

    Raises `ValueError`.

    >>> from_moment("2023-11-14T23:13:20+01:00", "000000005")
    1700000000000000005
    """
    # Not by way of UTC: a datetime in the year 1 may have no such one.
    seconds = int(datetime.fromisoformat(whole).timestamp())
    return from_seconds(f"{seconds}.{fraction or '0'}")
