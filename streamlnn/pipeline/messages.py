"""Forecasts and events as JSON: the shapes that readers of our topics and files rely on.

The classes are the schema (`streamlnn schema forecast`, `streamlnn schema event`). NaN is written
as null, times are RFC 3339 in UTC. Readers should ignore keys they do not know.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from streamlnn.model.records import NANOSECONDS, Event, EventType, Forecast, Phase, Severity, Status
from streamlnn.pipeline.timestamps import rfc3339


class HorizonForecast(msgspec.Struct, frozen=True):
    """What is believed about one moment ahead: `h` seconds or samples from the outer `time`."""

    h: float
    time: str | None
    yhat: float | None
    yhat_lower: float | None
    yhat_upper: float | None
    coverage: float | None
    """The recent measured share of values inside the band, from 0 to 1."""
    skill: float | None
    """1 - MAE / MAE of persistence: above 0 is better than holding the last value."""


class AnomalyState(msgspec.Struct, frozen=True):
    """How odd the newest value is: `score` from 0 to 1, `sign` -1 below, 1 above what was due."""

    score: float | None
    sign: Literal[-1, 0, 1]
    active: bool


class TargetForecast(msgspec.Struct, frozen=True):
    """One target: its newest value, its forecasts, and whether it is odd."""

    y: float | None
    unit: str
    forecast: list[HorizonForecast]
    anomaly: AnomalyState


class ForecastMessage(msgspec.Struct, frozen=True):
    """One forecast of one stream. `(instance, stream, epoch, seq)` identifies it for ever."""

    v: Literal[1]
    instance: str
    stream: str
    time: str | None
    epoch: int
    """Counts how often the stream began to learn anew."""
    seq: int
    """Counts the stream's records within the epoch, from 0."""
    clock: Literal["time", "samples"]
    """The unit of `h`: seconds, or accepted records of this stream."""
    status: Status
    level: float
    targets: dict[str, TargetForecast]


class EventMessage(msgspec.Struct, frozen=True):
    """Something odd that starts, goes on or ends; one `id` from start to end."""

    v: Literal[1]
    id: str
    instance: str
    stream: str
    target: str | None
    type: EventType
    phase: Phase
    time: str | None
    since: str | None
    severity: Severity
    score: float | None
    y: float | None
    yhat: float | None
    yhat_lower: float | None
    yhat_upper: float | None
    limit: float | None
    h: float | None
    p: float | None
    text: str


MICROSECONDS = 1_000_000
_TYPES = {"forecast": ForecastMessage, "event": EventMessage}
_encode = msgspec.json.Encoder().encode


def schema(name: Literal["forecast", "event"]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a message.

    >>> schema("forecast")["$schema"]
    'https://json-schema.org/draft/2020-12/schema'
    """
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **msgspec.json.schema(_TYPES[name])}


@dataclass(frozen=True, slots=True)
class Speaker:
    """Puts the forecasts and events of one stream into words: everything but the numbers."""

    instance: str
    stream: str
    epoch: int
    clock: Literal["time", "samples"]
    horizons: Sequence[float]
    targets: Sequence[str]
    units: Sequence[str]
    level: float

    def forecast(self, forecast: Forecast, time: int | None) -> bytes:
        """Return the forecast as JSON; `time` is that of its record, nanoseconds UTC."""
        dues = [self._due(time, h) for h in self.horizons]
        return _encode(
            ForecastMessage(
                v=1,
                instance=self.instance,
                stream=self.stream,
                time=None if time is None else rfc3339(time),
                epoch=self.epoch,
                seq=forecast.seq,
                clock=self.clock,
                status=forecast.status,
                level=self.level,
                targets=self._targets(forecast, dues),
            )
        )

    def event(self, event: Event, time: int | None) -> bytes:
        """Return the event as JSON; `time` is that of the record that caused it."""
        target = None if event.target is None else self.targets[event.target]
        return _encode(
            EventMessage(
                v=1,
                id=self._event_id(event, target),
                instance=self.instance,
                stream=self.stream,
                target=target,
                type=event.type,
                phase=event.phase,
                time=None if time is None else rfc3339(time),
                since=_since(event, time),
                severity=event.severity,
                score=event.score,
                y=event.y,
                yhat=event.yhat,
                yhat_lower=event.yhat_lower,
                yhat_upper=event.yhat_upper,
                limit=event.limit,
                h=None if math.isnan(event.h) else whole(event.h),
                p=event.p,
                text=event.text,
            )
        )

    def state(self, forecast: Forecast, time: int | None, *, stale: bool = False) -> bytes:
        """Return how the stream stands, in short; `stale`: nothing comes any more."""
        targets = {
            name: {
                "y": y,
                "unit": unit,
                "yhat": [row[0] for row in told],
                "yhat_lower": [row[1] for row in told],
                "yhat_upper": [row[2] for row in told],
                "anomaly": bool(active),
                "score": score,
            }
            for name, unit, (told, (y, score, _, active)) in zip(
                self.targets, self.units, forecast.by_target(), strict=True
            )
        }
        stamp = None if time is None else rfc3339(time)
        state = {"v": 1, "stream": self.stream, "time": stamp, "status": forecast.status}
        more = {"stale": stale, "clock": self.clock, "level": self.level, "h": list(self.horizons)}
        return _encode(state | more | {"targets": targets})

    def identity(self, seq: int) -> dict[str, str]:
        """Return what identifies a forecast, as text."""
        return {"stream": self.stream, "epoch": str(self.epoch), "seq": str(seq)}

    def _due(self, time: int | None, h: float) -> str | None:
        if time is None or self.clock == "samples":
            return None
        return rfc3339(time + round(h * NANOSECONDS))

    def _targets(self, forecast: Forecast, dues: list[str | None]) -> dict[str, TargetForecast]:
        return {
            name: TargetForecast(
                y,
                unit,
                [
                    HorizonForecast(h, due, *row)
                    for h, due, row in zip(self.horizons, dues, told, strict=True)
                ],
                AnomalyState(score, int(sign), bool(active)),  # type: ignore[arg-type]
            )
            for name, unit, (told, (y, score, sign, active)) in zip(
                self.targets, self.units, forecast.by_target(), strict=True
            )
        }

    def _event_id(self, event: Event, target: str | None) -> str:
        # From the data alone: a replay gives the same event the same id.
        what = (target, event.type, event.since_seq, event.limit)
        origin = (self.instance, self.stream, self.epoch, *what)
        return hashlib.blake2b(repr(origin).encode(), digest_size=8).hexdigest()


def _since(event: Event, time: int | None) -> str | None:
    """Return when an event began: to the microsecond that float seconds know, or as `time`."""
    if event.since is None:
        return None
    if time is not None and event.since == time / NANOSECONDS:
        return rfc3339(time)
    return rfc3339(round(event.since * MICROSECONDS) * (NANOSECONDS // MICROSECONDS))


def whole(h: float) -> float:
    """Return a horizon as an int where it is one, so that JSON shows 10 and not 10.0."""
    return int(h) if math.isfinite(h) and h == int(h) else h
