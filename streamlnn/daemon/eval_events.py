"""The events of a recorded stream: a table for people, lines of JSON for files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlnn.daemon.eval_table import print_whole
from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.timestamps import rfc3339

SHOWN = 20
"""Events that the table of a stream holds at most."""
BRIEF_SECS = 10.0
"""Of an event that is over sooner, decimals of seconds are shown."""
MOST_DECIMALS = 6
"""Float seconds since 1970 hold no more."""


def print_events(stream: str, found: Sequence[Episode], console: Console | None = None) -> None:
    """Print the events of a stream as a table, those that matter most where there are many."""
    console = console or Console()
    if not found:
        _line(console, f"Events of {stream}: none\n")
        return
    shown = sorted(sorted(found, key=_matters)[:SHOWN], key=lambda one: one.start)
    more = len(found) - len(shown)
    _line(console, f"Events of {stream}: {_counted(found)}")
    print_whole(_table(shown), console)
    _line(console, f"and {more} more; --events FILE writes them all\n" if more else "")


def event_lines(plays: Iterable[Played], times: Sequence[int | None]) -> list[bytes]:
    """Return all events of one stream as lines of JSON, as the daemon would publish them.

    `times` are those of its records, nanoseconds UTC or None.
    """
    told = (one.words.event(event, times[at]) for one in plays for at, event in one.events)
    return [line + b"\n" for line in dict.fromkeys(told)]


def _matters(episode: Episode) -> tuple[bool, float]:
    """Sort key: gaps behind all else, then by peak."""
    peak = 0.5 if math.isnan(episode.peak) else episode.peak
    return (episode.type == "gap", -peak)


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _counted(found: Sequence[Episode]) -> str:
    counts = Counter(one.type for one in found)
    which = f"; the {SHOWN} that matter most" if len(found) > SHOWN else ""
    return ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) + which


def _table(shown: Sequence[Episode]) -> Table:
    made = Table()
    for column in ("type", "target", "start", "end"):
        made.add_column(column, no_wrap=True)
    made.add_column("peak", justify="right", no_wrap=True)
    made.add_column("what was said at the start")
    for one in shown:
        made.add_row(*map(Text, _cells(one)))
    return made


def _cells(one: Episode) -> list[str]:
    decimals = _decimals(one)
    start = _moment(one.since, one.start, decimals)
    end = "still on" if one.end is None else _moment(one.until, one.end, decimals)
    peak = "-" if math.isnan(one.peak) else f"{one.peak:.5f}".rstrip("0").rstrip(".")
    return [one.type, one.target or "-", start, end, peak, one.text]


def _decimals(one: Episode) -> int:
    """Return how many decimals of a second tell the start of an event from its end."""
    if one.since is None or one.until is None or not 0.0 < one.until - one.since < BRIEF_SECS:
        return 0
    return MOST_DECIMALS if one.until - one.since < 0.01 else 3


def _moment(time: float | None, record: int, decimals: int) -> str:
    """Return a time with so many decimals, or a record's number where there is no clock."""
    if time is None or math.isnan(time):
        return str(record)
    tick = NANOSECONDS // 10**decimals
    return rfc3339(round(time * 10**decimals) * tick)
