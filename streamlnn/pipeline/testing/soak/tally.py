"""What was told: forecasts by identity, each with the digest of its payload, and events.

Both the consumer's and the reference's: they are compared as a whole. A forecast takes about 200
bytes here.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import msgspec

Identity = tuple[str, int, int]
"""Stream, epoch, sequence number."""

OUTSIDE = ("stale", "session_lost")
"""Events of the wall clock: no part of a replay."""


class _Forecast(msgspec.Struct):
    stream: str
    epoch: int
    seq: int


class _Event(msgspec.Struct):
    type: str
    id: str
    phase: str
    time: str | None


class Tally:
    """Forecasts and events as they came, in any order and any number of times.

    `count` is the number of different forecasts, `repeats` how many came again; `contradictions`
    are identities that came with another value than before, `unreadable` payloads that are none.
    """

    def __init__(self) -> None:
        self.count = 0
        self.repeats = 0
        self.contradictions: list[Identity] = []
        self.unreadable: list[bytes] = []
        self.events: dict[bytes, str] = {}
        self.sessions_lost = 0
        self._told: defaultdict[tuple[str, int], dict[int, bytes]] = defaultdict(dict)

    def forecast(self, payload: bytes) -> None:
        """Take a forecast's JSON.

        >>> tally = Tally()
        >>> tally.forecast(b'{"stream": "a", "epoch": 0, "seq": 0, "y": 1}')
        >>> tally.forecast(b'{"stream": "a", "epoch": 0, "seq": 0, "y": 2}')
        >>> tally.count, tally.repeats, tally.contradictions
        (1, 1, [('a', 0, 0)])
        """
        try:
            told = msgspec.json.decode(payload, type=_Forecast)
        except msgspec.MsgspecError:
            self.unreadable.append(payload)
            return
        value = _digest(payload)
        known = self._told[told.stream, told.epoch].setdefault(told.seq, value)
        if known is value:
            self.count += 1
            return
        self.repeats += 1
        if known != value:
            self.contradictions.append((told.stream, told.epoch, told.seq))

    def event(self, payload: bytes) -> None:
        """Take an event's JSON."""
        try:
            told = msgspec.json.decode(payload, type=_Event)
        except msgspec.MsgspecError:
            self.unreadable.append(payload)
            return
        self.sessions_lost += told.type == "session_lost"
        if told.type not in OUTSIDE:
            self.events[_digest(payload)] = f"{told.type} {told.phase} {told.id} at {told.time}"

    def value(self, identity: Identity) -> bytes | None:
        """Return the digest of a forecast; None when it was not told."""
        stream, epoch, seq = identity
        return self._told.get((stream, epoch), {}).get(seq)

    def identities(self) -> Iterator[Identity]:
        """Yield what was told, by stream, epoch and sequence number."""
        for stream, epoch in sorted(self._told):
            for seq in sorted(self._told[stream, epoch]):
                yield stream, epoch, seq

    def digest(self) -> str:
        """Return the digest of all forecasts: equal for the same ones, in whatever order."""
        whole = hashlib.blake2b(digest_size=16)
        for identity in self.identities():
            whole.update(repr(identity).encode() + (self.value(identity) or b""))
        return whole.hexdigest()


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=16).digest()
