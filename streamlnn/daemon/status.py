"""What the daemon knows of itself: heartbeat, sources, counters, gauges, the newest forecasts.

The one pipeline thread writes, the HTTP thread reads. Every write takes a lock for well under a
microsecond of work and nothing is computed here: readers take a `snapshot` and work on that. Only
the explanation of a forecast is made when somebody asks, from the model as it stands then.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from streamlnn.pipeline.observer import Observer

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]

HEARTBEAT_LIMIT_SECS = 30
KEPT_EVENTS = 100
MAX_SERIES = 1000
"""Label sets kept per metric; what comes beyond is summed under the value `other`."""

_NANOSECONDS = 1_000_000_000
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of everything, consistent at one instant.

    `sources` maps a source's id to its state and a detail for humans; `counters` and `gauges` map
    (name, labels) to numbers; `forecasts` holds the newest forecast's JSON per stream, `events`
    the last 100 events' JSON, oldest first; `stale` are the streams that have fallen silent;
    `heartbeat` is nanoseconds UTC or None.
    """

    heartbeat: int | None
    recovered: bool
    sources: Mapping[str, tuple[str, str]]
    counters: Mapping[Series, int]
    gauges: Mapping[Series, float]
    forecasts: Mapping[str, bytes]
    events: tuple[bytes, ...]
    stale: frozenset[str]


class Status(Observer):
    """A thread-safe view of the running daemon.

    >>> status = Status()
    >>> status.recovered()
    >>> status.source("plant", "connecting")
    >>> status.ready(), status.missing()
    (False, ["source 'plant' is connecting"])
    >>> status.source("plant", "ready")
    >>> status.ready()
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heartbeat: int | None = None
        self._recovered = False
        self._sources: dict[str, tuple[str, str]] = {}
        self._counters: dict[str, dict[Labels, int]] = {}
        self._gauges: dict[str, dict[Labels, float]] = {}
        self._forecasts: dict[str, bytes] = {}
        self._explain: dict[str, Callable[[], dict[str, Any]]] = {}
        self._events: deque[bytes] = deque(maxlen=KEPT_EVENTS)
        self._stale: set[str] = set()

    def beat(self, now_ns: int) -> None:
        """Tell that the loop has turned, at `now_ns` (nanoseconds UTC)."""
        with self._lock:
            self._heartbeat = now_ns

    def recovered(self) -> None:
        """Tell that the saved state is restored."""
        with self._lock:
            self._recovered = True

    def source(self, name: str, state: str, detail: str = "") -> None:
        """Tell that a source is `connecting`, `ready` or `lost`; `detail` says why."""
        with self._lock:
            self._sources[name] = (state, detail)

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        """Add `n` to the counter `name`, which ends in `_total`."""
        with self._lock:
            series = self._counters.setdefault(name, {})
            key = _bounded(labels, series)
            series[key] = series.get(key, 0) + n

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set the gauge `name`."""
        with self._lock:
            series = self._gauges.setdefault(name, {})
            series[_bounded(labels, series)] = value

    def stream(self, name: str, explain: Callable[[], dict[str, Any]]) -> None:
        """Keep whom to ask why the forecasts of the stream `name` are what they are."""
        with self._lock:
            self._explain[name] = explain

    def explanation(self, stream: str) -> dict[str, Any] | None:
        """Return why the newest forecast of `stream` is what it is; None while nobody can tell."""
        with self._lock:
            explain = self._explain.get(stream)
        return explain() if explain else None

    def forecast(self, stream: str, payload: bytes) -> None:
        """Keep `payload`, JSON, as the newest forecast of `stream`."""
        with self._lock:
            self._forecasts[stream] = payload

    def stale(self, stream: str, is_stale: bool) -> None:
        """Tell that nothing comes from `stream` any more, or that it speaks again."""
        with self._lock:
            (self._stale.add if is_stale else self._stale.discard)(stream)

    def event(self, payload: bytes) -> None:
        """Keep `payload`, JSON, among the last 100 events."""
        with self._lock:
            self._events.append(payload)

    def alive(self, now_ns: int) -> bool:
        """Return whether the loop has turned within 30 s of `now_ns`.

        Either side of it: after the wall clock was set back, a heartbeat from the future must not
        keep a stuck loop alive.
        """
        with self._lock:
            beat = self._heartbeat
        return beat is not None and abs(now_ns - beat) < HEARTBEAT_LIMIT_SECS * _NANOSECONDS

    def ready(self) -> bool:
        """Return whether the state is restored and every source connected."""
        return not self.missing()

    def missing(self) -> list[str]:
        """Return what keeps the daemon from being ready; empty when it is."""
        with self._lock:
            recovered, sources = self._recovered, dict(self._sources)
        if not recovered:
            return ["the saved state is still being restored"]
        if not sources:
            return ["no source has been opened yet"]
        return [_lacking(name, *told) for name, told in sources.items() if told[0] != "ready"]

    def snapshot(self) -> Snapshot:
        """Return a consistent copy. Costs time in proportion to streams and series."""
        with self._lock:
            return Snapshot(
                heartbeat=self._heartbeat,
                recovered=self._recovered,
                sources=dict(self._sources),
                counters=_flat(self._counters),
                gauges=_flat(self._gauges),
                forecasts=dict(self._forecasts),
                events=tuple(self._events),
                stale=frozenset(self._stale),
            )


def _bounded(labels: Mapping[str, str], series: Mapping[Labels, object]) -> Labels:
    key = tuple(sorted(labels.items()))
    if key in series or len(series) < MAX_SERIES:
        return key
    return tuple((name, "other") for name, _ in key)


def _lacking(name: str, state: str, detail: str) -> str:
    return f"source {name!r} is {state}" + (f": {detail}" if detail else "")


def _flat(table: Mapping[str, Mapping[Labels, _Number]]) -> dict[Series, _Number]:
    return {(name, key): value for name, series in table.items() for key, value in series.items()}
