"""Row: the broker is killed, ended and restarted, again and again; two daemons of one name.

Injected: SIGKILL and SIGTERM in turn to a real broker that remembers sessions or does not, under a
whole pipeline and under the daemon as a process; two daemons that share a name and not a directory.
What must hold, in MQTT 5 and 3.1.1: within 5 s after the broker is up again the pipeline is
connected and subscribed, and takes messages; a session that is gone is counted, one that stayed is
not; a broker that comes back again and again is not taken for a rival; a rival is named, and the
two do not throw each other out for ever.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Broker, MakeBroker, free_port, wait_until
from daemons import Daemon, answers, running
from mqtt_plant import FORECASTS, TOPIC, Plant, number, sample

BACK_SECS = 5.0
MEMORIES = {
    "forgetful": ["persistence false"],
    "faithful": ["persistence true", "autosave_on_changes true", "autosave_interval 1"],
}
VERSIONS = ["5", "3.1.1"]


def break_down(broker: Broker, nth: int, down_secs: float) -> None:
    (broker.kill if nth % 2 else broker.stop)()
    time.sleep(down_secs)
    broker.start()


def has_come(broker: Broker, n: int) -> Callable[[], bool]:
    """Whether the forecast of sample `n` comes: the daemon reads, and the broker hears it."""
    heard = broker.collect("streamlnn/i/stream/#")

    def check() -> bool:
        came = [m.payload for m in list(heard.messages) if m.topic == FORECASTS]
        if n in map(number, came):
            heard.close()
            return True
        return False

    return check


def survive(broker: Broker, ready: Callable[[], bool], times: int, longest_secs: float) -> None:
    """Each time: down for a moment, up, ready within 5 s, and the next sample goes through."""
    chance = random.Random(1)
    wait_until(ready, "the first connection", secs=60)
    for nth in range(1, times + 1):
        break_down(broker, nth, chance.uniform(0.1, longest_secs))
        wait_until(ready, f"the connection after restart {nth}", BACK_SECS)
        check = has_come(broker, nth)
        broker.publish(TOPIC, sample(nth))
        wait_until(check, f"forecast {nth}")


@pytest.mark.parametrize(("memory", "version"), [("forgetful", "3.1.1"), ("faithful", "5")])
def test_a_broker_that_is_restarted_in_a_row_is_met_again_within_5_s(
    make_broker: MakeBroker,
    tmp_path: Path,
    memory: str,
    version: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streamlnn.pipeline.link.STEADY_SECS", 0.0)
    broker = make_broker(*MEMORIES[memory])
    with Plant(tmp_path, broker.url, version=version) as plant:

        def ready() -> bool:
            return plant.observer.states[-1:] == ["ready"] and plant.source.ready

        survive(broker, ready, times=5, longest_secs=0.2)
    assert plant.journalled() == list(range(1, 6))
    assert plant.source.stats["sessions_lost"] == (5 if memory == "forgetful" else 0)
    assert plant.source.stats["connects"] == 6


def test_a_broker_that_was_away_for_long_is_met_within_5_s(
    make_broker: MakeBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses have reached their longest by then: as after an hour."""
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 3.0)
    broker = make_broker()
    with Plant(tmp_path, broker.url) as plant:
        plant.wait_ready()
        broker.kill()
        wait_until(lambda: "lost" in plant.observer.states, "the loss")
        broker.start()
        plant.wait_ready(BACK_SECS)


CONFIG = """
[daemon]
instance = "i"
data_dir = "{data}"

[http]
listen = "127.0.0.1:{http}"

[[source]]
kind = "mqtt"
id = "plant"
url = "{url}"
version = "{version}"

[[stream]]
from = "plant"
topic = "s/{{name}}"
id = "{{name}}"
time = {{ path = "t", format = "unix" }}
horizons = [1]

[model]
units = 8
"""


def configure(folder: Path, broker: Broker, version: str) -> tuple[Path, int]:
    folder.mkdir()
    port = free_port()
    config = folder / "config.toml"
    config.write_text(
        CONFIG.format(data=folder / "data", http=port, url=broker.url, version=version)
    )
    return config, port


@contextmanager
def daemons(tmp_path: Path, broker: Broker, version: str) -> Iterator[list[Daemon]]:
    """Two daemons of one name, each with a directory of its own."""
    both = [Daemon(configure(tmp_path / name, broker, version)[0]) for name in ("one", "two")]
    try:
        yield both
    finally:
        for daemon in both:
            daemon.kill()


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("memory", MEMORIES)
def test_twenty_restarts_under_the_daemon(
    make_broker: MakeBroker, tmp_path: Path, memory: str, version: str
) -> None:
    broker = make_broker(*MEMORIES[memory])
    config, port = configure(tmp_path / "daemon", broker, version)
    with running(config, port) as daemon:
        survive(
            broker, lambda: answers(f"http://127.0.0.1:{port}/readyz"), times=20, longest_secs=0.6
        )
        assert daemon.stop() == 0
    lost = daemon.errors.count("has forgotten our session")
    assert lost == (20 if memory == "forgetful" else 0)
    assert "another client" not in daemon.errors


@pytest.mark.soak
@pytest.mark.parametrize("version", VERSIONS)
def test_two_daemons_of_one_name_tell_so_and_stop_fighting(
    broker: Broker, tmp_path: Path, version: str
) -> None:
    with daemons(tmp_path, broker, version) as both:
        told = "another client has our id, 'i-plant'"
        wait_until(lambda: any(told in d.errors for d in both), told, 90)
        before = takeovers(broker)
        time.sleep(30)
        assert takeovers(broker) - before <= 6


def takeovers(broker: Broker) -> int:
    return len(re.findall(r"as i-plant", broker.log.read_text()))
