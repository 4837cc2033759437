"""paho's client, made to notice in time that the other side is gone.

paho 2.2 by itself stops watching a connection when the broker asks for a keepalive of 0, notices a
dead peer only after twice the keepalive, and takes a peer that sends much for a dead one when the
answer to a ping stands behind it. It waits without end for a socket of the file system, and for a
websocket's greeting that comes letter by letter. Its private names are used here and in
`client.dial`, and nowhere else; the tests of networks that stand still fail if another version of
paho does without them.
"""

from __future__ import annotations

import contextlib
import socket
import threading

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode


class GuardedClient(paho.Client):
    """A client whose `loop_misc` gives up on a silent broker after one keepalive.

    Connecting takes `connect_timeout` at most, and the greeting as long again.
    """

    def hear(self) -> None:
        """Note that the broker has sent something: who talks is alive."""
        self._ping_t = 0.0

    def _create_unix_socket_connection(self) -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(self._connect_timeout)
        try:
            made.connect(self._host)
        except BaseException:
            made.close()
            raise
        return made

    def _create_socket(self) -> paho.SocketLike:
        with contextlib.ExitStack() as self._greeting, contextlib.ExitStack() as self._failing:
            made = super()._create_socket()
            self._failing.pop_all()
        return made

    def _create_socket_connection(self) -> socket.socket:
        made = self._failing.enter_context(super()._create_socket_connection())
        # Encryption takes the socket over: a second handle on the line stays ours.
        line = self._greeting.enter_context(made.dup())
        too_late = threading.Timer(self._connect_timeout, _hang_up, [line])
        too_late.daemon = True
        too_late.start()
        self._greeting.callback(too_late.cancel)
        return made

    def _handle_connack(self) -> MQTTErrorCode:
        ours = self._keepalive
        done = super()._handle_connack()
        # Half of it to be quiet, half of it to wait for the answer to a ping.
        self._keepalive = min(ours, self._keepalive or ours) / 2  # type: ignore[assignment]
        return done


def _hang_up(line: socket.socket) -> None:
    with contextlib.suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
