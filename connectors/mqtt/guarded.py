"""paho's client, made to notice in time that the other side is gone.

paho 2.2 by itself stops watching a connection when the broker asks for a keepalive of 0, notices a
dead peer only after twice the keepalive, and takes a peer that sends much for a dead one when the
answer to a ping stands behind it. Its private names are used here and in `client.dial`, and nowhere
else; the tests of networks that stand still fail if another version of paho does without them.
"""

from __future__ import annotations

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode


class GuardedClient(paho.Client):
    """A client whose `loop_misc` gives up on a silent broker after one keepalive."""

    def hear(self) -> None:
        """Note that the broker has sent something: who talks is alive."""
        self._ping_t = 0.0

    def _handle_connack(self) -> MQTTErrorCode:
        ours = self._keepalive
        done = super()._handle_connack()
        # Half of it to be quiet, half of it to wait for the answer to a ping.
        self._keepalive = min(ours, self._keepalive or ours) / 2  # type: ignore[assignment]
        return done
