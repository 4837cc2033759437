"""Rows: hostile payloads and topics, a broker that refuses, a sink's broker that is away.

Injected through a real broker, or through one of our own where a real one would not let it pass,
into a whole pipeline. What must hold: whatever cannot be read is counted, kept as a dead letter
(a bounded number of them) and acknowledged; what may not be published is counted; neither holds up
the next good sample, nor the next start; a sink's broker that is away holds up no source, and gets
every forecast later, in order.
"""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import pytest
from brokers import Broker, MakeBroker, wait_until
from fake_broker import PUBACK, PUBLISH, FakeBroker
from mqtt_plant import FORECASTS, TOPIC, Plant, number, sample
from mqtt_tools import Reader, connected, make_source

from connectors.mqtt.subscribing import unsubscribe

ODD_TOPICS = [b"s/a\0b", b"s/", b"s/" + b"x" * 65_533, b"$SYS/uptime", b"s/+", b"s/\xef\xbf\xbf"]
ODD_PAYLOADS = [
    b"",
    b"\0",
    b"NaN",
    b"[" * 100_000,
    b'{"t": 1e400}',
    b"\xff",
    b'{"t": 1, "v": null}',
]


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    return make_broker("max_queued_messages 0")


def forecasts(heard) -> list[int]:  # type: ignore[no-untyped-def]
    """The samples whose forecasts came, each where it came first."""
    came = [number(m.payload) for m in list(heard.messages) if m.topic == FORECASTS]
    return list(dict.fromkeys(came))


def dead_letters(plant: Plant) -> int:
    with closing(sqlite3.connect(f"file:{plant.file}?mode=ro", uri=True)) as db:
        return int(db.execute("SELECT count(*) FROM dead_letters").fetchone()[0])


class Confirming(FakeBroker):
    """A fake broker that also confirms what we publish."""

    def _answer(self, kind: int, body: bytes) -> None:
        super()._answer(kind, body)
        end = 2 + int.from_bytes(body[:2], "big")
        if kind == PUBLISH and b"/state" not in body[:end]:  # the only one of QoS 0
            self.send(0x40, body[end : end + 2])


def test_odd_topics_and_payloads_hold_up_nothing_and_no_start(tmp_path: Path) -> None:
    """Twice: a broker may send again what came before a crash."""
    poison = [(topic, sample(1)) for topic in ODD_TOPICS]
    poison += [(TOPIC.encode(), payload) for payload in ODD_PAYLOADS]
    for life in (1, 2):
        with Confirming() as broker, Plant(tmp_path, broker.url) as plant:
            plant.wait_ready()
            for mid, (topic, payload) in enumerate(poison, 1):
                broker.publish(topic, payload, mid)
            broker.publish(TOPIC.encode(), sample(life), 100)
            broker.wait(PUBACK, len(poison) + 1)
        assert broker.mids(PUBACK, connection=1) == [*range(1, len(poison) + 1), 100]
        assert dead_letters(plant) >= 4 * life
        assert life in plant.journalled()


def swallow(folder: Path, broker: Broker, batches: Iterable[int]) -> None:
    """Bad payloads, as many as the batches say, and then a good one."""
    with broker.collect(FORECASTS) as heard, Plant(folder, broker.url) as plant:
        plant.wait_ready()
        for size in batches:
            broker.publish_all([(TOPIC, b'{"t": "never", "v": 1}')] * size)
        broker.publish(TOPIC, sample(1))
        wait_until(lambda: forecasts(heard) == [1], "the good one", secs=2000)
        assert plant.observer.counts["dead_letters_total",] == sum(batches)
        wait_until(lambda: plant.source.stats["unacked"] == 0, "the last acknowledgement")
    assert dead_letters(plant) <= 10_000


def test_thousands_of_bad_payloads_in_a_row(tmp_path: Path, broker: Broker) -> None:
    swallow(tmp_path, broker, [10_500])


@pytest.mark.soak
@pytest.mark.timeout(3000)
def test_a_million_bad_payloads_in_a_row(tmp_path: Path, broker: Broker) -> None:
    swallow(tmp_path, broker, [20_000] * 50)


def test_a_sinks_broker_that_is_away_holds_up_no_source(
    tmp_path: Path, broker: Broker, make_broker: MakeBroker
) -> None:
    other = make_broker()
    other.stop()
    with Plant(tmp_path, broker.url, sink_url=other.url) as plant:
        wait_until(lambda: plant.source.ready, "the source")
        broker.publish_all([(TOPIC, sample(n)) for n in range(1, 501)])
        wait_until(lambda: len(plant.journalled()) == 500, "the records")
        wait_until(lambda: plant.source.stats["unacked"] == 0, "the acknowledgements")
        other.start()
        with other.collect("streamlnn/i/stream/#") as heard:
            wait_until(lambda: len(forecasts(heard)) == 500, "every forecast")
        assert forecasts(heard) == list(range(1, 501))
        assert plant.source.stats["connects"] == 1


@pytest.fixture
def guarded(make_broker: MakeBroker, tmp_path: Path) -> Broker:
    """A broker that knows alice, who may read everything and write nothing but `s/#`."""
    rights = tmp_path / "rights"
    rights.write_text("user alice\ntopic read #\ntopic write s/#\n")
    rights.chmod(0o644)
    set_password(tmp_path, "first")
    files = [f"password_file {tmp_path}/passwords", f"acl_file {rights}"]
    broker = make_broker(*files, anonymous=False)
    broker.login = ("alice", "first")
    return broker


def set_password(folder: Path, password: str) -> None:
    path = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-b", "-c", path, "alice", password], check=True)
    path.chmod(0o644)


def test_what_may_not_be_published_is_counted_and_holds_up_nothing(
    tmp_path: Path, guarded: Broker
) -> None:
    login = {"username": "alice", "password": "first"}
    with Plant(tmp_path, guarded.url, **login) as plant:
        plant.wait_ready()
        guarded.publish_all([(TOPIC, sample(n)) for n in range(1, 201)])
        wait_until(lambda: plant.sink.stats["refused"].get("Not authorized", 0) >= 200, "refusals")
        assert plant.source.stats["connects"] == 1
    assert plant.journalled() == list(range(1, 201))


def test_a_password_that_changed_is_told_and_the_new_one_is_taken(
    tmp_path: Path, guarded: Broker
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("first")
    secret.chmod(0o600)
    with Plant(tmp_path, guarded.url, username="alice", password_file=str(secret)) as plant:
        plant.wait_ready()
        set_password(tmp_path, "second")
        guarded.restart()
        wait_until(lambda: "check username and password" in plant.observer.trouble, "the trouble")
        secret.write_text("second")
        plant.wait_ready()
        assert plant.observer.states[-1] == "ready"


def test_a_subscription_that_the_broker_lost_alone_is_made_again(
    tmp_path: Path, broker: Broker
) -> None:
    """The session stays, so that nothing else would tell."""
    with broker.collect(FORECASTS) as heard, Plant(tmp_path, broker.url) as plant:
        plant.wait_ready()
        thief = make_source(broker.url, "other", client_id="i-plant")
        thief.connect(None)
        unsubscribe(thief.connection, ["s/+"])
        thief.close()
        wait_until(lambda: plant.source.stats["connects"] == 2, "the second connection")
        plant.wait_ready()
        broker.publish(TOPIC, sample(1))
        wait_until(lambda: forecasts(heard) == [1], "the forecast")
        assert plant.source.stats["sessions_lost"] == 0


def flood(broker: Broker, count: int, version: str) -> None:
    """A broker that has kept a message of each of many topics."""
    broker.publish_all([(f"r/{n}", b"%d" % n) for n in range(count)], retain=True)
    with connected(broker, "r/+", version=version, retained="use") as source:
        reader = Reader(source)
        reader.until_count(count)
        assert sorted(map(int, reader.payloads)) == list(range(count))
    with connected(broker, "r/+", version=version, client_id="b") as source:
        broker.publish("r/0", b"new")
        reader = Reader(source)
        reader.until_count(1)
        assert reader.payloads == [b"new"]
        assert source.stats["unacked"] == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_flood_of_retained_messages(broker: Broker, version: str) -> None:
    flood(broker, 1_500, version)


@pytest.mark.soak
@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_ten_thousand_retained_messages(broker: Broker, version: str) -> None:
    flood(broker, 10_000, version)
