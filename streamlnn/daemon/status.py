"""What the daemon knows of itself: heartbeat, sources, counters, gauges, the newest forecasts.

The one pipeline thread writes, the HTTP thread reads. Every write takes a lock for well under a
microsecond of work and nothing is computed here: readers take a `snapshot` and work on that. Only
the explanation of a forecast is made when somebody asks, from the model as it stands then.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from streamlnn.pipeline.observer import Observer

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

Labels = tuple[tuple[str, str], ...]
Series = tuple[str, Labels]

HEARTBEAT_LIMIT_SECS = 60
"""The loop may be so long without a sign of life: a name server that is away takes half of it."""
START_LIMIT_SECS = 900
"""So long may the first start compile, on the slowest machine."""
KEPT_EVENTS = 100
MAX_SERIES = 1000
"""Label sets kept per metric; what comes beyond is summed under the value `other`."""

_LOADING = "the model is being loaded; the first start on a machine compiles it: 20 to 60 s"
_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A copy of everything, consistent at one instant.

    `sources` and `sinks` map an id to its state and a detail for humans; `counters` and `gauges`
    map (name, labels) to numbers; `forecasts` holds the newest forecast's JSON per stream, `events`
    the last 100 events' JSON, oldest first; `stale` are the streams that have fallen silent;
    `heartbeat` is nanoseconds UTC or None.
    """

    heartbeat: int | None
    recovered: bool
    sources: Mapping[str, tuple[str, str]]
    sinks: Mapping[str, tuple[str, str]]
    counters: Mapping[Series, int]
    gauges: Mapping[Series, float]
    forecasts: Mapping[str, bytes]
    events: tuple[bytes, ...]
    stale: frozenset[str]


class Status(Observer):
    """A thread-safe view of the running daemon. `monotonic` returns seconds that never jump.

    >>> status = Status()
    >>> status.recovered()
    >>> status.source("plant", "connecting")
    >>> status.ready(), status.missing()
    (False, ["source 'plant' is connecting"])
    >>> status.source("plant", "ready")
    >>> status.ready()
    True
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._counters: dict[str, dict[Labels, int]] = {}
        self._events: deque[bytes] = deque(maxlen=KEPT_EVENTS)
        self._happened = 0
        self.begin()

    def begin(self) -> None:
        """Tell that a pipeline is about to start; what was counted so far stays."""
        with self._lock:
            self._lived_at = self._monotonic()
            self._heartbeat: int | None = None
            self._recovered = False
            self._sources: dict[str, tuple[str, str]] = {}
            self._sinks: dict[str, tuple[str, str]] = {}
            self._gauges: dict[str, dict[Labels, float]] = {}
            self._forecasts: dict[str, bytes] = {}
            self._lives: dict[str, LiveStream] = {}
            self._stale: set[str] = set()

    def beat(self, now_ns: int) -> None:
        """Tell that the loop has turned, at `now_ns` (nanoseconds UTC)."""
        with self._lock:
            self._heartbeat = now_ns
        self._live()

    def _live(self) -> None:
        """Note a sign of life of the loop: it has turned, or done with a source or a sink."""
        self._lived_at = self._monotonic()

    def recovered(self) -> None:
        """Tell that the saved state is restored."""
        with self._lock:
            self._recovered = True

    def source(self, name: str, state: str, detail: str = "") -> None:
        """Tell that a source is `connecting`, `ready` or `lost`; `detail` says why."""
        with self._lock:
            self._sources[name] = (state, detail)
        self._live()

    def sink(self, name: str, state: str, detail: str = "") -> None:
        """Tell that a sink is `ready`, `lost`, or `full`: so far behind that nothing is read."""
        with self._lock:
            self._sinks[name] = (state, detail)
        self._live()

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

    def stream(self, name: str, live: LiveStream) -> None:
        """Keep a stream, to be looked at."""
        with self._lock:
            self._lives[name] = live

    def watched(self) -> dict[str, LiveStream]:
        """Return the streams there are, to be looked at and not to be changed."""
        with self._lock:
            return dict(self._lives)

    def explanation(self, stream: str) -> dict[str, Any] | None:
        """Return why the newest forecast of `stream` is what it is; None while nobody can tell."""
        live = self.watched().get(stream)
        return live.explanation() if live else None

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
            self._happened += 1

    @property
    def happened(self) -> int:
        """How many events there were since the start."""
        return self._happened

    def events_after(self, happened: int) -> list[bytes]:
        """Return the events since there were so many, the last 100 at most."""
        with self._lock:
            new = min(self._happened - happened, len(self._events))
            return list(self._events)[len(self._events) - new :]

    @property
    def starting(self) -> bool:
        """True until the loop begins: the model is being loaded."""
        return self._heartbeat is None

    def silent_secs(self) -> float:
        """Return the seconds since the loop's last sign of life, or since the start."""
        return self._monotonic() - self._lived_at

    def alive(self) -> bool:
        """Return whether the loop has given a sign of life lately, or may still be starting.

        By a clock that never jumps: one that is set tells nothing of the loop.
        """
        return self.silent_secs() < (START_LIMIT_SECS if self.starting else HEARTBEAT_LIMIT_SECS)

    def ready(self) -> bool:
        """Return whether the state is restored, every source connected, and nothing held up."""
        return not self.missing()

    def missing(self) -> list[str]:
        """Return what keeps the daemon from being ready; empty when it is."""
        with self._lock:
            recovered, sources, sinks = self._recovered, dict(self._sources), dict(self._sinks)
        if not recovered:
            return [_LOADING if self.starting else "the saved state is still being restored"]
        if not sources:
            return ["no source has been opened yet"]
        lost = [_lacking("source", *told) for told in _flawed(sources)]
        return lost + [_lacking("sink", *told) for told in _flawed(sinks) if told[1] == "full"]

    def degraded(self) -> list[str]:
        """Return what is wrong and keeps nothing from working: the sinks that are away."""
        with self._lock:
            sinks = dict(self._sinks)
        return [_lacking("sink", *told) for told in _flawed(sinks) if told[1] == "lost"]

    def snapshot(self) -> Snapshot:
        """Return a consistent copy. Costs time in proportion to streams and series."""
        with self._lock:
            return Snapshot(
                heartbeat=self._heartbeat,
                recovered=self._recovered,
                sources=dict(self._sources),
                sinks=dict(self._sinks),
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


def _flawed(told: Mapping[str, tuple[str, str]]) -> list[tuple[str, str, str]]:
    return [(name, state, detail) for name, (state, detail) in told.items() if state != "ready"]


def _lacking(what: str, name: str, state: str, detail: str) -> str:
    held = ", and nothing is read until it has room" if state == "full" else ""
    return f"{what} {name!r} is {state}{held}" + (f": {detail}" if detail else "")


def _flat(table: Mapping[str, Mapping[Labels, _Number]]) -> dict[Series, _Number]:
    return {(name, key): value for name, series in table.items() for key, value in series.items()}
