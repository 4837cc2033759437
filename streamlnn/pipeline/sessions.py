"""A broker that has forgotten our session has dropped what it kept for us: told, stream by stream.

As silence it is known from the world around and no record causes it, so it is no part of a replay.
"""

from __future__ import annotations

from streamlnn.model.records import NANOSECONDS, Event
from streamlnn.pipeline.contract import Output, Source
from streamlnn.pipeline.live import LiveStream


class SessionWatch:
    """Looks at the count `sessions_lost` that a source keeps in its `stats`."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def has_lost(self, source: Source) -> bool:
        """Tell whether the source has lost its session since the last call."""
        found = source.stats.get("sessions_lost", 0)
        count = found if isinstance(found, int) else 0
        before, self._known[source.id] = self._known.get(source.id, 0), count
        return count > before

    def told(self, live: LiveStream, now: int) -> Output:
        """Return the event: noticed at `now`, something of a stream may be missing."""
        heard, seq = live.silence.heard, live.forecaster.seq - 1
        event = Event(
            "session_lost",
            "end",
            now / NANOSECONDS,
            None if heard is None else heard / NANOSECONDS,
            seq,
            "warning",
            "The broker has forgotten our session: what it kept for us while we were away is lost.",
        )
        identity = {**live.speaker.identity(seq), "type": "session_lost"}
        return Output("event", live.speaker.event(event, now), live.row.name, identity=identity)
