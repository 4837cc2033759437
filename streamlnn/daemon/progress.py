"""What a replay tells meanwhile: a progress bar on a terminal, and a summary at the end."""

from __future__ import annotations

from collections import Counter
from typing import Any, Self

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.left_out import left_out
from streamlnn.pipeline.observer import Observer


class Progress(Observer):
    """Counts what the loop does, and shows how far it has come where somebody is looking.

    `source` tells its `progress`, the share of the recording that has been read, or None. With
    `hidden` nothing is shown: the forecasts themselves are.
    """

    def __init__(self, source: Any, *, hidden: bool = False) -> None:
        self.counts: Counter[str] = Counter()
        self.streams: set[str] = set()
        self._bar = Bar("replaying", lambda: source.progress, hidden=hidden)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.clear()

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        """Add `n` to a counter."""
        self.counts[labels.get("reason", name)] += n
        if name == "records_total":
            self._bar.add(n)

    def forecast(self, stream: str, payload: bytes) -> None:  # noqa: ARG002
        """Note a stream's newest forecast."""
        self.streams.add(stream)

    def summary(self) -> str:
        """Return what was read, and what was left out and why."""
        text = (
            f"{self.counts['messages_total']:,} messages, {self.counts['records_total']:,} records "
            f"of {len(self.streams):,} streams"
        )
        dropped = left_out(self.counts)
        return f"{text}; left out: {dropped}" if dropped else text
