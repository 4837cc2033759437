"""A client beside the daemon, for questions to the broker: its own id, its own session."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Self

import paho.mqtt.client as paho
from paho.mqtt.client import ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.mqtt.client import equip, properties, random_id
from connectors.mqtt.explain import UNSUPPORTED_VERSION, why_not_reached, why_refused
from connectors.mqtt.settings import BrokerSettings
from streamlnn.pipeline.contract import NotConnected

_REACH_SECS = 3.0
_ANSWER_SECS = 5.0
_LOOK_EVERY = 500
_RETAINED_SECS = 60


class Guest:
    """One connection, driven by a thread of its own; a context manager.

    The session lives `keep_secs` after the end; with 0 it is gone at once, and so is one of that
    `client_id` from before. `heard` is what came, in order. While `holds`, nothing is
    acknowledged. Everything raises `NotConnected` once the connection is lost.
    """

    def __init__(
        self,
        settings: BrokerSettings,
        *,
        client_id: str = "",
        keep_secs: float = 0.0,
        receive_maximum: int = 65_535,
        holds: bool = False,
    ) -> None:
        self.heard: list[paho.MQTTMessage] = []
        self.granted = Properties(PacketTypes.CONNACK)  # type: ignore[no-untyped-call]
        self.version = ""
        self._settings = settings
        self._id = client_id or random_id()
        self._keep_secs = keep_secs
        self._receive_maximum = receive_maximum
        self._holds = holds
        self._news = threading.Condition()
        self._answers: dict[int, ReasonCode] = {}
        self._connack: ReasonCode | None = None
        self._gone = False

    def __enter__(self) -> Self:
        wanted = ("5", "3.1.1") if self._settings.version == "auto" else (self._settings.version,)
        for version in wanted:
            self._dial(version)
            if self._await(lambda: self._gone or self._connack is not None) and self._accepted:
                return self
            self.close()
            if self._connack is not None and self._connack.value != UNSUPPORTED_VERSION:
                break
        said = why_refused(self._connack) if self._connack else "it is there, and gives no answer"
        raise NotConnected(f"{self._settings.url}: {said}")

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say goodbye, and wait until that is said."""
        self._client.disconnect()
        self._client.loop_stop()

    def subscribe(self, topic: str) -> str:
        """Subscribe at QoS 1, retained messages wanted; return why not, or ""."""
        if self.version == "5":
            _, mid = self._client.subscribe(topic, options=SubscribeOptions(1))
        else:
            _, mid = self._client.subscribe(topic, 1)
        return self._refusal(mid)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> str:
        """Publish at QoS 1; return why the broker would not have it, or "".

        What is retained expires, where the broker can do that, if we do not live to take it back.
        """
        expiry = properties(PacketTypes.PUBLISH, MessageExpiryInterval=_RETAINED_SECS)
        own = expiry if retain and self.version == "5" else None
        return self._refusal(self._client.publish(topic, payload, 1, retain, own).mid)

    def publish_all(self, topic: str, payloads: Sequence[bytes], secs: float) -> int:
        """Publish all that can be confirmed within `secs`; return how many that is."""
        deadline, mids = time.monotonic() + secs, list[int]()
        for payload in payloads:
            mids.append(self._client.publish(topic, payload, 1).mid)
            if len(mids) % _LOOK_EVERY == 0:
                self._await(lambda: mids[-1] in self._answers, deadline - time.monotonic())
            if time.monotonic() > deadline:
                break
        self._await(lambda: all(mid in self._answers for mid in mids))
        return sum(mid in self._answers for mid in mids)

    def listen(self, quiet_secs: float) -> int:
        """Wait until nothing has come for `quiet_secs`; return how much has come in all."""
        count = -1
        while count < len(self.heard):
            count = len(self.heard)
            self._await(lambda: len(self.heard) > count, quiet_secs)  # noqa: B023
        return count

    def let_go(self) -> None:
        """Acknowledge what was held, and from now on all."""
        with self._news:
            self._holds = False
            for message in self.heard:
                self._client.ack(message.mid, message.qos)

    @property
    def _accepted(self) -> bool:
        return self._connack is not None and not self._connack.is_failure

    def _dial(self, version: str) -> None:
        self.version, self._connack, self._gone = version, None, False
        fresh = version == "5"
        self._client = client = self._new_client(fresh)
        asked = properties(PacketTypes.CONNECT, ReceiveMaximum=self._receive_maximum)
        if self._keep_secs:
            asked.SessionExpiryInterval = int(self._keep_secs)
        address = self._settings.address
        try:
            equip(client, self._settings)
            client.connect(
                address.host,
                address.port,
                clean_start=not self._keep_secs if fresh else paho.MQTT_CLEAN_START_FIRST_ONLY,
                properties=asked if fresh else None,
            )
        except (OSError, ValueError) as error:
            said = why_not_reached(error, address)
            raise NotConnected(f"{self._settings.url}: {said}") from error
        client.loop_start()

    def _new_client(self, fresh: bool) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            self._id,
            clean_session=None if fresh else not self._keep_secs,
            protocol=MQTTProtocolVersion.MQTTv5 if fresh else MQTTProtocolVersion.MQTTv311,
            transport=self._settings.address.transport,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _REACH_SECS
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda _client, _data, mid, reasons, _rest: self._on_answer(
            mid, reasons[0]
        )
        client.on_publish = lambda _client, _data, mid, reason, _rest: self._on_answer(mid, reason)
        client.on_message = self._on_message
        return client

    def _refusal(self, mid: int | None) -> str:
        if mid is None or not self._await(lambda: mid in self._answers):
            raise NotConnected(f"{self._settings.url}: the broker hangs up, or does not answer")
        reason = self._answers.pop(mid)
        return str(reason) if reason.is_failure else ""

    def _await(self, condition: Callable[[], bool], secs: float = _ANSWER_SECS) -> bool:
        with self._news:
            self._news.wait_for(lambda: self._gone or condition(), max(0.0, secs))
            return condition()

    # paho's callbacks, on its thread: nothing here may raise

    def _on_connect(
        self, _client: paho.Client, _data: Any, _flags: ConnectFlags, reason: ReasonCode, rest: Any
    ) -> None:
        with self._news:
            self._connack, self.granted = reason, rest or self.granted
            self._news.notify_all()

    def _on_disconnect(self, *_: Any) -> None:
        with self._news:
            self._gone = True
            self._news.notify_all()

    def _on_answer(self, mid: int, reason: ReasonCode) -> None:
        with self._news:
            self._answers[mid] = reason
            self._news.notify_all()

    def _on_message(self, client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()
            if not self._holds:
                client.ack(message.mid, message.qos)
