"""Row: slow or absent consumers, a broker that stands still: nothing grows, nothing starves.

Injected by a pipeline that takes no messages (as with a full outbox), by a sink that is told news
while its broker is away, and by stopping the broker's process (SIGSTOP) for shorter and for longer
than the keepalive. What must hold: a connection on which nobody takes messages stays alive and is
noticed when it breaks; what waits is bounded; afterwards every forecast comes, in order.
"""

from __future__ import annotations

import time
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from brokers import Broker, MakeBroker, wait_until
from fake_broker import SUBSCRIBE, FakeBroker
from mqtt_plant import FORECASTS, TOPIC, Plant, number, sample
from mqtt_tools import Reader, connect_again, connected, make_sink, make_source

from streamlnn.pipeline.contract import NotConnected, Output


def idle(source, secs: float) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + secs
    while time.monotonic() < deadline:
        source.idle()
        time.sleep(0.01)


def test_a_source_that_takes_nothing_stays_connected(make_broker: MakeBroker) -> None:
    """Thousands of messages stand before the answers to its pings."""
    broker = make_broker("max_queued_messages 0", "max_inflight_messages 0")
    with connected(broker, "a", keepalive="1s") as source:
        broker.publish_all([("a", b"%d" % n) for n in range(3000)])
        idle(source, 1.7)
        reader = Reader(source)
        reader.until_count(3000)
        assert [int(payload) for payload in reader.payloads] == list(range(3000))
        assert source.connection.connects == 1


def test_a_source_that_takes_nothing_notices_that_its_connection_broke(broker: Broker) -> None:
    """Else the sink that goes via it would wait for ever, and the source for that sink."""
    with connected(broker, "a") as source:
        broker.publish_all([("a", b"1"), ("a", b"2")])
        wait_until(lambda: source.idle() or len(source.connection.inbox) == 2, "the messages")
        broker.kill()
        with pytest.raises(NotConnected, match=broker.url):
            idle(source, 20)
        broker.start()
        reader = Reader(source)
        connect_again(source, None)
        reader.until_count(2)
        assert reader.payloads == [b"1", b"2"]


def test_a_connection_that_breaks_while_it_is_made_piles_up_nothing() -> None:
    """The broker sends its window anew each time, and nobody takes a message in between."""

    class Breaking(FakeBroker):
        def _answer(self, kind: int, body: bytes) -> None:
            if kind == SUBSCRIBE:
                for mid in range(1, 3001):
                    self.publish(b"a", b"%d" % mid, mid)
                self.hang_up()
            super()._answer(kind, body)

    with Breaking() as broker:
        broker.session_present = True
        source = make_source(broker.url, "a")
        source.connection._rivals.kicked = lambda is_there: False
        for _ in range(6):
            with suppress(NotConnected):
                source.connect(None)
                source.idle()
        assert 3000 <= len(source.connection.inbox) <= 4096 + 3000


def test_of_what_is_not_durable_only_the_newest_waits(broker: Broker) -> None:
    source = make_source(broker.url, "a")
    sink = make_sink(source)
    sink.connect()
    for n in range(10_000):
        sink.write([Output("state", b"%d" % n, f"s{n % 10}"), Output("health", b"%d" % n)])
    sink.write([Output("forecast", b"{}", "s1", lsn=1)])
    assert sink.stats["backlog"] == 12
    with broker.collect("streamlnn/#") as heard:
        source.connect(None)
        assert sink.flush(5) == 1
        told = {one.topic: one.payload for one in heard.wait(12)}
    assert told["streamlnn/plant1/health"] == b"9999"
    assert told["streamlnn/plant1/stream/s3/state"] == b"9993"
    source.close()


def test_a_broker_that_comes_and_goes_leaves_nothing_behind() -> None:
    """What is said again on each connection takes the place of what was not heard before."""
    with FakeBroker() as broker:
        source = make_source(broker.url, "a")
        source.connection._rivals.kicked = lambda is_there: False
        sink = make_sink(source, daemon=False)
        sink.connect()
        sink.write([Output("info", b"{}"), Output("state", b"{}", "s")])
        for _ in range(50):
            connect_again(source, None)
            sink.write([Output("health", b"{}"), Output("state", b"{}", "s")])
            sink.flush(0.0)
            broker.hang_up()
            Reader(source).until_lost()
        assert sink.stats["backlog"] <= 6


def test_what_stands_still_is_noticed_within_the_keepalive() -> None:
    """Half of it passes before a ping, half of it in waiting for the answer."""
    with FakeBroker() as broker:
        source = make_source(broker.url, "a", keepalive="1s")
        source.connect(None)
        began = time.monotonic()
        assert "no answer to our pings" in Reader(source).until_lost()
        assert time.monotonic() - began < 1.5


def test_whoever_talks_is_alive() -> None:
    """An answer may come late because much stands before it."""
    with FakeBroker() as broker:
        source = make_source(broker.url, "a", keepalive="1s")
        source.connect(None)
        reader = Reader(source)
        for n in range(15):
            broker.publish(b"a", b"%d" % n, n + 1)
            reader.until_count(n + 1)
            time.sleep(0.1)
        assert source.ready


@pytest.mark.parametrize("secs", [0.3, 1.6], ids=["shorter", "longer"])
def test_a_broker_that_stands_still_for_a_while(
    tmp_path: Path, broker: Broker, secs: float
) -> None:
    """For shorter than the keepalive nothing happens; for longer it is lost and found again."""
    with (
        broker.collect("streamlnn/i/stream/#") as heard,
        Plant(tmp_path, broker.url, keepalive="1s") as plant,
    ):
        plant.wait_ready()
        broker.publish_all([(TOPIC, sample(n)) for n in range(1, 201)])
        broker.freeze()
        time.sleep(secs)
        broker.thaw()
        plant.wait_ready()
        broker.publish_all([(TOPIC, sample(n)) for n in range(201, 301)])
        wait_until(lambda: len(spoken(heard)) == 300, "every forecast")
        assert list(spoken(heard)) == list(range(1, 301))
    assert plant.source.stats["connects"] == (1 if secs < 1 else 2)
    assert plant.journalled() == list(range(1, 301))


def spoken(heard) -> dict[int, bytes]:  # type: ignore[no-untyped-def]
    """The forecasts that came, each where it came first."""
    words: dict[int, bytes] = {}
    for message in list(heard.messages):
        if message.topic == FORECASTS:
            words.setdefault(number(message.payload), message.payload)
    return words


def test_a_broker_that_reads_nothing_makes_no_heap_of_news(broker: Broker) -> None:
    """Messages of QoS 0 wait for no answer: only the socket holds them back."""
    sink = make_sink(url=broker.url)
    sink.connect()
    broker.freeze()
    tracemalloc.start()
    for n in range(1000):
        sink.write([Output("state", bytes(50_000), f"s{n % 10}")])
        sink.flush(0.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    broker.kill()
    assert sink.stats["backlog"] <= 20
    assert peak < 5_000_000
