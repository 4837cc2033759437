"""The Home Assistant sink: devices that appear by themselves, and the state of each.

It has a connection of its own, to the broker of the mqtt source named by `via` or to a url, because
a connection has one last will: when we are gone, all devices are unavailable. Forecasts and events
are not for Home Assistant: they count as delivered, and another sink publishes them for others: the
usual one, unless the configuration names one.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from importlib.metadata import version
from typing import ClassVar

import msgspec
from pydantic import BaseModel

from connectors.homeassistant.discovery import State, beginning, device, device_id, without
from connectors.homeassistant.settings import HomeAssistantSettings
from connectors.mqtt.client import Session, random_id
from connectors.mqtt.connection import MqttConnection
from connectors.mqtt.incoming import Arrival
from connectors.mqtt.outgoing import Publication
from connectors.mqtt.sink import MqttSink
from connectors.mqtt.source import MqttSource
from connectors.mqtt.subscribing import listen
from streamlnn.pipeline.contract import Context, Output

log = logging.getLogger("streamlnn.homeassistant")

_ONLINE = b"online"
LISTEN_SECS = 1.0
"""For so long after a connect the broker tells what it has retained of our devices."""


class _Known(msgspec.Struct):
    """A discovery message of before, as far as we want to know it."""

    components: dict[str, dict[str, object]] = {}


class HomeAssistantSink(MqttSink):
    """Makes a device of every stream and keeps its state up to date.

    A device is announced when its stream is first heard of, again when Home Assistant says that it
    has started, and after every connect. What an earlier configuration announced and this one does
    not, a horizon that is no more, is taken away.
    """

    Settings: ClassVar[type[BaseModel]] = HomeAssistantSettings
    without_forecasts: ClassVar[bool] = True
    settings: HomeAssistantSettings

    def __init__(self, settings: HomeAssistantSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._instance = context.instance
        self._status = f"{settings.prefix}/status"
        self._devices = f"{settings.prefix}/device/{beginning(context.instance)}"
        self._states: dict[str, bytes] = {}
        self._announced: dict[str, State] = {}
        self._before: dict[str, dict[str, str]] = {}
        self._wait_until = 0.0
        self._hide(self._devices, context)

    def connect(self) -> None:
        """Connect, and ask what is known of our devices. Raises `NotConnected`."""
        super().connect()
        self._announced.clear()
        self._wait_until = time.monotonic() + LISTEN_SECS
        refused = listen(self.connection, [self._status, f"{self.settings.prefix}/device/+/config"])
        if refused:
            log.warning(
                "homeassistant sink %r may not read %s: when Home Assistant starts anew, its "
                "devices wait for what the broker has retained; let this user read %s/#",
                self.id,
                ", ".join(refused),
                self.settings.prefix,
            )

    def flush(self, timeout: float) -> int:
        """Drive the connection, as an mqtt sink's; announce what is to be announced."""
        delivered = super().flush(timeout)
        inbox = self.connection.inbox
        while inbox:
            self._hear(inbox.popleft())
        if self._states and time.monotonic() >= self._wait_until:
            self._tell_states()
        return delivered

    def _prefix(self, context: Context) -> str:
        return f"{super()._prefix(context)}homeassistant/"

    @property
    def _shares(self) -> bool:
        return False

    def _connection(self, context: Context) -> MqttConnection:
        source = context.connections.get(self.settings.via)
        if self.settings.via and not isinstance(source, MqttSource):
            return self._shared(context)  # tells that there is no such source
        broker = source.settings if isinstance(source, MqttSource) else self.settings
        own = self.settings.client_id or f"{context.instance}-{self.id}-sink"
        session = Session(own if context.daemon else random_id())
        return MqttConnection(broker, f"homeassistant sink {self.id!r}", session, context.clock)

    def _take(self, output: Output) -> None:
        if output.lsn is not None:
            self._queue(Publication("", b"", done=True), durable=True)
        elif output.kind == "status":
            self._tell(self._publication(output))
        elif output.kind == "state":
            self._states[output.stream] = output.payload

    def _hear(self, arrival: Arrival) -> None:
        topic, payload = arrival.topic or "", arrival.payload or b""
        if topic == self._status and payload == _ONLINE and not arrival.retained:
            log.info("homeassistant sink %r: Home Assistant has started", self.id)
            self._announce_again()
        elif arrival.retained and topic.startswith(self._devices) and payload:
            self._note_before(topic, payload)

    def _announce_again(self) -> None:
        for known in list(self._newest.values()):
            if known.topic.startswith(self._devices):
                self._renew(replace(known, sent=False, done=False, refusal=""))
        self._send()

    def _note_before(self, topic: str, payload: bytes) -> None:
        try:
            known = msgspec.json.decode(payload, type=_Known).components
        except msgspec.DecodeError:
            return  # nobody but us writes there, and it is about to be overwritten
        self._before[topic] = {name: str(one.get("platform")) for name, one in known.items()}

    def _tell_states(self) -> None:
        states, self._states = self._states, {}
        for stream, payload in states.items():
            made = self._publication(Output("state", payload, stream))
            if not made.done:
                self._announce_device(msgspec.json.decode(payload, type=State), made.topic)
            self._tell(made)
        self._send()

    def _announce_device(self, state: State, state_topic: str) -> None:
        if self._announced.get(state.stream) == state:
            return
        self._announced[state.stream] = state
        own = device_id(self._instance, state.stream)
        topic = f"{self.settings.prefix}/device/{own}/config"
        told = device(
            state,
            self._instance,
            version("streamlnn"),
            status_topic=f"{self.prefix}status",
            state_topic=state_topic,
        )
        new = told["components"]
        gone = without(self._before.pop(topic, {}), new)
        if gone:
            payload = msgspec.json.encode({**told, "components": {**new, **gone}})
            self._queue(Publication(topic, payload, 1, retain=True), durable=False)
        self._before[topic] = {name: one["platform"] for name, one in new.items()}
        self._renew(Publication(topic, msgspec.json.encode(told), 1, retain=True))
