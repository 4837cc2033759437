"""The packets themselves, against a broker that does what the test says."""

from __future__ import annotations

import struct

import pytest
from fake_broker import CONNECT, PUBACK, PUBLISH, SUBSCRIBE, FakeBroker
from mqtt_tools import Reader, make_sink, make_source

from connectors.mqtt import connection as mqtt_connection
from connectors.mqtt.source import Position
from streamlnn.pipeline.contract import NotConnected, Output


@pytest.fixture
def broker():
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def source(broker):
    source = make_source(broker.url, "a")
    source.connect(None)
    yield source
    source.close()


def test_nothing_is_acknowledged_before_it_is_durable(broker, source):
    for mid in (7, 8, 9):
        broker.publish(b"a", b"x", mid)
    reader = Reader(source, ack=False)
    reader.until_count(3)
    source.read(0.05)
    assert broker.count(PUBACK) == 0
    source.ack(reader.position)
    broker.wait(PUBACK, 3)
    assert broker.mids(PUBACK, connection=1) == [7, 8, 9]


def test_a_dropped_message_is_acknowledged_in_its_turn(broker, source):
    broker.publish(b"a", b"1", 1)
    broker.publish(b"\xff\xfe", b"2", 2)
    broker.publish(b"a", b"3", 3)
    reader = Reader(source, ack=False)
    reader.until_count(2)
    assert reader.payloads == [b"1", b"3"]
    assert broker.count(PUBACK) == 0
    assert source.stats["dropped"] == {"topic is not text": 1}
    source.ack(reader.position)
    broker.wait(PUBACK, 3)
    assert broker.mids(PUBACK, connection=1) == [1, 2, 3]


class Flood(FakeBroker):
    """Debian's mosquitto 2.0.11: once a session has a backlog, all of it comes before an answer."""

    def _answer(self, kind, body):
        if kind == SUBSCRIBE:
            self.asked = body
            for mid in range(1, 31):
                self.publish(b"a", b"%d" % mid, mid)
        else:
            super()._answer(kind, body)


def test_a_backlog_before_the_answer_to_a_subscription_is_taken_first():
    with Flood(session_present=True) as broker:
        source = make_source(broker.url, "a", receive_maximum=20)
        source.connect(None)
        reader = Reader(source)
        reader.until_count(30)
        assert not source.ready
        broker.wait(PUBACK, 30)
        FakeBroker._answer(broker, SUBSCRIBE, broker.asked)
        reader.until(lambda: source.ready)
        source.close()


def test_a_kept_subscription_stands_before_it_is_granted_again():
    known = Position(1, 5, ("a", "x/b")).text()
    with Flood(session_present=True) as broker:
        source = make_source(broker.url, "a", receive_maximum=20)
        source.connect(known)
        assert source.ready
        Reader(source).until_count(30)
        broker.granted = 0x87
        FakeBroker._answer(broker, SUBSCRIBE, broker.asked)
        with pytest.raises(NotConnected, match="refuses the subscription 'a'"):
            Reader(source).until(lambda: not source.ready)
        assert not source.ready
        source.close()


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_new_or_was_forgotten_is_subscribed_only_when_granted(kept):
    known = Position(1, 5, ("x/b",) if kept else ("a",)).text()
    with Flood(session_present=kept) as broker:
        source = make_source(broker.url, "a", receive_maximum=20)
        source.connect(known)
        Reader(source).until_count(30)
        assert not source.ready
        FakeBroker._answer(broker, SUBSCRIBE, broker.asked)
        Reader(source).until(lambda: source.ready)
        source.close()


def test_a_refusal_behind_a_backlog_is_told():
    with Flood(session_present=True) as broker:
        source = make_source(broker.url, "a", receive_maximum=20)
        source.connect(None)
        Reader(source).until_count(30)
        broker.granted = 0x87
        FakeBroker._answer(broker, SUBSCRIBE, broker.asked)
        with pytest.raises(NotConnected, match="refuses the subscription 'a'"):
            Reader(source).until(lambda: source.ready)
        source.close()


def test_dropped_messages_alone_never_fill_the_window(broker, source):
    for mid in range(1, 6):
        broker.publish(b"\xff", b"", mid)
    Reader(source).until(lambda: broker.count(PUBACK) == 5)
    assert source.stats["messages"] == 0


def test_an_acknowledgement_of_an_earlier_connection_is_dropped(broker, source):
    broker.publish(b"a", b"old", 1)
    reader = Reader(source, ack=False)
    reader.until_count(1)
    stale = reader.position
    broker.hang_up()
    reader.until_lost()
    source.connect(stale)
    broker.publish(b"a", b"new", 1)
    reader.until_count(2)
    source.ack(stale)
    source.read(0.05)
    assert broker.mids(PUBACK, connection=2) == []
    source.ack(reader.position)
    broker.wait(PUBACK, 1)
    assert broker.mids(PUBACK, connection=2) == [1]


def test_an_acknowledgement_from_before_a_restart_is_dropped(broker, source):
    reader = Reader(source, ack=False)
    broker.publish(b"a", b"old", 1)
    reader.until_count(1)
    restarted = make_source(broker.url, "a")
    source.connection.close()
    restarted.connect(reader.position)
    broker.publish(b"a", b"new", 1)
    Reader(restarted, ack=False).until_count(1)
    restarted.ack(reader.position)
    restarted.read(0.05)
    assert broker.count(PUBACK) == 0
    restarted.close()


def test_messages_left_over_from_a_lost_connection_are_handed_out_and_not_acknowledged(
    broker, source
):
    sink = make_sink(source, daemon=False)
    sink.connect()
    broker.publish(b"a", b"left over", 5)
    while not source.connection.inbox:
        sink.flush(0.05)
    broker.hang_up()
    while source.connection.up:
        sink.flush(0.05)
    source.connect(None)
    broker.publish(b"a", b"again", 5)
    reader = Reader(source)
    reader.until_count(2)
    assert reader.payloads == [b"left over", b"again"]
    broker.wait(PUBACK, 1)
    assert broker.mids(PUBACK, connection=2) == [5]


def test_a_repeat_flag_means_nothing(broker, source):
    broker.publish(b"a", b"never seen before", 1, dup=True)
    assert Reader(source).until_count(1)


def test_the_session_asks_for_a_window_an_expiry_and_no_clean_start(broker, source):
    body = broker.packets[0].body
    assert broker.packets[0].kind == CONNECT
    flags = body[7]
    assert flags & 0x02 == 0
    assert b"\x11" + struct.pack("!I", 7 * 86400) in body
    assert b"\x21" + struct.pack("!H", 4096) in body
    assert b"\x27" + struct.pack("!I", 1_048_576) in body


def test_a_subscription_never_brings_back_what_we_publish(broker, source):
    options = next(one for one in broker.packets if one.kind == SUBSCRIBE).body[-1]
    assert options & 0x04
    assert options & 0x03 == 1


def test_a_subscription_is_made_on_every_connect(broker, source):
    broker.session_present = True
    broker.hang_up()
    Reader(source).until_lost()
    source.connect(None)
    broker.wait(SUBSCRIBE, 2)


@pytest.mark.parametrize(
    "packet",
    [
        (0x30, b""),
        (0x32, b"\x00\x01a"),
        (0x20, b""),
        (0x40, b"\x00"),
        (0xF0, b"\x00"),
        (0x36, b"x"),
    ],
)
def test_a_malformed_packet_costs_the_connection_and_nothing_else(broker, source, packet):
    broker.send(*packet)
    reader = Reader(source)
    reader.until_lost()
    source.connect(reader.position)
    broker.publish(b"a", b"1", 1)
    assert Reader(source).until_count(1)


def test_the_brokers_window_for_our_publications_is_kept():
    with FakeBroker(properties=b"\x21\x00\x02") as broker:
        source = make_source(broker.url)
        sink = make_sink(source)
        source.connect(None)
        sink.connect()
        sink.write([Output("forecast", b"%d" % lsn, "a", lsn=lsn) for lsn in range(5)])
        assert sink.flush(0.05) == 0
        assert broker.count(PUBLISH) == 2
        for answered in range(5):
            mid = [_mid(one.body) for one in broker.packets if one.kind == PUBLISH][answered]
            broker.send(0x40, mid)
            while sink.flush(0.05) <= answered:
                pass
            broker.wait(PUBLISH, min(5, 3 + answered))
        source.connection.will = None
        source.close()


def test_confirmations_count_in_order_and_without_a_hole(broker, source):
    sink = make_sink(source, daemon=False)
    sink.connect()
    sink.write([Output("forecast", b"1", "a", lsn=1), Output("forecast", b"2", "a", lsn=2)])
    broker.wait(PUBLISH, 2)
    first, second = (_mid(one.body) for one in broker.packets if one.kind == PUBLISH)
    broker.send(0x40, second)
    assert sink.flush(0.2) == 0
    broker.send(0x40, first)
    assert sink.flush(5) == 2


def test_a_subscription_that_is_not_allowed_is_told(broker):
    broker.granted = 0x87
    source = make_source(broker.url, "secret/#")
    with pytest.raises(NotConnected, match=r"refuses the subscription 'secret/#' \(Not authorized"):
        source.connect(None)
    assert not source.ready


def test_a_lower_grant_than_asked_is_warned_about(broker, caplog):
    broker.granted = 0
    source = make_source(broker.url, "a")
    source.connect(None)
    assert "grants only QoS 0" in caplog.text
    source.close()


def test_a_broker_that_does_not_answer_is_given_up(monkeypatch):
    monkeypatch.setattr(mqtt_connection, "_OPEN_SECS", 0.3)
    monkeypatch.setattr(FakeBroker, "_answer", lambda *_: None)
    with FakeBroker() as broker:
        source = make_source(broker.url, "a")
        with pytest.raises(NotConnected, match="did not answer within"):
            source.connect(None)
        assert not source.ready


def _mid(publish: bytes) -> bytes:
    topic = int.from_bytes(publish[:2], "big")
    return publish[2 + topic : 4 + topic]
