"""Which column of a recording tells the time, and how it is written: seen by looking ahead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline.contract import Codec, Tree
from streamlnn.pipeline.streams import FoundTime
from streamlnn.pipeline.timestamps import (
    First,
    first_of,
    is_slashed,
    is_two_dates,
    parser,
    slashed_formats,
)
from streamlnn.pipeline.trees import MISSING, leaves, lookup_time, usual_time, usual_times

LOOK = 200
"""So many records tell the column."""
_MOST_COLUMNS = 200

_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?")


def find_time(source: Any, codec: Codec, asked: FoundTime) -> FoundTime:
    """Return where an open recording tells the time; what was `asked` for is taken as it is.

    Without topics it is one table, and its first records show the column; else each message has
    its own. Raises `InputUnavailable` for dates with slashes that do not show what comes first.
    """
    head = list(islice(_trees(source, codec), LOOK))
    path = asked.path
    if path is None and not source.has_topics and len(source.sources) < 2:
        path = find_path(head, source.recording.times)
    first = None
    if asked.format == "auto" and any(is_slashed(value) for value in _values(head, path)):
        first = find_first(_values(_trees(source, codec), path), source.recording.path)
    return FoundTime(path, asked.format, first)


def find_path(head: Sequence[Tree], typed: Sequence[str] = ()) -> str | None:
    """Return the path of the time, known by names and values.

    `typed` are columns that can be nothing else.

    >>> find_path([{"flow": "2.5", "Datum": "2026-03-01 12:00"}])
    'Datum'
    >>> find_path([{"Date": "2026-03-01", "Time": "12:00", "flow": "2.5"}])
    'Date+Time'
    >>> find_path([{"when": "2026-03-01 12:00", "flow": "2.5"}, {"when": "2026-03-01 12:01"}])
    'when'
    """
    named = next((found for tree in head if (found := usual_times(tree))), [])
    seen = {path: list(_values(head, path)) for path in named}
    whole = [path for path in named if _are(_is_whole, seen[path])]
    pair = [] if whole or typed else _pairs(head)
    dates = [path for path in named if _are(_is_moment, seen[path])]
    other = [] if whole or typed or pair or dates else _unnamed(head)
    return next(iter([*whole, *typed, *pair, *dates, *other, *named]), None)


def find_first(values: Iterable[Any], where: str) -> First:
    """Return what the dates with slashes begin with, known by the first day above 12.

    Raises `InputUnavailable`, with the way out, if there is none and that makes a difference.
    """
    example = None
    for value in values:
        if is_slashed(value):
            found = first_of(value)
            if found is not None:
                return found
            example = example or (value if is_two_dates(value) else None)
    if example is None:
        return "month"
    by_day, by_month = slashed_formats(example)
    raise InputUnavailable(
        f"{where}: {example!r} may begin with the day or the month, and no date in it is past the "
        f"12th to tell: say it with --time-format '{by_day}' or '{by_month}', or in a "
        f'configuration with time = {{ path = ..., format = "{by_day}" }}'
    )


def _trees(source: Any, codec: Codec) -> Iterator[Tree]:
    for message in source.recording.glance():
        with suppress(DecodeError):
            yield codec.decode(message)


def _values(trees: Iterable[Tree], path: str | None) -> Iterator[Any]:
    for tree in trees:
        place = path or usual_time(tree)
        value = lookup_time(tree, place) if place else MISSING
        if value is not MISSING and value is not None:
            yield value


def _pairs(head: Sequence[Tree]) -> list[str]:
    """Return the pair of a column of dates and one of times of day, as one path, if there is."""
    dates = [path for path in _columns(head) if _are(_is_date, list(_values(head, path)))]
    clocks = [path for path in _columns(head) if _are(_is_clock, list(_values(head, path)))]
    found = [f"{date}+{clock}" for date in dates[:1] for clock in clocks[:1]]
    return [path for path in found if _are(_is_moment, list(_values(head, path)))]


def _unnamed(head: Sequence[Tree]) -> list[str]:
    """Return the first column of texts that are all moments, and not all the same one."""
    for path in _columns(head):
        seen = list(_values(head, path))
        if _are(_is_written, seen) and (len(seen) == 1 or len(set(seen)) > 1):
            return [path]
    return []


def _columns(head: Sequence[Tree]) -> list[str]:
    return [path for path, _ in islice(leaves(head[0]), _MOST_COLUMNS)] if head else []


def _are(what: Callable[[Any], bool], values: Sequence[Any]) -> bool:
    # One in ten may be damaged.
    return bool(values) and 10 * sum(map(what, values)) >= 9 * len(values)


def _is_moment(value: Any) -> bool:
    first = first_of(value) or "month" if is_slashed(value) else None
    try:
        parser("auto", first=first)(value)
    except DecodeError:
        return False
    return True


def _is_whole(value: Any) -> bool:
    return _is_moment(value) and not _is_date(value)


def _is_written(value: Any) -> bool:
    return isinstance(value, str) and bool(_DATE.match(value.strip())) and _is_moment(value)


def _is_date(value: Any) -> bool:
    return isinstance(value, str) and bool(_DATE.fullmatch(value.strip()))


def _is_clock(value: Any) -> bool:
    return isinstance(value, str) and bool(_CLOCK.fullmatch(value.strip()))
