"""`streamlnn tap`: what the running daemon hears, forecasts and finds odd, line by line."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import click
import msgspec

from streamlnn.daemon import board
from streamlnn.daemon.client import Client, Frame
from streamlnn.daemon.logs import printable
from streamlnn.pipeline.messages import EventMessage, ForecastMessage

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config

KINDS = ("samples", "forecasts", "events")
log = logging.getLogger("streamlnn.tap")

_forecast = msgspec.json.Decoder(ForecastMessage)
_event = msgspec.json.Decoder(EventMessage)


def tap(
    config: Config,
    pattern: str,
    kinds: Collection[str],
    *,
    as_json: bool,
    for_secs: float | None,
) -> None:
    """Print what comes of the streams that fit `pattern`, for ever or for `for_secs` seconds.

    `kinds` are some of `KINDS`. Raises `InputUnavailable` when the daemon does not answer at the
    start.
    """
    client = Client(config.http, config.http.secret())
    wants_forecasts = "samples" in kinds or "forecasts" in kinds
    until = time.monotonic() + (math.inf if for_secs is None else for_secs)
    tapped = Tap(pattern, kinds, as_json)
    with client.understood():
        for frame in client.follow(pattern if wants_forecasts else None):
            if time.monotonic() >= until:
                return
            for line in tapped.lines(frame):
                click.echo(line)


class Tap:
    """Turns frames into lines; a forecast that is told again makes none."""

    def __init__(self, pattern: str, kinds: Collection[str], as_json: bool) -> None:
        self._pattern = pattern
        self._kinds = kinds
        self._as_json = as_json
        self._seen: dict[str, tuple[int, int]] = {}
        self._is_lost = self._is_warned = False

    def lines(self, frame: Frame) -> Iterator[str]:
        """Yield the lines that a frame makes."""
        if frame.kind == "forecast":
            yield from self._forecast(frame.data)
        elif frame.kind == "event" and "events" in self._kinds:
            event = _event.decode(frame.data)
            if fnmatchcase(event.stream, self._pattern):
                yield self._line(board.event_line(event), frame.data)
        elif frame.kind == "streams":
            self._warn(frame.data)
        else:
            self._note(frame)

    def _forecast(self, data: bytes) -> Iterator[str]:
        told = _forecast.decode(data)
        if self._seen.get(told.stream) == (told.epoch, told.seq):
            return
        self._seen[told.stream] = told.epoch, told.seq
        if "samples" in self._kinds:
            yield self._line(sample_line(told), msgspec.json.encode(sample(told)))
        if "forecasts" in self._kinds:
            yield self._line(board.line(told), data)

    def _line(self, text: str, data: bytes) -> str:
        return data.decode() if self._as_json else printable(text)

    def _note(self, frame: Frame) -> None:
        is_lost = frame.kind == "lost"
        if is_lost and not self._is_lost:
            log.warning("%s; waiting for it", frame.data.decode())
        elif self._is_lost and not is_lost:
            log.info("the daemon answers again")
        self._is_lost = is_lost

    def _warn(self, data: bytes) -> None:
        """Say once that no stream fits, in case it is a mistake."""
        names = [told["stream"] for told in msgspec.json.decode(data)]
        if not self._is_warned and not any(fnmatchcase(name, self._pattern) for name in names):
            some = ", ".join(map(repr, sorted(names)[:5])) or "none"
            log.warning("no stream fits %r yet; there are: %s", self._pattern, some)
        self._is_warned = True


def sample(forecast: ForecastMessage) -> dict[str, Any]:
    """Return the sample that a forecast was made at: the values of the targets."""
    values = {name: target.y for name, target in forecast.targets.items()}
    return {
        "stream": forecast.stream,
        "time": forecast.time,
        "epoch": forecast.epoch,
        "seq": forecast.seq,
        "values": values,
    }


def sample_line(forecast: ForecastMessage) -> str:
    """Return one line of plain text about the sample that a forecast was made at."""
    values = " ".join(
        f"{name}={'-' if target.y is None else target.y}{target.unit and ' ' + target.unit}"
        for name, target in forecast.targets.items()
    )
    return f"{forecast.time or '-'}  {forecast.stream}  {values}"
