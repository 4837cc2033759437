"""A real mosquitto on a free loopback port, and the other side of a conversation with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

DEADLINE_SECS = 20.0


def find_mosquitto() -> str | None:
    """The path of the broker's program, which Debian keeps outside an ordinary user's PATH."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections on a TCP port of loopback."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_until(condition: Callable[[], bool], what: str, secs: float = DEADLINE_SECS) -> None:
    """Return as soon as `condition()` holds; fail, naming `what`, after `secs`."""
    deadline = time.monotonic() + secs
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {secs:g} s in vain for {what}")
        time.sleep(0.005)


class Broker:
    """One mosquitto process; `lines` are added to its configuration.

    `port` and `url` stay the same over `stop`, `kill` and `start`. Files of the broker lie in
    `folder`. `login` is the (user, password) that `publish` and `collect` use.
    """

    def __init__(self, folder: Path, *lines: str, anonymous: bool = True) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.lines = list(lines)
        self.anonymous = anonymous
        self.login: tuple[str, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Run it, and return once it accepts connections."""
        program = find_mosquitto()
        assert program, "mosquitto is not installed"
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join([*self._base_config(), *self.lines, ""]))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
        wait_until(self._is_up, "mosquitto to listen")
        return self

    def stop(self) -> None:
        """End it as a service manager would (SIGTERM)."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._end(lambda process: process.kill())

    def freeze(self) -> None:
        """Stop it in its tracks: its connections stand, and nothing answers (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on after `freeze` (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def reread(self) -> None:
        """Let it look at its files of users again (SIGHUP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def restart(self) -> Self:
        """Stop it and start it again on the same port."""
        self.stop()
        return self.start()

    @property
    def log(self) -> Path:
        """What the broker had to say."""
        return self.folder / "mosquitto.log"

    def publish(self, topic: str, payload: bytes | str, qos: int = 1, retain: bool = False) -> None:
        """Publish one message, and return once the broker has confirmed it."""
        self.publish_all([(topic, payload)], qos, retain)

    def publish_all(
        self, messages: Iterable[tuple[str, bytes | str]], qos: int = 1, retain: bool = False
    ) -> None:
        """Publish messages in order, and return once the broker has confirmed them all."""
        with _client(self) as client:
            infos = [client.publish(*message, qos, retain) for message in messages]
            for info in infos:
                info.wait_for_publish(DEADLINE_SECS)
                assert info.is_published(), "the broker did not confirm a message"

    def collect(self, topic_filter: str, qos: int = 1) -> Collector:
        """Subscribe, and return a collector of what comes once the broker has confirmed it."""
        return Collector(self, topic_filter, qos)

    def _base_config(self) -> list[str]:
        lines = [f"listener {self.port} 127.0.0.1", "log_type all", "set_tcp_nodelay true"]
        lines.append(f"allow_anonymous {str(self.anonymous).lower()}")
        lines.append(f"persistence_location {self.folder}/")
        return ["user root", *lines] if os.geteuid() == 0 else lines

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"mosquitto ended: {self.log.read_text()}"
        return listens(self.port)

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        if self._process is not None:
            how(self._process)
            self._process.wait(DEADLINE_SECS)
            self._process = None


MakeBroker = Callable[..., Broker]
"""The fixture `make_broker`."""


class Collector:
    """Keeps every message that comes, in order; closes as a context manager, or by `close`."""

    def __init__(self, broker: Broker, topic_filter: str, qos: int) -> None:
        self.messages: list[mqtt.MQTTMessage] = []
        self._news = threading.Condition()
        self._context = _client(broker)
        self._client = self._context.__enter__()
        self._client.on_message = self._keep
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.subscribe(topic_filter, qos)
        assert subscribed.wait(DEADLINE_SECS), "the broker did not confirm the subscription"

    def wait(self, n: int, timeout: float = DEADLINE_SECS) -> list[mqtt.MQTTMessage]:
        """Return the messages once there are `n` of them; fail after `timeout` seconds."""
        with self._news:
            arrived = self._news.wait_for(lambda: len(self.messages) >= n, timeout)
            assert arrived, f"{len(self.messages)} of {n} messages came within {timeout:g} s"
            return list(self.messages)

    def close(self) -> None:
        """Disconnect."""
        self._context.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _keep(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._news:
            self.messages.append(message)
            self._news.notify_all()


@contextlib.contextmanager
def _client(broker: Broker) -> Iterator[mqtt.Client]:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    if broker.login:
        client.username_pw_set(*broker.login)
    connected = threading.Event()
    client.on_connect = lambda *_: connected.set()
    properties = Properties(PacketTypes.CONNECT)
    properties.ReceiveMaximum = 65_535  # else a broker drops what exceeds its queue of 1,000
    client.connect("127.0.0.1", broker.port, properties=properties)
    client.loop_start()
    try:
        assert connected.wait(DEADLINE_SECS), "the broker did not answer"
        yield client
    finally:
        client.disconnect()
        client.loop_stop()
