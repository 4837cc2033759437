"""What was told of a recorded stream: events from start to end."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from streamlnn.evaluation.played import Played
from streamlnn.model.records import Event, EventType


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
            start = max(0, event.since_seq - played.began)
            key = (event.type, name, start, str(event.limit))
            found[key] = _told(found.get(key), name, start, at, event)
    whole = [_with_peak(episode, plays) for episode in found.values()]
    return sorted(whole, key=lambda one: (one.start, one.target or ""))


def _told(known: Episode | None, target: str | None, start: int, at: int, event: Event) -> Episode:
    """Return the episode that an event starts, goes on with, or ends."""
    over = event.phase == "end"
    p = -1.0 if math.isnan(event.p) else event.p
    if known is None:
        known = Episode(event.type, target, start, None, event.since, None, p, event.text)
    end, until = (at, event.time) if over else (known.end, known.until)
    return replace(known, end=end, until=until, peak=max(known.peak, p))


def _with_peak(episode: Episode, plays: Iterable[Played]) -> Episode:
    if episode.type != "anomaly":
        return replace(episode, peak=episode.peak if episode.peak >= 0.0 else math.nan)
    played = next(one for one in plays if episode.target in one.words.targets)
    end = len(played.scores) if episode.end is None else episode.end + 1
    scores = played.scores[episode.start : end, played.words.targets.index(str(episode.target))]
    return replace(episode, peak=float(np.nanmax(scores)))
