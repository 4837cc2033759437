"""What was told of a recorded stream: events from start to end, for people and for files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlnn.daemon.eval_play import Played
from streamlnn.daemon.eval_table import print_whole
from streamlnn.model.records import NANOSECONDS, Event, EventType
from streamlnn.pipeline.timestamps import rfc3339

SHOWN = 20
"""Events that the table of a stream holds at most."""


@dataclass(frozen=True, slots=True)
class Episode:
    """An event from its start to its end, or to the end of the recording where `end` is None.

    `start` and `end` are numbers of records; `since` and `until` their times, float seconds, or
    None without a clock. `peak` is the highest anomaly score meanwhile, or the probability with
    which a limit was to be passed; NaN where there is neither. `text` is what was said first.
    """

    type: EventType
    target: str | None
    start: int
    end: int | None
    since: float | None
    until: float | None
    peak: float
    text: str


def episodes(plays: Iterable[Played]) -> list[Episode]:
    """Return the events of one stream in the order of their starts.

    `plays` are its targets, forecast together or each alone: what concerns the stream as a whole
    is one event.
    """
    found: dict[object, Episode] = {}
    for played in plays:
        for at, event in played.events:
            name = None if event.target is None else played.words.targets[event.target]
            key = (event.type, name, event.since_seq, str(event.limit))
            found[key] = _told(found.get(key), name, at, event)
    whole = [_with_peak(episode, plays) for episode in found.values()]
    return sorted(whole, key=lambda one: (one.start, one.target or ""))


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


def _told(known: Episode | None, target: str | None, at: int, event: Event) -> Episode:
    """Return the episode that an event starts, goes on with, or ends."""
    over = event.phase == "end"
    p = -1.0 if math.isnan(event.p) else event.p
    if known is None:
        known = Episode(event.type, target, event.since_seq, None, event.since, None, p, event.text)
    end, until = (at, event.time) if over else (known.end, known.until)
    return replace(known, end=end, until=until, peak=max(known.peak, p))


def _with_peak(episode: Episode, plays: Iterable[Played]) -> Episode:
    if episode.type != "anomaly":
        return replace(episode, peak=episode.peak if episode.peak >= 0.0 else math.nan)
    played = next(one for one in plays if episode.target in one.words.targets)
    end = len(played.scores) if episode.end is None else episode.end + 1
    scores = played.scores[episode.start : end, played.words.targets.index(str(episode.target))]
    return replace(episode, peak=float(np.nanmax(scores)))


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
    start = _moment(one.since, one.start)
    end = "still on" if one.end is None else _moment(one.until, one.end)
    peak = "-" if math.isnan(one.peak) else f"{one.peak:.5f}".rstrip("0").rstrip(".")
    return [one.type, one.target or "-", start, end, peak, one.text]


def _moment(time: float | None, record: int) -> str:
    """Return a time to the second, or a record's number where there is no clock."""
    if time is None or math.isnan(time):
        return str(record)
    return rfc3339(round(time) * NANOSECONDS)
