"""Reading a PUBLISH ourselves gives what paho's own reading gives, or less where that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion

from connectors.mqtt import packets
from connectors.mqtt.incoming import Arrival, Inbox
from connectors.mqtt.outgoing import Outgoing, Publication
from connectors.mqtt.wire import Wire

VERSIONS = {True: MQTTProtocolVersion.MQTTv5, False: MQTTProtocolVersion.MQTTv311}


@given(
    command=st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x3A]),
    topic=st.binary(min_size=1, max_size=5),
    mid=st.integers(1, 65_535),
    words=st.lists(st.text("ab", max_size=40), max_size=5),
    payload=st.binary(max_size=20),
    fresh=st.booleans(),
)
def test_what_paho_can_read_is_read_alike(command, topic, mid, words, payload, fresh) -> None:
    properties = b"".join(b"\x26\0\1k" + _string(word.encode()) for word in words)
    body = _string(topic) + (mid.to_bytes(2, "big") if command & 2 else b"")
    body += (_number(len(properties)) + properties if fresh else b"") + payload
    theirs = _packet.decode_publish(command, body, VERSIONS[fresh])
    ours = packets.read_publish(command, body, fresh=fresh)
    assert ours == (theirs.topic, theirs.mid, theirs.payload, theirs.retain)


@given(command=st.integers(0x30, 0x3F), body=st.binary(max_size=12), fresh=st.booleans())
def test_of_any_bytes_it_reads_them_or_says_what_is_wrong(command, body, fresh) -> None:
    try:
        packets.read_publish(command, body, fresh=fresh)
    except packets.Malformed:
        return
    if not fresh and body[:2] != b"\0\0":  # paho also looks at properties, and for a topic
        _packet.decode_publish(command, body, VERSIONS[fresh])


@pytest.mark.parametrize("digits", [b"\x80", b"\xff\xff\xff\xff\x01", b"\x05abcd"])
def test_properties_that_do_not_end_are_refused(digits: bytes) -> None:
    with pytest.raises(packets.Malformed, match=r"properties|length"):
        packets.read_publish(0x30, b"\0\1a" + digits, fresh=True)


def test_an_inbox_counts_what_it_holds_and_what_found_no_room() -> None:
    inbox = Inbox()
    for _ in range(65_537):
        inbox.add(Arrival(1, 0, "a", b"xx", False, 0))
    assert (len(inbox), inbox.overflows, inbox.bytes) == (65_536, 1, 131_072)
    inbox.add(Arrival(1, 5, "a", b"kept: it can be acknowledged", False, 0))
    assert (len(inbox), inbox.overflows) == (65_537, 1)
    while inbox:
        last = inbox.popleft()
    assert (last.mid, inbox.bytes) == (5, 0)


def test_what_we_write_paho_reads_as_it_was_meant() -> None:
    identity = {"stream": "north/pump \u00fc", "seq": "7"}
    properties = packets.user_properties(identity)
    packet = packets.publish("a/\u00e4", b"x" * 300, 1, True, 40_000, properties)
    size, start = packets.length(packet, 1) or (0, 0)
    assert size == len(packet) - start
    theirs = _packet.decode_publish(packet[0], packet[start:], VERSIONS[True])
    assert (theirs.topic.decode(), theirs.mid, theirs.qos) == ("a/\u00e4", 40_000, 1)
    assert (theirs.payload, theirs.retain) == (b"x" * 300, True)
    assert dict(theirs.properties.UserProperty) == identity


class Socket:
    """Gives what it was given, in pieces; takes as much as it has room for."""

    def __init__(self, *pieces: bytes, room: int = 10**9) -> None:
        self.pieces = list(pieces)
        self.room = room
        self.sent = b""

    def recv(self, size: int) -> bytes:
        if not self.pieces:
            raise BlockingIOError
        piece = self.pieces.pop(0)
        self.pieces[:0] = [piece[size:]] if piece[size:] else []
        return piece[:size]

    def send(self, data: bytes) -> int:
        if not self.room:
            raise BlockingIOError
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.sent += taken
        return len(taken)


@given(
    sizes=st.lists(st.integers(0, 400), max_size=12), cuts=st.lists(st.integers(1, 90), max_size=90)
)
def test_packets_are_the_same_however_the_bytes_come(sizes: list[int], cuts: list[int]) -> None:
    """Those above the limit are let go by, and only begin."""
    stream = b"".join(
        packets.publish("t", bytes([n]) * size, 1, False, n + 1, b"")
        for n, size in enumerate(sizes)
    )
    pieces = []
    for cut in cuts:
        pieces.append(stream[:cut])
        stream = stream[cut:]
    wire = Wire(Socket(*[piece for piece in [*pieces, stream] if piece]), limit=200)
    found = []
    while (packet := wire.next()) is not None:
        found.append(packet)
    assert not wire.ready
    told = [packets.read_publish(one.head, one.body, fresh=False) for one in found]
    assert [one.mid for one in told] == list(range(1, len(sizes) + 1))
    assert [one.whole for one in found] == [size + 5 <= 200 for size in sizes]
    whole = [(one.payload, size) for one, size in zip(told, sizes, strict=True) if size + 5 <= 200]
    assert all(len(payload) == size for payload, size in whole)


@pytest.mark.parametrize("garbage", [b"\x32\xff\xff\xff\xff", b"\x90\xff\xff\x03"])
def test_what_can_be_no_packet_is_told_by_reading_and_never_by_looking(garbage: bytes) -> None:
    """It may stand behind a packet that was read, in a turn that ended there."""
    wire = Wire(Socket(packets.puback(7) + garbage), limit=1000)
    assert wire.next() is not None
    assert wire.ready
    with pytest.raises(packets.Malformed):
        wire.next()


def test_of_a_huge_message_no_more_is_kept_than_its_head() -> None:
    head = b"\x32" + packets.in_digits(200_000_000) + _string(b"t") + b"\0\7"
    wire = Wire(Socket(head, *[bytes(60_000)] * 100), limit=1000)
    assert wire.next() is None
    assert len(wire._received) + len(wire._large.beginning) < 200_000


def test_what_the_system_has_no_room_for_is_sent_later_in_order() -> None:
    sock = Socket(room=10)
    wire, outgoing = Wire(sock, limit=1000), Outgoing()
    outgoing.begin(None)
    for n in range(5):
        outgoing.add(Publication("t", b"%d" % n, 1))
    outgoing.pump(wire, fresh=True)
    wire.flush()
    assert wire.wants_write
    sock.room = 10**6
    wire.flush()
    assert not wire.wants_write
    assert [sock.sent[at + 8 : at + 9] for at in range(0, len(sock.sent), 9)] == [
        b"0",
        b"1",
        b"2",
        b"3",
        b"4",
    ]


def _string(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _number(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80, n >> 7])
