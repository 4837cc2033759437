"""What a service manager hears, over real sockets."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest
from brokers import wait_until
from service_manager import ServiceManager

from connectors.codecs import JsonCodec
from streamlnn.daemon.notify import NotifiedStatus, Notifier
from streamlnn.pipeline.contract import Batch
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap


@pytest.fixture(params=["file", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> ServiceManager:
    if request.param == "file":
        return ServiceManager(tmp_path / "notify")
    return ServiceManager(name=f"streamlnn-test-{os.getpid()}")


def test_words_arrive_as_lines_and_cannot_forge_any(manager: ServiceManager) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.address}, monotonic=lambda: 12.5)
    notifier.tell(READY=1, STATUS="lost\nWATCHDOG=trigger\0")
    notifier.reloading()
    assert manager.close() == [
        {"READY": "1", "STATUS": "lost\\nWATCHDOG=trigger\\x00"},
        {"RELOADING": "1", "MONOTONIC_USEC": "12500000"},
    ]


@pytest.mark.parametrize("environment", [{}, {"NOTIFY_SOCKET": "/nowhere/at/all"}])
def test_without_a_service_manager_nothing_is_told_and_nothing_fails(
    environment: dict[str, str],
) -> None:
    notifier = Notifier(environment)
    notifier.tell(READY=1)
    notifier.feed()


def test_a_service_manager_that_reads_nothing_holds_nothing_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as deaf:
        deaf.bind(str(tmp_path / "deaf"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "deaf")})
        for _ in range(1000):
            notifier.tell(STATUS="x" * 1000)


def test_the_watchdog_is_fed_four_times_in_its_timeout(manager: ServiceManager) -> None:
    ticks = [0.0]
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "60000000"}
    notifier = Notifier(environment, monotonic=lambda: ticks[-1])
    for second in range(61):
        ticks.append(float(second))
        notifier.feed()
    assert manager.close() == [{"WATCHDOG": "1"}] * 5


class Hanging:
    """A source whose `read` comes back only when it is let."""

    id, format = "hanging", "json"
    ready, stats = True, {}

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()

    def connect(self, position: str | None) -> None: ...

    def idle(self) -> None: ...

    def close(self) -> None: ...

    def read(self, timeout: float) -> Batch | None:
        self.may.wait()
        return None


def test_a_loop_that_hangs_stops_feeding_while_other_threads_live(tmp_path: Path) -> None:
    """The real loop and a source that hangs."""
    manager, source = ServiceManager(tmp_path / "notify"), Hanging()
    environment = {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "80000"}
    status = NotifiedStatus(Notifier(environment))
    pipeline = Pipeline(
        Journal(None),
        [(source, StreamMap([], JsonCodec()))],
        [],
        status,
        instance="i",
        model=ModelSettings(),
    )
    thread = threading.Thread(target=pipeline.run)
    thread.start()
    try:
        wait_until(lambda: manager.told.count({"WATCHDOG": "1"}) > 5, "feeding")
        source.may.clear()
        wait_until(lambda: status.silent_secs() > 0.4, "the loop to hang")
        fed = manager.told.count({"WATCHDOG": "1"})
        wait_until(lambda: status.silent_secs() > 0.8, "the loop to hang longer")
        assert manager.told.count({"WATCHDOG": "1"}) == fed
        assert {"READY": "1", "STATUS": "no source has been opened yet"} in manager.told
    finally:
        source.may.set()
        pipeline.stop.set()
        thread.join()
        manager.close()
