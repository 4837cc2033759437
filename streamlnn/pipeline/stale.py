"""Streams that have fallen silent: told while they are silent, and again when they speak.

Silence is counted in the seconds in which we listened: while the source is connected and ready,
and nothing holds us from reading it. So the daemon's own downtime, a lost broker, sinks that are
behind, a machine that slept and a wall clock that was set are nobody's silence; a stream that is
silent after a restart is stale again once it has been listened to for as long as it takes. What is
stale stays so over a restart, until it speaks.

All of it comes from the wall clock and is no part of a replay: no record causes the event, and the
log knows nothing of it. Its outputs are kept in the journal as notices until a sink confirms them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush

import msgspec

from streamlnn.model.records import NANOSECONDS, Event
from streamlnn.model.units import spoken
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream
from streamlnn.pipeline.messages import EventMessage
from streamlnn.pipeline.silence import LEAST_SECS
from streamlnn.pipeline.timestamps import rfc3339

LONGEST_TURN_SECS = 1.0
"""A longer turn of the loop counts as so long: nobody knows what was to be heard in it."""

AT_ONCE = 200
"""So many streams of a source are looked at in one turn, in well under a millisecond."""


@dataclass(slots=True, eq=False)
class _Ear:
    """One source: the seconds it was listened to, and by when to look at which stream next."""

    secs: float = 0.0
    listens: bool = False
    looks: list[tuple[float, str]] = field(default_factory=list)


class StaleWatch:
    """Who is silent for too long; `told` holds the start event of every stale stream, by name.

    A look at a stream is due when it would be stale had it not spoken since it was last looked
    at: 10,000 streams cost a heap's top a turn, not 10,000 comparisons.
    """

    def __init__(self, journal: Journal, sources: Iterable[str]) -> None:
        self.told: dict[str, bytes] = {}
        self._journal = journal
        self._ears = {name: _Ear() for name in sources}
        self._spoke: dict[str, tuple[_Ear, float]] = {}
        self._turned: int | None = None

    def restore(
        self, lives: Mapping[str, LiveStream], source_of: Callable[[str], str | None]
    ) -> None:
        """Go on where the last run ended; forget a stream that no source feeds any more.

        `source_of` says which source feeds a stream, by what its row says. The caller holds the
        transaction.
        """
        self.told = self._journal.stale()
        for name, live in lives.items():
            source = source_of(live.row.owner)
            if source is not None:
                self.expect(name, source)
            elif self.told.pop(name, None) is not None:
                self._journal.save_stale(live.row, None)
            live.stale = name in self.told

    def expect(self, name: str, source: str) -> None:
        """Count the silence of a stream that `source` feeds from here on."""
        ear = self._ears[source]
        known = self._spoke.get(name)
        self._spoke[name] = (ear, ear.secs)
        if (known is None or known[0] is not ear) and name not in self.told:
            heappush(ear.looks, (ear.secs + LEAST_SECS, name))

    def listen(self, now: int, to: Collection[str]) -> None:
        """Count the time since the last call for the sources listened to then and now.

        `now` is nanoseconds UTC, `to` the ids of the sources that are ready and read.
        """
        passed = 0.0 if self._turned is None else (now - self._turned) / NANOSECONDS
        self._turned = now
        for name, ear in self._ears.items():
            listens = name in to
            if listens and ear.listens:
                ear.secs += min(max(passed, 0.0), LONGEST_TURN_SECS)
            ear.listens = listens

    def fallen(self, lives: Mapping[str, LiveStream]) -> list[LiveStream]:
        """Return the streams that have become stale, of those whose look is due now."""
        return [live for ear in self._ears.values() for live in self._look(ear, lives)]

    def start(self, live: LiveStream, now: int) -> Output:
        """Note that a stream is stale, and return the event that says so.

        The caller holds the transaction.
        """
        payload = live.speaker.event(_start(live, now), now)
        self.told[live.row.name], live.stale = payload, True
        self._journal.save_stale(live.row, payload)
        return _output(live, payload)

    def end(self, live: LiveStream, now: int) -> Output:
        """Note that a stale stream has spoken at `now`, and return the event that says so.

        The caller holds the transaction.
        """
        name = live.row.name
        begun = msgspec.json.decode(self.told.pop(name), type=EventMessage)
        live.stale = False
        self._journal.save_stale(live.row, None)
        ear, _ = self._spoke[name]
        heappush(ear.looks, (ear.secs + LEAST_SECS, name))
        return _output(live, msgspec.json.encode(_over(begun, live.silence.heard, now)))

    def _look(self, ear: _Ear, lives: Mapping[str, LiveStream]) -> list[LiveStream]:
        found: list[LiveStream] = []
        for _ in range(AT_ONCE):
            if not ear.looks or ear.looks[0][0] > ear.secs:
                break
            _, name = heappop(ear.looks)
            mine, spoke = self._spoke[name]
            if mine is not ear or name in self.told:
                continue
            limit = lives[name].stale_after
            due = ear.secs + LEAST_SECS if limit is None else spoke + limit
            if due > ear.secs:
                heappush(ear.looks, (due, name))
            else:
                found.append(lives[name])
        return found


def _start(live: LiveStream, now: int) -> Event:
    heard, usual = live.silence.heard, live.usual_silence
    # The wall clock may have been set since; so long was listened in any case.
    silent = max(live.stale_after or 0.0, 0.0 if heard is None else (now - heard) / NANOSECONDS)
    text = (
        f"Nothing has come for {spoken(silent)}; a record usually comes every {spoken(usual, 4)}."
    )
    since = None if heard is None else heard / NANOSECONDS
    seq = live.forecaster.seq - 1
    return Event("stale", "start", now / NANOSECONDS, since, seq, "warning", text)


def _over(begun: EventMessage, heard: int | None, now: int) -> EventMessage:
    silent = 0.0 if heard is None else (now - heard) / NANOSECONDS
    text = f"Records come again, after {silent:.6g} s." if silent > 0 else "Records come again."
    return msgspec.structs.replace(
        begun, phase="end", time=rfc3339(now), severity="info", text=text
    )


def _output(live: LiveStream, payload: bytes) -> Output:
    identity = {**live.speaker.identity(live.forecaster.seq - 1), "type": "stale"}
    return Output("event", payload, live.row.name, identity=identity)
