"""When a link tries again: soon after a loss, never late, and not at the others' expense."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from streamlnn.pipeline import link
from streamlnn.pipeline.contract import NotConnected
from streamlnn.pipeline.link import Link
from streamlnn.pipeline.testing import FakeClock

SECOND = 1_000_000_000


class OtherSide:
    """What a link connects to: there or not, and slow to say so."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.there = False
        self.takes_secs = 0.0
        self.tried: list[float] = []

    def connect(self) -> None:
        self.tried.append(self.clock() / SECOND)
        self.clock.advance(self.takes_secs)
        if not self.there:
            raise NotConnected("away")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock(0)
    monkeypatch.setattr(link, "time", SimpleNamespace(monotonic=lambda: clock() / SECOND))
    return clock


@pytest.fixture
def other(clock: FakeClock) -> OtherSide:
    return OtherSide(clock)


def pauses(other: OtherSide, secs: float) -> list[float]:
    """The times between the tries within so many seconds, the link being asked all the time."""
    tried = Link("source 'a'", other.connect)
    while other.clock() < secs * SECOND:
        tried.try_connect()
        other.clock.advance(0.01)
    return [after - before for before, after in zip(other.tried, other.tried[1:], strict=False)]


def test_who_has_been_away_for_an_hour_is_still_looked_for_every_three_seconds(
    other: OtherSide,
) -> None:
    waited = pauses(other, 3600)
    assert waited[0] <= 0.52
    assert max(waited) <= 3.02
    assert min(waited[10:]) >= 1.5


def test_slow_tries_take_no_more_than_a_sixth_of_the_time(other: OtherSide) -> None:
    other.takes_secs = 3.0
    assert min(pauses(other, 600)) >= 18.0
    other.takes_secs = 60.0
    assert max(pauses(other, 3600)) <= 90.02


@pytest.mark.parametrize(("stays_secs", "longest"), [(0.5, 3.02), (2.0, 0.52)])
def test_only_a_connection_that_stays_makes_the_next_pause_short(
    clock: FakeClock, other: OtherSide, stays_secs: float, longest: float
) -> None:
    other.there, tried = True, Link("source 'a'", other.connect)
    waited = lost = 0.0
    for _ in range(20):
        while not tried.try_connect():
            clock.advance(0.01)
        waited = other.tried[-1] - lost
        clock.advance(stays_secs)
        tried.lost(NotConnected("gone"))
        lost = clock() / SECOND
    assert longest / 2.1 <= waited <= longest
