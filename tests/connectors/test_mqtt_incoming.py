"""Reading a PUBLISH ourselves gives what paho's own reading gives, or less where that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt import _packet
from paho.mqtt.enums import MQTTProtocolVersion

from connectors.mqtt.incoming import Arrival, Inbox, parse_publish

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
    ours = parse_publish(command, bytearray(body), fresh=fresh)
    assert ours == (theirs.topic, theirs.mid, theirs.payload, theirs.retain)


@given(command=st.integers(0x30, 0x3F), body=st.binary(max_size=12), fresh=st.booleans())
def test_of_any_bytes_it_reads_them_or_says_what_is_wrong(command, body, fresh) -> None:
    try:
        parse_publish(command, body, fresh=fresh)
    except ValueError:
        return
    if not fresh and body[:2] != b"\0\0":  # paho also looks at properties, and for a topic
        _packet.decode_publish(command, body, VERSIONS[fresh])


@pytest.mark.parametrize("digits", [b"\x80", b"\xff\xff\xff\xff\x01", b"\x05abcd"])
def test_properties_that_do_not_end_are_refused(digits: bytes) -> None:
    with pytest.raises(ValueError, match="properties"):
        parse_publish(0x30, b"\0\1a" + digits, fresh=True)


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


def _string(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def _number(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 0x7F | 0x80, n >> 7])
