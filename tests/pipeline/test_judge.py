"""Which records are new, repeats, late, or the sign of a clock that was set back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from streamlnn.pipeline.judge import (
    JITTER,
    SET_BACK_AFTER,
    TICK,
    Clock,
    Verdict,
    accept,
    judge,
    place,
)


class Log:
    """A journal as the judge sees it: what was accepted, by time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.accepted: list[tuple[int, bytes]] = []

    def judge(self, time: int, values: bytes = b"v") -> Verdict:
        verdict = judge(self.clock, time, values, self.seen)
        if verdict in (Verdict.NEW, Verdict.SET_BACK):
            self.accepted.append((time, values))
        return verdict

    def seen(self, time: int) -> list[bytes]:
        return [values for moment, values in self.accepted if moment == time]


def test_rising_times_are_new() -> None:
    log = Log()
    assert [log.judge(time) for time in (1, 2, 5)] == [Verdict.NEW] * 3


def test_a_record_that_came_before_is_a_repeat() -> None:
    log = Log()
    log.judge(1), log.judge(2)
    assert [log.judge(1), log.judge(2)] == [Verdict.REPEAT] * 2


def test_an_old_time_that_never_came_is_late_and_one_with_other_values_a_clash() -> None:
    log = Log()
    log.judge(10), log.judge(20)
    assert log.judge(15) is Verdict.LATE
    assert log.judge(10, b"other") is Verdict.CLASH


def test_a_clock_set_back_is_believed_after_a_few_rising_records() -> None:
    log = Log()
    for time in range(100, 110):
        log.judge(time)
    verdicts = [log.judge(time, b"w") for time in range(50, 50 + SET_BACK_AFTER + 1)]
    assert verdicts == [Verdict.LATE] * (SET_BACK_AFTER - 1) + [Verdict.SET_BACK, Verdict.NEW]


def test_late_records_that_do_not_rise_among_themselves_never_set_the_clock_back() -> None:
    log = Log()
    log.judge(1_000)
    verdicts = {log.judge(time) for time in range(900, 800, -1)}
    assert verdicts == {Verdict.LATE}


def test_after_a_set_back_repeats_from_before_it_are_still_repeats() -> None:
    log = Log()
    for time in range(100, 110):
        log.judge(time)
    for time in range(50, 60):
        log.judge(time, b"w")
    assert log.judge(105) is Verdict.REPEAT


def test_a_record_without_a_time_is_always_new() -> None:
    assert judge(Clock(), None, b"v", lambda time: [b"v"]) is Verdict.NEW


def test_records_received_at_one_moment_follow_each_other() -> None:
    clock, times = Clock(), []
    for received in (100, 100, 100, 99, 100 + 10 * TICK):
        times.append(place(clock, received))
        assert accept(clock, times[-1]) is Verdict.NEW
    assert times == [100, 100 + TICK, 100 + 2 * TICK, 100 + 3 * TICK, 100 + 10 * TICK]


def test_our_own_clock_set_back_is_left_to_be_seen() -> None:
    assert place(Clock(last=3 * JITTER), JITTER) == JITTER


@given(some.lists(some.integers(0, 30), max_size=60), some.integers(0, 60))
def test_a_redelivered_window_changes_nothing(times: list[int], cut: int) -> None:
    """A broker that sends the last records again leaves what is accepted as it was."""
    once, again = Log(), Log()
    for time in times:
        once.judge(time, bytes([time % 3]))
    for time in times[:cut]:
        again.judge(time, bytes([time % 3]))
    accepted = {time for time, _ in again.accepted}
    for time in [time for time in times[:cut] if time in accepted][-5:]:
        assert again.judge(time, bytes([time % 3])) is Verdict.REPEAT
    for time in times[cut:]:
        again.judge(time, bytes([time % 3]))
    assert again.accepted == once.accepted
