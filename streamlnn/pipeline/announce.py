"""What the daemon says of itself: online, what streams there are, how each one stands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import msgspec

from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.live import LiveStream

STATE_EVERY_SECS = 1.0
STREAMS_EVERY_SECS = 10.0
HEALTH_EVERY_SECS = 60.0
_encode = msgspec.json.Encoder().encode


class Announcer:
    """Collects what changed and says it now and then: the newest word replaces those before it."""

    def __init__(self, instance: str) -> None:
        self._instance = instance
        self._ready = False
        self._steps = 0
        self._changed: dict[str, LiveStream] = {}
        self._standing: dict[str, dict[str, Any]] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._last: dict[str, float] = {}

    def stepped(self, live: LiveStream) -> None:
        """Note that a stream has a new forecast."""
        self._steps += 1
        self._changed[live.row.name] = live

    def changed(self, live: LiveStream) -> None:
        """Note that a stream stands otherwise than was said, without a new forecast."""
        self._changed[live.row.name] = live

    def due(self, ready: bool, now: float) -> list[Output]:
        """Return what is to be said now; `now` is seconds of a monotonic clock."""
        outputs = self._on_ready(ready)
        if self._is_due("state", now, STATE_EVERY_SECS):
            outputs += self._states()
        if self._standing != self._told and self._is_due("streams", now, STREAMS_EVERY_SECS):
            outputs.append(self._streams())
        if ready and self._is_due("health", now, HEALTH_EVERY_SECS):
            health = {"v": 1, "streams": len(self._standing), "forecasts": self._steps}
            outputs.append(Output("health", _encode(health)))
        return outputs

    def rest(self) -> list[Output]:
        """Return what has not been said yet, for the end."""
        return [*self._states(), self._streams()]

    def _on_ready(self, ready: bool) -> list[Output]:
        news = ready and not self._ready
        self._ready = ready
        if not news:
            return []
        info = {"v": 1, "instance": self._instance, "version": version("streamlnn")}
        return [Output("status", b"online"), Output("info", _encode(info))]

    def _states(self) -> list[Output]:
        outputs = []
        for name, live in self._changed.items():
            if live.last is None:
                continue
            forecast, time = live.last
            self._standing[name] = {"status": forecast.status, "stale": live.stale}
            outputs.append(
                Output("state", live.speaker.state(forecast, time, stale=live.stale), name)
            )
        self._changed = {}
        return outputs

    def _streams(self) -> Output:
        self._told = dict(self._standing)
        streams = [{"id": name, **standing} for name, standing in self._told.items()]
        return Output("streams", _encode({"v": 1, "streams": streams}))

    def _is_due(self, name: str, now: float, every: float) -> bool:
        if name in self._last and now - self._last[name] < every:
            return False
        self._last[name] = now
        return True
