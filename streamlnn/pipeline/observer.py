"""Who watches the loop: counters and the newest forecasts, for people and for health checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream


class Observer:
    """What the loop tells, from its own thread; nothing here may block or raise.

    This one does not look: derive from it and override what you want to see.
    """

    def beat(self, now_ns: int) -> None:
        """Note that the loop has come round once more."""

    def recovered(self) -> None:
        """Note that all state is restored."""

    def source(self, name: str, /, state: str, detail: str = "") -> None:
        """Note that a source is `connecting`, `ready` or `lost`."""

    def sink(self, name: str, /, state: str, detail: str = "") -> None:
        """Note that a sink is `ready`, `lost`, or `full`: so far behind that nothing is read."""

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        """Add `n` to a counter."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a value."""

    def stream(self, name: str, live: LiveStream) -> None:
        """Note a stream, which may be looked at from any thread, and changed from none."""

    def forecast(self, stream: str, payload: bytes) -> None:
        """Note a stream's newest forecast."""

    def stale(self, stream: str, is_stale: bool) -> None:
        """Note that a stream has fallen silent, or speaks again."""

    def event(self, payload: bytes) -> None:
        """Note an event."""
