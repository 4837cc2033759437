"""Row: hostile packets, from a broker, and from a publisher through any broker.

Injected by a broker of our own that sends whatever bytes a test says. What must hold: a packet that
the standard forbids costs the connection and nothing else, one that it allows costs nothing; the
connector raises nothing but `NotConnected`, which says what came; afterwards it connects and reads
on; memory is bounded by what is kept of a packet, not by what the packet says of itself.
"""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from fake_broker import CONNECT, PUBACK, PUBLISH, UNSUBSCRIBE, FakeBroker, length
from mqtt_tools import Reader, make_sink, make_source

from connectors.mqtt import MqttSource, connection
from streamlnn.pipeline.contract import NotConnected, Output

LONG = "a" * 65_535
A = b"\0\1a"


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as broker:
        yield broker


@pytest.fixture
def source(broker: FakeBroker) -> Iterator[MqttSource]:
    source = make_source(broker.url, "a")
    source.connect(None)
    yield source
    source.close()


def lost_by(broker: FakeBroker, source: MqttSource, head: int, body: bytes) -> str:
    """What the source says of a packet; afterwards it reads on as if nothing had been."""
    broker.send(head, body)
    words = Reader(source).until_lost()
    source.connect(None)
    broker.publish(b"a", b"afterwards", 1)
    assert Reader(source).until_count(1)[0].payload == b"afterwards"
    return words


FORBIDDEN = {
    "no-topic": (0x32, b"", "shorter than it says"),
    "topic-too-long": (0x32, b"\xff\xffabc", "shorter than it says"),
    "no-packet-id": (0x32, A, "shorter than it says"),
    "packet-id-0": (0x32, A + b"\0\0\0x", "QoS 1 without a packet id"),
    "no-properties": (0x32, A + b"\0\1", "properties are longer"),
    "endless-properties": (0x32, A + b"\0\1\xff\xff\xff\xff\xffx", "more than four bytes"),
    "properties-too-long": (0x32, A + b"\0\1\x7fx", "properties are longer"),
    "qos-2": (0x34, A + b"\0\1\0x", "QoS 2, which was not asked for"),
    "qos-3": (0x36, A + b"\0\1\0x", "QoS 3, which was not asked for"),
    "second-connack": (0x20, b"\0\0\0", "let us in twice"),
    "connack-refusal-too-late": (0x20, b"\0\x87\0", "let us in twice"),
    "puback-of-one-byte": (0x40, b"\0", "malformed"),
    "puback-of-an-unknown-reason": (0x40, b"\0\1\x55", "malformed"),
    "suback-of-nothing": (0x90, b"", "malformed"),
    "suback-of-an-unknown-reason": (0x90, b"\0\1\0\x33", "malformed"),
    "unsuback-too-short": (0xB0, b"\0\1", "malformed"),
    "pingresp-with-a-body": (0xD0, b"x", "malformed"),
    "disconnect-of-an-unknown-reason": (0xE0, b"\x01", "malformed"),
    "disconnect-with-a-bad-property": (0xE0, b"\x8b\x03\x63\0\0", "malformed"),
    "a-packet-for-servers": (0x10, b"\0\4MQTT\5\0\0\0\0\0\0", "malformed"),
    "auth": (0xF0, b"\0", "malformed"),
    "reserved": (0x00, b"", "malformed"),
    "answer-of-17-kB": (0x90, bytes(17_000), "an answer of 17000 bytes"),
}


@pytest.mark.parametrize(("head", "body", "words"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_the_standard_forbids_costs_the_connection(
    broker: FakeBroker, source: MqttSource, head: int, body: bytes, words: str
) -> None:
    assert words in lost_by(broker, source, head, body)


def test_a_length_of_five_bytes_costs_the_connection(
    broker: FakeBroker, source: MqttSource
) -> None:
    broker.send_raw(b"\x32\xff\xff\xff\xff\xff\x01")
    assert "a length of more than four bytes" in Reader(source).until_lost()


def test_what_cuts_itself_short_is_a_lost_connection(
    broker: FakeBroker, source: MqttSource
) -> None:
    """In the middle of a packet, at every byte of it."""
    whole = b"\x32\x07" + A + b"\0\1\0x"
    for end in range(1, len(whole)):
        broker.send_raw(whole[:end])
        broker.hang_up()
        assert "the connection broke" in Reader(source).until_lost()
        source.connection._rivals.absent()
        source.connect(None)


ALLOWED = {
    "puback-of-an-unknown-id": (0x40, b"\x12\x34"),
    "puback-of-id-0": (0x40, b"\0\0"),
    "suback-never-asked-for": (0x90, b"\x77\x77\0\1"),
    "unsuback-never-asked-for": (0xB0, b"\x77\x77\0\0"),
    "pingresp-never-asked-for": (0xD0, b""),
    "pubrel-of-an-earlier-life": (0x62, b"\0\x05"),
    "alias-without-a-topic": (0x32, b"\0\0\0\x07\x03\x23\0\x01x"),
    "topic-that-is-no-text": (0x32, b"\0\2\xff\xfe\0\x07\0x"),
    "empty-topic": (0x32, b"\0\0\0\x07\0x"),
    "user-properties": (0x32, A + b"\0\x07\x07\x26\0\1k\0\1vx"),
    "a-property-that-is-none": (0x32, A + b"\0\x07\x02\x63\x63x"),
}


@pytest.mark.parametrize(("head", "body"), ALLOWED.values(), ids=ALLOWED)
def test_what_is_harmless_costs_nothing(
    broker: FakeBroker, source: MqttSource, head: int, body: bytes
) -> None:
    broker.send(head, body)
    broker.publish(b"a", b"afterwards", 9)
    reader = Reader(source)
    reader.until(lambda: b"afterwards" in reader.payloads)
    broker.wait(PUBACK, 1 + (head == 0x32))
    assert source.connection.connects == 1


@pytest.mark.parametrize(
    "topic", ["$SYS/broker/uptime", "a\0b", "a/+/#", "//", " ", "\ufffe", LONG], ids=ascii
)
def test_an_odd_topic_is_a_message_like_any_other(
    broker: FakeBroker, source: MqttSource, topic: str
) -> None:
    broker.publish(topic.encode(), b"", 1)
    (message,) = Reader(source).until_count(1)
    assert (message.origin, message.payload) == (topic, b"")


def test_messages_before_we_are_let_in_cost_the_connection() -> None:
    class Eager(FakeBroker):
        def _answer(self, kind: int, body: bytes) -> None:
            if kind == CONNECT:
                self.publish(b"a", b"too early", 1)
            super()._answer(kind, body)

    with Eager() as broker:
        source = make_source(broker.url, "a", version="5")
        with pytest.raises(NotConnected, match="hung up before answering"):
            source.connect(None)
        assert len(source.connection.inbox) == 0


# --- memory and time


def test_a_megabyte_of_properties_takes_no_time(broker: FakeBroker, source: MqttSource) -> None:
    """Any publisher of MQTT 5 may send them: paho's own reading took minutes."""
    properties = b"\x26\0\0\0\0" * 200_000
    body = A + b"\0\1" + length(len(properties)) + properties + b"x"
    broker.send(0x32, body)
    assert Reader(source).until_count(1)[0].payload == b"x"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_of_a_huge_message_only_the_head_is_kept(version: str) -> None:
    """It is dropped and acknowledged: else the broker would send it again for ever."""
    head = A + b"\0\x07" + (b"\0" if version == "5" else b"")
    size, piece = 24 << 20, bytes(1 << 20)
    with FakeBroker() as broker:
        broker.old = version == "3.1.1"
        source = make_source(broker.url, "a", version=version)
        source.connect(None)
        reader = Reader(source)
        tracemalloc.start()
        broker.send_raw(b"\x32" + length(len(head) + size) + head)
        for _ in range(size // len(piece)):
            _send_while_reading(broker, piece, reader)
        broker.publish(b"a", b"small", 8)
        reader.until_count(1)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        broker.wait(PUBACK, 2)
        assert broker.mids(PUBACK, connection=1) == [7, 8]
        assert source.stats["dropped"] == {"larger than max_packet_size": 1}
        source.close()
    assert peak < 8 << 20


def _send_while_reading(
    broker: FakeBroker, data: bytes, reader: Reader, until: Callable[[], bool] | None = None
) -> None:
    def send() -> None:
        with contextlib.suppress(OSError):
            broker.send_raw(data)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        reader.until(until or (lambda: not sender.is_alive()))
    finally:
        sender.join()


def test_an_answer_that_says_it_has_256_megabytes_is_not_waited_for(
    broker: FakeBroker, source: MqttSource
) -> None:
    broker.send_raw(b"\x90\xff\xff\xff\x7f\0")
    assert "an answer of 268435455 bytes" in Reader(source).until_lost()


def test_a_broker_that_knows_no_window_is_hung_up_on(broker: FakeBroker) -> None:
    """There are only so many packet ids: more messages at once cannot be told apart."""
    source = make_source(broker.url, "a")
    source.connect(None)
    packet = b"\x32\x07" + A + b"\0\1\0x"
    reader = Reader(source, ack=False)
    with pytest.raises(NotConnected, match="more messages at once than there are packet ids"):
        _send_while_reading(broker, packet * 70_000, reader, until=lambda: False)
    assert len(reader.messages) <= 65_535


# --- limits of the broker


def test_a_keepalive_of_zero_leaves_ours_in_place() -> None:
    """A broker that wants none would else switch off the only watch on a dead connection."""
    with FakeBroker(properties=b"\x13\0\0") as broker:
        source = make_source(broker.url, "a", keepalive="1s")
        source.connect(None)
        assert "no answer to our pings" in Reader(source).until_lost()


def test_a_second_answer_to_connect_loses_no_forecast(
    broker: FakeBroker, source: MqttSource
) -> None:
    sink = make_sink(source, daemon=False)
    sink.connect()
    sink.write([Output("forecast", b"1", "a", lsn=1)])
    broker.wait(PUBLISH, 1)
    broker.send(0x20, b"\0\0\0")
    Reader(source).until_lost()
    source.connect(None)
    sink.flush(0.0)
    broker.wait(PUBLISH, 2)


def test_a_grant_that_is_missing_is_no_grant(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeBroker, "_answer", _grant_nothing)
    source = make_source(broker.url, "a")
    with pytest.raises(NotConnected, match="says nothing of the subscription 'a'"):
        source.connect(None)


def _grant_nothing(self: FakeBroker, kind: int, body: bytes) -> None:
    self.send(*((0x20, b"\0\0\0") if kind == CONNECT else (0x90, body[:2] + b"\0")))


def test_an_old_subscription_is_forgotten_before_its_name_is(
    broker: FakeBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the broker has said so, the position names it: a crash in between costs nothing."""
    monkeypatch.setattr(connection, "_OPEN_SECS", 0.3)
    broker.session_present, broker.unsubscribes = True, False
    position = '{"epoch":1,"n":0,"filters":["a","old"]}'
    source = make_source(broker.url, "a")
    with pytest.raises(NotConnected, match="did not answer"):
        source.connect(position)
    broker.unsubscribes = True
    source.connect(position)
    broker.wait(UNSUBSCRIBE, 2)
    assert "old" not in source.read(1.0).position
    source.close()


REFUSALS = {
    0x86: "check username and password",
    0x88: "tried again",
    0x89: "busy",
    0x8A: "unban",
    0x97: "limit of clients",
    0x9C: "write the other server's url",
    0x9F: "how often clients connect",
}


@pytest.mark.parametrize("code", REFUSALS, ids=hex)
def test_a_refusal_says_the_way_out(broker: FakeBroker, code: int) -> None:
    broker.answer_to_connect = code
    source = make_source(broker.url, "a")
    with pytest.raises(NotConnected, match=REFUSALS[code]):
        source.connect(None)
    broker.answer_to_connect = 0
    source.connect(None)
    assert source.ready
    source.close()


def test_a_broker_that_keeps_refusing_is_left_alone_for_a_while(broker: FakeBroker) -> None:
    broker.answer_to_connect = 0x8A
    source = make_source(broker.url, "a")
    for _ in range(5):
        with pytest.raises(NotConnected, match="unban"):
            source.connect(None)
    assert broker.count(CONNECT) == 2


def test_a_goodbye_says_the_way_out(broker: FakeBroker, source: MqttSource) -> None:
    broker.send(0xE0, b"\x9d\0")
    assert "Server moved): write the other server's url" in Reader(source).until_lost()


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestWarning")
@pytest.mark.parametrize(
    "greeting",
    [
        b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: \xff\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"\0" * 100,
        b"",
    ],
    ids=["no-value", "no-text", "not-found", "zeros", "nothing"],
)
def test_an_odd_greeting_of_a_websocket_is_no_connection(greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        source = make_source(f"ws://127.0.0.1:{listener.getsockname()[1]}", "a", version="5")
        with pytest.raises(NotConnected, match="cannot connect"):
            source.connect(None)
        thread.join()
    gc.collect()  # paho leaves a socket that did not connect to the collector: do it here
