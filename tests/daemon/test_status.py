"""What the daemon says of itself."""

import threading

import pytest

from streamlnn.daemon.status import KEPT_EVENTS, MAX_SERIES, Status

SECOND = 1_000_000_000
NOW = 1_700_000_000 * SECOND


def test_alive_means_a_sign_of_life_within_a_minute() -> None:
    ticks = [0.0]
    status = Status(lambda: ticks[-1])
    status.beat(NOW)
    ticks.append(59.9)
    assert status.alive()
    ticks.append(60.0)
    assert not status.alive()
    status.source("plant", "lost", "a slow name server")
    assert status.alive(), "the loop is not stuck, it has tried a source"
    ticks.append(120.0)
    assert not status.alive()
    status.sink("out", "lost")
    assert status.alive()


@pytest.mark.parametrize("jump_secs", [3600, -3600, 40 * 365 * 86400])
def test_a_wall_clock_that_jumps_changes_nothing(jump_secs: int) -> None:
    ticks = [0.0]
    status = Status(lambda: ticks[-1])
    status.beat(NOW + jump_secs * SECOND)
    assert status.alive()
    ticks.append(61.0)
    assert not status.alive()


def test_a_new_pipeline_begins_anew_and_what_was_counted_stays() -> None:
    status = Status(lambda: 0.0)
    status.beat(NOW)
    status.recovered()
    status.source("gone", "ready")
    status.sink("gone", "full")
    status.forecast("gone", b"{}")
    status.stale("gone", True)
    status.gauge("outbox_waiting", 3, sink="gone")
    status.count("records_total", 5)
    status.begin()
    assert status.starting
    assert status.missing()[0].startswith("the model is being loaded")
    status.beat(NOW)
    status.recovered()
    assert status.missing() == ["no source has been opened yet"]
    snapshot = status.snapshot()
    assert (snapshot.forecasts, snapshot.stale, snapshot.gauges) == ({}, frozenset(), {})
    assert snapshot.counters == {("records_total", ()): 5}


def test_ready_needs_restored_state_and_every_source() -> None:
    status = Status()
    status.beat(NOW)
    assert status.missing() == ["the saved state is still being restored"]
    status.recovered()
    assert status.missing() == ["no source has been opened yet"]
    status.source("plant", "ready")
    status.source("logs", "lost", "no such folder")
    assert status.missing() == ["source 'logs' is lost: no such folder"]
    assert not status.ready()
    status.source("logs", "ready")
    assert status.ready()


def test_counters_add_up_per_label_set_and_gauges_are_replaced() -> None:
    status = Status()
    status.count("dropped_total", source="plant", reason="late")
    status.count("dropped_total", 4, reason="late", source="plant")
    status.count("dropped_total", source="plant", reason="repeat")
    status.gauge("lag_seconds", 3.0)
    status.gauge("lag_seconds", 1.0)
    snapshot = status.snapshot()
    assert snapshot.counters == {
        ("dropped_total", (("reason", "late"), ("source", "plant"))): 5,
        ("dropped_total", (("reason", "repeat"), ("source", "plant"))): 1,
    }
    assert snapshot.gauges == {("lag_seconds", ()): 1.0}


def test_label_sets_beyond_the_bound_are_summed_so_that_memory_is_bounded() -> None:
    status = Status()
    for index in range(MAX_SERIES + 50):
        status.count("dropped_total", source=str(index))
    counters = status.snapshot().counters
    assert len(counters) == MAX_SERIES + 1
    assert counters["dropped_total", (("source", "other"),)] == 50
    assert sum(counters.values()) == MAX_SERIES + 50


def test_the_newest_forecast_and_the_last_hundred_events_are_kept() -> None:
    status = Status()
    status.forecast("a/b", b"1")
    status.forecast("a/b", b"2")
    for index in range(KEPT_EVENTS + 1):
        status.event(str(index).encode())
    snapshot = status.snapshot()
    assert snapshot.forecasts == {"a/b": b"2"}
    assert (len(snapshot.events), snapshot.events[0]) == (KEPT_EVENTS, b"1")


def test_a_snapshot_does_not_change_while_writers_go_on() -> None:
    status = Status()
    status.count("records_total")
    snapshot = status.snapshot()
    status.count("records_total")
    status.forecast("s", b"{}")
    assert snapshot.counters == {("records_total", ()): 1}
    assert snapshot.forecasts == {}


def test_no_count_is_lost_between_threads() -> None:
    status = Status()

    def count() -> None:
        for _ in range(5_000):
            status.count("records_total", source="plant")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(status.snapshot().counters.values()) == 20_000
