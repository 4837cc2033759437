"""Row: half-open connections, stalls, one byte at a time, resets in the middle of a packet.

Injected by a proxy between a whole pipeline and a real broker: it stops carrying in both directions
and closes nothing (for longer and for shorter than the keepalive), carries single bytes, and resets
the connection after a number of bytes that walks through the packets. What must hold, in MQTT 5 and
3.1.1: the keepalive notices; the pipeline connects again by itself; nothing that was published is
lost or taken twice, every forecast comes, in order; the status ends as `online`.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from brokers import Broker, MakeBroker, wait_until
from mqtt_plant import FORECASTS, TOPIC, Plant, number, sample
from proxy import Proxy

from connectors.mqtt import rivals

STATUS = "streamlnn/i/status"
VERSIONS = ["5", "3.1.1"]


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    return make_broker("max_queued_messages 0")


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect again at once, and see no rival in a network that fails again and again."""
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.01)
    monkeypatch.setattr("streamlnn.pipeline.link.LONGEST_PAUSE_SECS", 0.05)
    monkeypatch.setattr(rivals, "_KICKS_A_MINUTE", 10_000)


def forecasts(heard) -> list[int]:  # type: ignore[no-untyped-def]
    """The samples whose forecasts came, each where it came first."""
    came = [number(m.payload) for m in list(heard.messages) if m.topic == FORECASTS]
    return list(dict.fromkeys(came))


def publish(broker: Broker, first: int, last: int) -> None:
    broker.publish_all([(TOPIC, sample(n)) for n in range(first, last + 1)])


def wait_for(heard, last: int) -> None:  # type: ignore[no-untyped-def]
    wait_until(lambda: len(forecasts(heard)) == last, f"{last} forecasts", secs=30)
    assert forecasts(heard) == list(range(1, last + 1))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_peer_that_vanishes_is_noticed_and_found_again(
    tmp_path: Path, broker: Broker, version: str
) -> None:
    with (
        broker.collect("streamlnn/i/#") as heard,
        Proxy(broker.port) as proxy,
        Plant(tmp_path, proxy.url, version=version, keepalive="1s") as plant,
    ):
        plant.wait_ready()
        publish(broker, 1, 100)
        proxy.still = True
        publish(broker, 101, 200)
        wait_until(lambda: "lost" in plant.observer.states, "the loss to be noticed")
        proxy.still = False
        publish(broker, 201, 300)
        wait_for(heard, 300)
        wait_until(lambda: last_status(heard) == b"online", "the status")
    assert plant.journalled() == list(range(1, 301))
    assert plant.source.stats["sessions_lost"] == 0


def last_status(heard) -> bytes:  # type: ignore[no-untyped-def]
    return [m.payload for m in list(heard.messages) if m.topic == STATUS][-1]


def test_a_stall_shorter_than_the_keepalive_costs_nothing(tmp_path: Path, broker: Broker) -> None:
    with (
        broker.collect("streamlnn/i/#") as heard,
        Proxy(broker.port) as proxy,
        Plant(tmp_path, proxy.url, keepalive="3s") as plant,
    ):
        plant.wait_ready()
        publish(broker, 1, 100)
        proxy.still = True
        publish(broker, 101, 200)
        time.sleep(1.0)
        proxy.still = False
        wait_for(heard, 200)
    assert plant.source.stats["connects"] == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_one_byte_at_a_time(tmp_path: Path, broker: Broker, version: str) -> None:
    with (
        broker.collect("streamlnn/i/#") as heard,
        Proxy(broker.port) as proxy,
    ):
        proxy.bytes_at_once = 1
        with Plant(tmp_path, proxy.url, version=version) as plant:
            plant.wait_ready()
            publish(broker, 1, 20)
            wait_for(heard, 20)
    assert plant.journalled() == list(range(1, 21))
    assert plant.source.stats["connects"] == 1


def reset_again_and_again(folder: Path, broker: Broker, version: str, times: int) -> None:
    """A step of bytes walks through the answers to CONNECT and SUBSCRIBE and the messages."""
    with (
        broker.collect("streamlnn/i/#") as heard,
        Proxy(broker.port) as proxy,
        Plant(folder, proxy.url, version=version) as plant,
    ):
        plant.wait_ready()
        for time_, last in enumerate(range(20, 20 * (times + 1), 20)):
            proxy.reset_after = 3 + 29 * time_ % 400
            publish(broker, last - 19, last)
            wait_until(lambda: proxy.reset_after is None, "the reset")
        wait_for(heard, 20 * times)
        wait_until(lambda: last_status(heard) == b"online", "the status")
    assert proxy.resets == times
    assert plant.journalled() == list(range(1, 20 * times + 1))
    assert plant.source.stats["sessions_lost"] == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_reset_in_the_middle_of_a_packet(tmp_path: Path, broker: Broker, version: str) -> None:
    reset_again_and_again(tmp_path, broker, version, times=8)


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_hundreds_of_resets(tmp_path: Path, broker: Broker, version: str) -> None:
    reset_again_and_again(tmp_path, broker, version, times=300)
