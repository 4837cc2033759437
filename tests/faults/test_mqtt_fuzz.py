"""Row: hostile packets, by mutation of a recorded session.

Injected: every packet that a broker sends in an ordinary session, with bytes flipped, cut out, put
in, doubled, and with a length that is wrong; some in the middle of a session, some as the answers
to CONNECT and SUBSCRIBE. Seeded. What must hold: nothing but `NotConnected` comes out of the
connector, and after each connection the next one works.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

import pytest
from fake_broker import CONNECT, PUBLISH, SUBSCRIBE, FakeBroker, length
from mqtt_tools import make_sink, make_source

from connectors.mqtt import MqttSource, connection, rivals
from streamlnn.pipeline.contract import NotConnected, Output

PACKETS_A_CONNECTION = 5
MARK = b"the end of what was mutated"


def recorded(version: str) -> list[bytes]:
    """What a broker says in a session of ours."""
    fresh = version == "5"
    no_properties = b"\0" if fresh else b""
    user = b"\x26\0\1k\0\1v" if fresh else b""
    properties = bytes([len(user)]) + user if fresh else b""
    return [
        _packet(0x20, b"\0\0" + (b"\x0b\x21\0\x14\x13\0\x1e\x27\0\x10\0\0" if fresh else b"")),
        _packet(0x90, b"\0\1" + no_properties + b"\1"),
        _packet(0xB0, b"\0\2" + no_properties + no_properties),
        _packet(0x32, b"\0\1a\0\7" + no_properties + b'{"t": 5, "v": 1.5}'),
        _packet(0x31, b"\0\3a/b" + properties + b"7"),
        _packet(0x3A, b"\0\1a" + struct.pack("!H", 65_535) + properties + bytes(300)),
        _packet(0x40, b"\0\3"),
        _packet(0x40, b"\0\4\x87\0" if fresh else b"\0\4"),
        _packet(0x50, b"\0\3"),
        _packet(0x62, b"\0\3"),
        _packet(0x70, b"\0\3"),
        _packet(0xD0, b""),
        _packet(0xE0, b"\x8b\x05\x1f\0\2no"),
        _packet(0xF0, b"\x18\0"),
    ]


def _packet(head: int, body: bytes) -> bytes:
    return bytes([head]) + length(len(body)) + body


def mutated(packet: bytes, chance: random.Random) -> bytes:
    data = bytearray(packet)
    for _ in range(chance.choice([1, 1, 2, 4])):
        at = chance.randrange(len(data)) if data else 0
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at : at + 1] = bytes([(data[at] if data else 0) ^ 1 << chance.randrange(8)])
            case 2:
                del data[at : at + chance.randint(1, 4)]
            case 3:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case 4:
                data[at:at] = data[at : at + chance.randint(1, 20)]
            case 5:
                data[1:2] = length(chance.choice([0, 1, 2, 5, 127, 128, 70_000, 268_435_455]))
    return bytes(data)


class Fuzzing(FakeBroker):
    """Sends mutated packets after a subscription or a publication, then hangs up.

    Now and then it answers CONNECT or SUBSCRIBE with one.
    """

    def __init__(self, version: str, seed: int) -> None:
        self.chance = random.Random(seed)
        self.recorded = recorded(version)
        self.sent = 0
        self.bad_answer = self.last = 0
        super().__init__()
        self.old = version != "5"

    def _answer(self, kind: int, body: bytes) -> None:
        if kind == CONNECT:
            self.bad_answer = self.chance.choice([CONNECT, SUBSCRIBE, *[0] * 8])
            self.last = self.chance.choice([SUBSCRIBE, PUBLISH, PUBLISH])
        if kind == self.bad_answer:
            self._say(1)
            self.hang_up()
            self.last = 0
        else:
            super()._answer(kind, body)
        if kind == self.last:
            self._say(PACKETS_A_CONNECTION)
            self.hang_up()

    def _say(self, count: int) -> None:
        for _ in range(count):
            self.send_raw(mutated(self.chance.choice(self.recorded), self.chance))
            self.sent += 1


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never rest: the broker means no harm, it only looks like that."""
    monkeypatch.setattr(rivals, "_REST_SECS", 0.0)
    monkeypatch.setattr(rivals, "_KICKS_A_MINUTE", 10_000)
    monkeypatch.setattr(connection, "_OPEN_SECS", 1.0)
    monkeypatch.setattr("connectors.mqtt.restraint._FIRST_REST_SECS", 0.0)


def live_through(source: MqttSource) -> None:
    """Connect, publish and read until the broker has had enough."""
    sink = make_sink(source, daemon=False)
    try:
        source.connect(None)
        sink.connect()
        sink.write([Output("forecast", b"{}", "a", lsn=1), Output("state", b"{}", "a")])
        while True:
            batch = source.read(1.0)
            if batch is not None:
                source.ack(batch.position)
            sink.flush(0.0)
    except NotConnected:
        return


def fuzz(version: str, packets: int, seed: int) -> Iterator[int]:
    with Fuzzing(version, seed) as broker:
        source = make_source(broker.url, "a", version=version, keepalive="5s")
        while broker.sent < packets:
            live_through(source)
            yield len(source.connection.inbox)
    with FakeBroker() as broker:
        broker.old = version != "5"
        source.connection.settings = make_source(broker.url, "a", version=version).settings
        source.connect(None)
        broker.publish(b"a", MARK, 1)
        while MARK not in [one.payload for one in (source.read(5.0) or none()).messages]:
            pass
        source.close()


def none():  # type: ignore[no-untyped-def]
    raise AssertionError("the message that was sound did not come")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_thousands_of_mutated_packets(version: str) -> None:
    assert max(fuzz(version, packets=3_000, seed=1)) < 1000


@pytest.mark.soak
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("version", ["5", "3.1.1"])
@pytest.mark.parametrize("seed", range(2, 7))
def test_a_hundred_thousand_mutated_packets(version: str, seed: int) -> None:
    assert max(fuzz(version, packets=10_000, seed=seed)) < 1000
