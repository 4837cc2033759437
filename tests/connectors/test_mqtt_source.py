"""What the MQTT source hands out, and when the broker may forget it."""

from __future__ import annotations

import json
import time

import pytest
from brokers import wait_until
from fake_broker import UNSUBSCRIBE, FakeBroker
from mqtt_tools import Reader, connect_again, connected, make_sink, make_source

from connectors.mqtt import MqttSource, incoming
from connectors.mqtt import connection as mqtt_connection
from connectors.mqtt.settings import MqttSourceSettings
from connectors.mqtt.source import Position
from connectors.mqtt.subscribing import subscribe
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, NotConnected, Output


def test_messages_come_in_order_with_topic_payload_and_time(broker):
    with connected(broker, "site/+/t") as source:
        before = time.time_ns()
        broker.publish_all([("site/a/t", b"\x00\xff"), ("site/b/t", b"2"), ("other", b"3")])
        first, second = Reader(source).until_count(2)
        assert (first.origin, first.payload, first.retained) == ("site/a/t", b"\x00\xff", False)
        assert (second.origin, second.payload) == ("site/b/t", b"2")
        assert before <= first.received <= second.received <= time.time_ns()


def test_a_quiet_topic_gives_none(broker):
    with connected(broker, "a") as source:
        source.read(0)  # the position of the new subscription
        assert source.read(0.01) is None
        assert source.ready


def test_a_batch_is_bounded_and_the_rest_waits(broker):
    with connected(broker, "a") as source:
        broker.publish_all([("a", str(i)) for i in range(2500)])
        reader = Reader(source)
        reader.until_count(1)
        assert len(reader.messages) <= 1024
        assert [int(one.payload) for one in reader.until_count(2500)] == list(range(2500))


def test_without_acknowledgement_the_next_process_gets_the_message_again(broker):
    with connected(broker, "a") as first:
        broker.publish_all([("a", b"1"), ("a", b"2")])
        done = Reader(first)
        done.until_count(2)
        broker.publish_all([("a", b"3"), ("a", b"4")])
        Reader(first, ack=False).until_count(2)
        with connected(broker, "a", position=done.position) as second:
            assert Reader(second).until_count(2)
            broker.publish("a", b"5")
            assert [int(one.payload) for one in Reader(second).until_count(1)] == [5]


def test_redelivered_messages_are_those_never_acknowledged(broker):
    with connected(broker, "a") as first:
        broker.publish_all([("a", str(i)) for i in range(10)])
        reader = Reader(first, ack=False)
        reader.until_count(10)
        position = json.loads(reader.position)
        first.ack(json.dumps({**position, "n": 4}))
        subscribe(first.connection, ["a"], 1, 2)  # its answer shows that the broker has read on
    with connected(broker, "a", position=reader.position) as second:
        again = Reader(second)
        again.until_count(6)
        assert [int(payload) for payload in again.payloads] == [4, 5, 6, 7, 8, 9]


def test_a_stock_broker_sends_thousands_before_the_first_acknowledgement(broker):
    with connected(broker, "a") as source:
        reader = Reader(source, ack=False)
        for _ in range(3):  # a broker queues 1,000 for a slow reader, so read in between
            broker.publish_all([("a", b"x")] * 900)
            reader.until_count(len(reader.messages) + 900)
        assert source.stats["unacked"] == 2700


@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize(
    ("policy", "flags"), [("ignore", [False]), ("seed", [True, False]), ("use", [False, False])]
)
def test_retained_messages_are_told_apart(broker, version, policy, flags):
    """Dropped, marked as good for a beginning only, or taken like any other."""
    broker.publish("a", b"old", retain=True)
    with connected(broker, "a", version=version, retained=policy) as source:
        broker.publish("a", b"new")
        messages = Reader(source).until_count(len(flags))
        assert [one.retained for one in messages] == flags
        assert source.stats["unacked"] == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_own_output_never_comes_back(broker, version):
    source = make_source(broker.url, "#", version=version)
    sink = make_sink(source)
    source.connect(None)
    sink.connect()
    sink.write([Output("forecast", b"{}", "a", lsn=1), Output("status", b"online")])
    assert sink.flush(5) == 1
    broker.publish("a", b"1")
    broker.publish("streamlnn/plant1/stream/a/forecast", b"from a stranger")
    broker.publish("streamlnn/plant2/stream/a/forecast", b"of another daemon")
    reader = Reader(source)
    reader.until_quiet()
    assert [one.origin for one in reader.messages] == ["a", "streamlnn/plant2/stream/a/forecast"]
    assert source.stats["unacked"] == 0
    source.close()


def test_output_of_a_sink_with_its_own_url_on_the_same_broker_does_not_come_back(broker):
    with connected(broker, "#") as source:
        make_sink(source, id="beside")  # registers, as the configuration's other sink would
        broker.publish("streamlnn/plant1/info", b"x")
        broker.publish("a", b"1")
        assert [one.origin for one in Reader(source).until_count(1)] == ["a"]


def test_what_the_configuration_no_longer_names_is_unsubscribed(broker):
    with connected(broker, "x/a", "x/b") as source:
        reader = Reader(source)
        reader.until(lambda: reader.position is not None)
    with connected(broker, "x/b", position=reader.position) as source:
        broker.publish_all([("x/a", b"1"), ("x/b", b"2")])
        assert [one.origin for one in Reader(source).until_count(1)] == ["x/b"]


def test_unsubscribing_needs_no_message_in_between(broker):
    position = None
    for topic in ("x/a", "x/b", "x/c"):
        with connected(broker, topic, position=position) as source:
            reader = Reader(source)
            reader.until(lambda reader=reader: reader.position is not None)
            position = reader.position
    with connected(broker, "x/c", position=position) as source:
        broker.publish_all([("x/a", b"1"), ("x/b", b"2"), ("x/c", b"3")])
        assert [one.origin for one in Reader(source).until_count(1)] == ["x/c"]


def test_a_backlog_before_the_grant_does_not_hide_what_is_to_be_unsubscribed():
    with FakeBroker(session_present=True) as broker:
        broker.backlog = 1_500
        source = make_source(broker.url, "x/b", receive_maximum=20)
        source.connect(Position(1, 5, ("x/a", "x/b")).text())
        reader = Reader(source)
        reader.until_count(1)
        assert Position.parse(reader.position).filters == ("x/b", "x/a")
        reader.until(lambda: source.ready and broker.count(UNSUBSCRIBE) == 1)
        reader.until(lambda: Position.parse(reader.position).filters == ("x/b",))
        source.close()


def test_messages_that_nobody_takes_do_not_fill_the_memory(broker, monkeypatch):
    """What waits beyond a bound is left to the broker: it sends all of it again."""
    monkeypatch.setattr(mqtt_connection, "MOST_WAITING_BYTES", 50_000)
    monkeypatch.setattr(mqtt_connection, "_BYTES_PER_TURN", 5_000)
    monkeypatch.setattr(incoming, "_LEFT_OVER_BYTES", 20_000)
    with connected(broker, "x") as source:
        broker.publish_all([("x", b"%d" % n + b"." * 1_000) for n in range(200)])
        with pytest.raises(NotConnected, match="MiB of messages wait to be taken: see why"):
            wait_until(source.idle, "the bound")
        assert source.connection.inbox.bytes < 60_000
        connect_again(source, None)
        found = {int(one.split(b".")[0]) for one in Reader(source).until_count_of(200)}
        assert found == set(range(200))


def test_of_qos_0_what_nobody_takes_is_dropped_and_counted(monkeypatch):
    monkeypatch.setattr(incoming, "_WAITING_QOS0_BYTES", 3_000)
    inbox = incoming.Inbox()
    for _ in range(5):
        inbox.add(incoming.Arrival(1, 0, "x", b"." * 1_000, retained=False, received=1))
    assert (len(inbox), inbox.overflows) == (3, 2)


def test_a_command_beside_the_daemon_takes_nothing_from_it(broker):
    with connected(broker, "a") as daemon, connected(broker, "a", daemon=False) as command:
        broker.publish("a", b"1")
        assert Reader(command).until_count(1)
        assert Reader(daemon).until_count(1)
        broker.publish("a", b"2")
        assert Reader(daemon).until_count(1)


def test_a_command_leaves_no_session_behind(broker):
    with connected(broker, "a", daemon=False) as command:
        name = command.connection.session.client_id
    with connected(broker, "a", client_id=name) as other:
        assert other.connection.session_present is False


def test_a_broker_without_memory_is_told_once_and_subscribed_again(broker, caplog):
    with connected(broker, "a") as source:
        broker.publish("a", b"1")
        reader = Reader(source)
        reader.until_count(1)
        broker.kill()
        lost = reader.until_lost()
        assert broker.url in lost
        assert not source.ready
        broker.start()
        connect_again(source, reader.position)
        broker.publish("a", b"2")
        reader.until_count(2)
        assert reader.payloads == [b"1", b"2"]
        assert source.stats["sessions_lost"] == 1
        assert caplog.text.count("forgotten our session") == 1


def test_what_came_before_the_connection_broke_is_handed_out_first(broker):
    with connected(broker, "a", "b") as source, broker.collect("a") as collector:
        sink = make_sink(source)
        broker.publish_all([("a", str(i)) for i in range(50)])
        collector.wait(50)
        sink.connect()
        while len(source.connection.inbox) < 50:  # flushing reads what stands before the answers
            sink.flush(0.01)
        broker.kill()
        reader = Reader(source)
        reader.until_lost()
        assert len(reader.messages) == 50


def test_a_broker_that_falls_silent_is_noticed_by_the_keepalive(broker):
    with connected(broker, "a", keepalive="1s") as source:
        broker.freeze()
        assert "no answer to our pings" in Reader(source).until_lost()
        broker.kill()


def test_a_broker_with_memory_keeps_the_session_over_a_restart(make_broker):
    broker = make_broker("persistence true", "autosave_interval 1")
    with connected(broker, "a") as source:
        reader = Reader(source)
        reader.until_quiet()
        broker.stop()
        reader.until_lost()
        broker.start()
        connect_again(source, reader.position)
        assert source.stats["sessions_lost"] == 0
        assert source.connection.session_present


def test_what_was_published_while_we_were_away_comes_later(broker):
    with connected(broker, "a") as source:
        reader = Reader(source)
        reader.until_quiet()
    broker.publish_all([("a", b"1"), ("a", b"2")])
    with connected(broker, "a", position=reader.position) as source:
        again = Reader(source)
        again.until_count(2)
        assert again.payloads == [b"1", b"2"]


def test_qos_0_messages_come_and_need_no_acknowledgement(broker):
    with connected(broker, "a", qos=0) as source:
        broker.publish("a", b"1")
        Reader(source, ack=False).until_count(1)
        assert source.stats["unacked"] == 0


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_repeated_kicks_show_the_second_daemon_of_the_same_name(broker, version):
    first = make_source(broker.url, "a", version=version)
    lost, kicks = "", 0
    while "another client" not in lost and kicks < 4:
        first.connect(None)
        with connected(broker, "a", version=version):
            lost, kicks = Reader(first).until_lost(), kicks + 1
    assert "another client" in lost
    assert "'plant1-plant'" in lost
    with pytest.raises(NotConnected, match="the next try is in"):
        first.connect(None)


def test_a_broker_that_names_the_rival_is_believed_at_once():
    with FakeBroker() as broker:
        source = make_source(broker.url, "a")
        source.connect(None)
        broker.send(0xE0, b"\x8e\x00")
        assert "another client has connected" in Reader(source).until_lost()
        with pytest.raises(NotConnected, match="the next try is in"):
            source.connect(None)


def test_a_broker_that_restarts_again_and_again_is_no_rival(broker):
    with connected(broker, "a") as source:
        for _ in range(6):
            broker.kill()
            broker.start()
            Reader(source).until_lost()
            source.connect(None)
        assert source.ready


@pytest.mark.parametrize("position", ['{"offset": "x"', '{"offset": 7}', '{"files": []}'])
def test_a_position_of_something_else_is_no_obstacle(broker, caplog, position):
    with connected(broker, "a", position=position) as source:
        assert source.ready
    assert "not of an mqtt source" in caplog.text


def test_a_bad_filter_from_the_streams_is_a_configuration_error():
    settings = MqttSourceSettings(url="mqtt://localhost")
    with pytest.raises(ConfigError, match="'a/#/b' is no MQTT filter"):
        MqttSource(settings, Context(topics=("a/#/b",)))
