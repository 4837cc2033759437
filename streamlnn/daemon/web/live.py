"""What an open page is told as it happens, as server-sent events.

An answer ends by itself after some seconds, and the page asks again: no connection is held for
long, whoever it is. A page that does not read is told less, and nobody waits for it.
"""

from __future__ import annotations

import asyncio
import math
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from fnmatch import fnmatchcase
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from streamlnn.daemon.overview import oddness
from streamlnn.daemon.status import Status
from streamlnn.daemon.web.history import History, quantised
from streamlnn.model.records import Forecast, split_rows
from streamlnn.pipeline.timestamps import rfc3339

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

ANSWER_SECS = 10.0
TICK_SECS = 0.2
STREAMS_EVERY_SECS = 1.0
WEIGHTS_EVERY_SECS = 5.0
LATEST = 60
"""Values in the small picture of a stream in the list."""
MOST_DIGITS = 18
_encode = msgspec.json.Encoder().encode


async def frames(
    status: Status,
    history: History,
    stream: str | None,
    match: str | None = None,
    after: str | None = None,
) -> AsyncIterator[bytes]:
    """Yield what is new, at most five times a second, for some seconds: see `Teller`.

    Ends with `history`: the server waits for answers under way before it ends itself.
    """
    teller = Teller(status, history, stream, match, after)
    deadline = time.monotonic() + ANSWER_SECS
    while time.monotonic() < deadline and not history.ended:
        if news := b"".join(teller.news(time.monotonic())):
            yield news
        await asyncio.sleep(TICK_SECS)


class Teller:
    """Knows what one reader has been told: of all streams the list, of `stream` everything.

    Of the streams whose ids fit the pattern `match` (`*`, `?`, `[...]`) every newest forecast.
    `after` is the last id that the reader was told: no event is missed between two answers.
    """

    def __init__(
        self,
        status: Status,
        history: History,
        stream: str | None,
        match: str | None = None,
        after: str | None = None,
    ) -> None:
        self._status = status
        self._history = history
        self._stream = stream
        self._match = match
        self._matched: dict[str, Any] = {}
        self._known: dict[str, Any] = {}
        self._listed: dict[str, tuple[Any, bool]] = {}
        self._listed_at = self._weighed_at = -math.inf
        self._seen: Any = None
        self._happened = _told_before(after, status.happened)

    def news(self, now: float) -> Iterator[bytes]:
        """Yield frames about what has changed; `now` is seconds of a monotonic clock."""
        lives = self._status.watched()
        if now - self._listed_at >= STREAMS_EVERY_SECS:
            self._listed_at = now
            yield from self._daemon(lives)
            changed = list(self._changed(lives))
            yield frame("streams", _encode(changed)) + _place(self._happened)
        live = lives.get(self._stream or "")
        last = live.last if live else None
        if live and last and last is not self._seen:
            self._seen = last
            yield from _told_of(live, *last)
            if now - self._weighed_at >= WEIGHTS_EVERY_SECS:
                self._weighed_at = now
                yield _who_is_heard(live, *last)
        if self._match is not None:
            yield from self._matching(lives, self._match)
        yield from self._events()

    def _events(self) -> Iterator[bytes]:
        known, self._happened = self._happened, self._status.happened
        for event in self._status.events_after(known)[: self._happened - known]:
            yield frame("event", event)
        if self._happened > known:
            yield _place(self._happened)

    def _daemon(self, lives: dict[str, LiveStream]) -> Iterator[bytes]:
        instance = next((live.speaker.instance for live in lives.values()), None)
        missing = [*self._status.missing(), *self._status.degraded()]
        known = {"instance": instance, "version": version("streamlnn"), "missing": missing}
        if known != self._known:
            self._known = known
            yield frame("daemon", _encode(known))

    def _matching(self, lives: dict[str, LiveStream], match: str) -> Iterator[bytes]:
        for name, live in lives.items():
            last = live.last
            if last and self._matched.get(name) is not last and fnmatchcase(name, match):
                self._matched[name] = last
                yield frame("forecast", live.speaker.forecast(*last))

    def _changed(self, lives: dict[str, LiveStream]) -> Iterator[dict[str, Any]]:
        for name, live in lives.items():
            last, stale = live.last, live.stale
            before = self._listed.get(name, (None, False))
            if last and (before[0] is not last or before[1] != stale):
                self._listed[name] = last, stale
                begun = {} if before[0] else {"latest": _latest(live, self._history)}
                yield summary(live, last[0]) | begun


def _told_before(after: str | None, happened: int) -> int:
    """Return how many events a reader knows of; one who knows of more knew another daemon."""
    if after is None or not after.isdecimal() or len(after) > MOST_DIGITS:
        return happened
    return int(after) if int(after) <= happened else 0


def _told_of(live: LiveStream, forecast: Forecast, time: int | None) -> Iterator[bytes]:
    yield frame("forecast", live.speaker.forecast(forecast, time))
    x = quantised(live.forecaster.reservoir_state)
    told = {"stream": live.row.name, "x": b64encode(x.tobytes()).decode()}
    yield frame("state", _encode(told))


def _who_is_heard(live: LiveStream, forecast: Forecast, time: int | None) -> bytes:
    heard = live.explanation()["targets"]
    at = forecast.seq if live.speaker.clock == "samples" else rfc3339(time or 0)
    return frame("weights", _encode({"stream": live.row.name, "at": at, "targets": heard}))


def frame(kind: str, data: bytes) -> bytes:
    r"""Return one server-sent event.

    >>> frame("event", b"{}")
    b'event: event\ndata: {}\n\n'
    """
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)


def _place(happened: int) -> bytes:
    """Return what a reader asks again with, as `Last-Event-ID`."""
    return b"id: %d\n\n" % happened


def summary(live: LiveStream, forecast: Forecast) -> dict[str, Any]:
    """Return a stream's line in the list: its first target, and how odd the oddest one is.

    `band` is the width of that target's first band; `field` its name, where there are others.
    """
    skills = forecast.skill.reshape(len(live.speaker.horizons), -1)[:, 0]
    known = skills[np.isfinite(skills)]
    band = float(np.ravel(forecast.yhat_upper)[0] - np.ravel(forecast.yhat_lower)[0])
    anomaly, score = bool(np.any(forecast.anomaly_active)), float(np.max(forecast.anomaly_score))
    return {
        "stream": live.row.name,
        "seq": forecast.seq,
        "status": forecast.status,
        "stale": live.stale,
        "anomaly": anomaly,
        "score": score,
        "y": float(np.ravel(forecast.y)[0]),
        "unit": live.speaker.units[0],
        "field": live.speaker.targets[0] if len(live.speaker.targets) > 1 else "",
        "band": band,
        "skill": float(known.mean()) if known.size else None,
        "oddness": oddness(anomaly, live.stale, forecast.status, score),
    }


def _latest(live: LiveStream, history: History) -> list[float]:
    past = history.past(live.row.name, LATEST)
    if past is None:
        return []
    _, found = split_rows(past.rows, len(live.speaker.horizons), len(live.speaker.targets))
    values: list[float] = found[:, 0, 0].tolist()
    return values
