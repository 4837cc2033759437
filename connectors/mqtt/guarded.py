"""paho's client, made to bear a broker that breaks the rules, or that anybody may publish to.

What paho 2.2 does by itself: it reads a packet of up to 256 MB whatever we asked for, keeps
messages of QoS 2 without a bound, takes a second CONNACK for a new session, stops watching a
connection when the broker asks for a keepalive of 0, notices a dead peer only after twice the
keepalive, and reads as many packets at a time as publications are under way. Its private methods
are used here and nowhere else; the tests of hostile packets fail if another version of paho does
without them.
"""

from __future__ import annotations

import select
from collections.abc import Callable
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion

from connectors.mqtt.incoming import HEAD_BYTES, Publish, parse_publish

_CONNACK, _PUBLISH = 2, 3
_CHUNK = 65_536
_LONGEST_ANSWER = 16_384  # of any packet but PUBLISH; a hundredth of it is usual
_PACKET_IDS = 65_535
_LONGEST_FRAME = 16 << 20  # of a websocket; paho keeps a frame until it is complete


def _ignore(publish: Publish) -> None:
    del publish


class GuardedClient(paho.Client):
    """A client that hands each PUBLISH to `on_arrival` and hangs up on what is not allowed.

    Of a packet larger than `most_bytes` only the head is kept, so that it can be acknowledged.
    `complaint` says what the broker did wrong, "" when it is not known.
    """

    def __init__(self, *args: Any, most_bytes: int, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.on_arrival: Callable[[Publish], None] = _ignore
        self.complaint = ""
        self._most_bytes = most_bytes
        self._unacknowledged = 0

    def wait(self, timeout: float) -> bool:
        """Return whether there is something to read, after at most `timeout` seconds."""
        sock: Any = self.socket()
        if getattr(sock, "pending", int)() > 0:  # decrypted already, so the socket looks idle
            return True
        poller = select.poll()
        poller.register(sock, select.POLLIN | (select.POLLOUT if self.want_write() else 0))
        return any(event & ~select.POLLOUT for _, event in poller.poll(max(timeout, 0.0) * 1000))

    def read(self, packets: int, is_enough: Callable[[], bool]) -> None:
        """Read up to `packets`, fewer when the socket is empty or `is_enough()` after one."""
        for _ in range(packets):
            done = self._packet_read()
            if done > 0:
                self._loop_rc_handle(done)
            if done != MQTTErrorCode.MQTT_ERR_SUCCESS or self.socket() is None or is_enough():
                return

    def ack(self, mid: int, qos: int) -> MQTTErrorCode:
        """Acknowledge a message, which makes room for another."""
        self._unacknowledged -= 1
        return super().ack(mid, qos)

    def _sock_recv(self, bufsize: int) -> bytes:
        self._bound_packet()
        self._bound_frame()
        data = super()._sock_recv(min(bufsize, _CHUNK))
        if data:
            self._ping_t = 0.0  # whoever talks is alive: the answer may wait behind much else
        return data

    def _bound_packet(self) -> None:
        packet = self._in_packet
        length = packet["remaining_length"] if packet["have_remaining"] else 0
        if packet["command"] >> 4 != _PUBLISH and length > _LONGEST_ANSWER:
            self.complaint = f"it sent an answer of {length} bytes"
            raise ConnectionAbortedError(self.complaint)
        if length > self._most_bytes:
            del packet["packet"][HEAD_BYTES:]

    def _bound_frame(self) -> None:
        if len(getattr(self._sock, "_readbuffer", b"")) > self._most_bytes + _LONGEST_FRAME:
            raise ConnectionAbortedError("a websocket frame without an end")

    def _packet_handle(self) -> MQTTErrorCode:
        is_answer_to_connect = self._in_packet["command"] >> 4 == _CONNACK
        if is_answer_to_connect == self.is_connected():
            return self._hang_up("it began to talk before it let us in, or let us in twice")
        return super()._packet_handle()

    def _handle_connack(self) -> MQTTErrorCode:
        ours = self._keepalive
        done = super()._handle_connack()
        # Half of it to be quiet, half of it to wait for the answer to a ping.
        self._keepalive = min(ours, self._keepalive or ours) / 2  # type: ignore[assignment]
        return done

    def _handle_publish(self) -> MQTTErrorCode:
        packet = self._in_packet
        try:
            publish = parse_publish(
                packet["command"],
                packet["packet"],
                fresh=self._protocol == MQTTProtocolVersion.MQTTv5,
                head_only=packet["remaining_length"] > self._most_bytes,
            )
        except ValueError as error:
            return self._hang_up(f"it sent {error}")
        self._unacknowledged += bool(publish.mid)
        if self._unacknowledged > _PACKET_IDS:
            return self._hang_up("it sent more messages at once than there are packet ids")
        self.on_arrival(publish)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _hang_up(self, complaint: str) -> MQTTErrorCode:
        self.complaint = complaint
        return MQTTErrorCode.MQTT_ERR_PROTOCOL
