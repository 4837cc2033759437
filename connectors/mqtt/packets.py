"""The two packets that come and go by the thousand: PUBLISH and PUBACK, read and written.

Everything else is paho's. It makes some 30 Python objects of each of these and sends each on its
own: docs/reliability.md has what that costs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK = 2, 3, 4
IDS = 65_535
"""So many messages of QoS 1 can wait for their acknowledgement."""
LARGEST = 268_435_455
"""Bytes behind the header of a packet, at most."""

_ANSWERS = frozenset((0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99))
_USER_PROPERTY = b"\x26"


class Malformed(Exception):  # noqa: N818 - what the packet is
    """The packet breaks the standard."""


class Published(NamedTuple):
    """A message from the broker; `mid` is 0 when it needs no acknowledgement."""

    topic: bytes
    mid: int
    payload: bytes
    retained: bool


def length(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return the number that begins at `at` and where it ends; None while it is not all there.

    Raises `Malformed` for one of more than four bytes.

    >>> length(bytes([0x80, 0x01, 9]), 0)
    (128, 2)
    """
    value = shift = 0
    for end in range(at, min(at + 4, len(data))):
        value |= (data[end] & 0x7F) << shift
        shift += 7
        if data[end] < 0x80:
            return value, end + 1
    if len(data) - at >= 4:
        raise Malformed("it sent a length of more than four bytes")
    return None


def in_digits(number: int) -> bytes:
    """Return a number as `length` reads it.

    >>> list(in_digits(128))
    [128, 1]
    """
    digits = bytearray()
    while True:
        number, digit = number >> 7, number & 0x7F
        digits.append(digit | (0x80 if number else 0))
        if not number:
            return bytes(digits)


def read_publish(head: int, body: bytes, *, fresh: bool) -> Published:
    """Read a PUBLISH packet; `fresh` is MQTT 5, whose properties are passed over.

    Raises `Malformed`.
    """
    qos = head >> 1 & 3
    topic_end = 2 + int.from_bytes(body[:2], "big")
    start = topic_end + (2 if qos else 0)
    if qos > 1:
        raise Malformed(f"it sent a message of QoS {qos}, which was not asked for")
    if start > len(body) or len(body) < 2:
        raise Malformed("it sent a message that is shorter than it says")
    mid = int.from_bytes(body[topic_end:start], "big")
    if qos and not mid:
        raise Malformed("it sent a message of QoS 1 without a packet id")
    if fresh:
        start = _behind_properties(body, start)
    return Published(body[2:topic_end], mid, body[start:], bool(head & 1))


def read_puback(body: bytes) -> tuple[int, int]:
    """Return the packet id that is answered, and the reason: 0 is yes, from 0x80 on it is no.

    Raises `Malformed`.

    >>> read_puback(bytes([0, 7])), read_puback(bytes([0, 7, 0x87]))
    ((7, 0), (7, 135))
    """
    reason = body[2] if len(body) > 2 else 0
    if len(body) < 2 or reason not in _ANSWERS:
        raise Malformed("it sent a malformed answer to a publication")
    return int.from_bytes(body[:2], "big"), reason


def puback(mid: int) -> bytes:
    """Return the acknowledgement of the message that came under `mid`."""
    return b"\x40\x02" + mid.to_bytes(2, "big")


def publish(
    topic: str, payload: bytes, qos: int, retain: bool, mid: int, properties: bytes
) -> bytes:
    """Return a PUBLISH packet; `properties` are as `user_properties` makes them, empty in 3.1.1."""
    number = mid.to_bytes(2, "big") if qos else b""
    body = b"".join((_text(topic), number, properties, payload))
    return bytes([PUBLISH << 4 | qos << 1 | retain]) + in_digits(len(body)) + body


def user_properties(pairs: Mapping[str, str]) -> bytes:
    """Return the properties field of MQTT 5 with these user properties in it.

    >>> list(user_properties({})), list(user_properties({"a": "b"}))
    ([0], [7, 38, 0, 1, 97, 0, 1, 98])
    """
    body = b"".join(_USER_PROPERTY + _text(key) + _text(pairs[key]) for key in pairs)
    return in_digits(len(body)) + body


def _behind_properties(body: bytes, start: int) -> int:
    found = length(body, start)
    if found is None or sum(found) > len(body):
        raise Malformed("it sent a message whose properties are longer than itself")
    return sum(found)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded
