"""A sensor falls silent on a real broker: told, shown, and over when it speaks again."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jsonschema
from brokers import Broker, Collector, free_port, wait_until
from daemons import running

from streamlnn.pipeline.messages import schema

CONFIG = """
[daemon]
instance = "plant1"
data_dir = "{data_dir}"

[http]
listen = "127.0.0.1:{http}"

[[source]]
kind = "mqtt"
id = "plant"
url = "{url}"

[[stream]]
from = "plant"
topic = "sensors/{{device}}"
id = "{{device}}"
every = "200ms"
horizons = [1]

[[sink]]
kind = "mqtt"
via = "plant"

[model]
units = 20
"""


@contextmanager
def speaking(broker: Broker, device: str) -> Iterator[None]:
    """A sensor that sends five values a second, over connections of its own."""
    silent = threading.Event()

    def speak() -> None:
        while not silent.wait(0.2):
            broker.publish(f"sensors/{device}", "1.5")

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        silent.set()
        thread.join()


def stale(collector: Collector) -> list[dict[str, Any]]:
    """What was told of the quiet sensor; on a busy machine the loud one may falter, too."""
    events = [json.loads(one.payload) for one in collector.messages if "quiet/event" in one.topic]
    return [event for event in events if event["type"] == "stale"]


def api(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
        return str(answer.read().decode())


def state(broker: Broker, device: str) -> dict[str, Any]:
    """What the broker retains of a stream's state."""
    with broker.collect(f"streamlnn/plant1/stream/{device}/state") as retained:
        [told, *_] = retained.wait(1)
    found: dict[str, Any] = json.loads(told.payload)
    return found


def listed_as_stale(broker: Broker) -> list[str]:
    """Which streams the broker's retained list calls stale."""
    with broker.collect("streamlnn/plant1/streams") as retained:
        [told, *_] = retained.wait(1)
    return [one["id"] for one in json.loads(told.payload)["streams"] if one["stale"]]


def test_a_silent_sensor_is_told_by_event_state_api_and_metrics(
    tmp_path: Path, broker: Broker
) -> None:
    http, config = free_port(), tmp_path / "config.toml"
    config.write_text(CONFIG.format(data_dir=tmp_path / "data", http=http, url=broker.url))
    with (
        broker.collect("streamlnn/plant1/stream/+/event") as events,
        running(config, http),
        speaking(broker, "loud"),
    ):
        broker.publish("sensors/quiet", "1.0")
        wait_until(lambda: bool(stale(events)), "the silence to be told")
        [start] = stale(events)
        jsonschema.validate(start, schema("event"))
        assert (start["stream"], start["phase"], start["severity"]) == ("quiet", "start", "warning")
        wait_until(lambda: bool(state(broker, "quiet")["stale"]), "the state to say so")
        wait_until(lambda: listed_as_stale(broker) == ["quiet"], "the list of streams to say so")
        assert state(broker, "loud")["stale"] is False
        listed = json.loads(api(http, "/api/v1/streams"))["streams"]
        assert {one["stream"]: one["stale"] for one in listed} == {"loud": False, "quiet": True}
        assert json.loads(api(http, "/api/v1/streams/quiet"))["stale"] is True
        assert "streamlnn_streams_stale 1.0" in api(http, "/metrics")
        broker.publish("sensors/quiet", "1.0")
        wait_until(lambda: len(stale(events)) == 2, "the end to be told")
        end = stale(events)[1]
        assert (end["id"], end["phase"], end["since"]) == (start["id"], "end", start["since"])
        wait_until(lambda: not state(broker, "quiet")["stale"], "the state to say so")


def test_a_lost_broker_makes_no_sensor_stale_and_a_restart_tells_nothing_twice(
    tmp_path: Path, broker: Broker
) -> None:
    """Away for longer than the silence that would be told; the sensors come back with it."""
    http, config = free_port(), tmp_path / "config.toml"
    config.write_text(CONFIG.format(data_dir=tmp_path / "data", http=http, url=broker.url))
    with running(config, http) as daemon:
        broker.publish("sensors/quiet", "1.0")
        wait_until(lambda: "quiet" in api(http, "/api/v1/streams"), "the first forecast")
        broker.stop()
        wait_until(lambda: daemon.has_said("trying again"), "the loss to be noticed")
        threading.Event().wait(7)
        broker.start()
        broker.publish("sensors/quiet", "1.0")
        daemon.wait_ready(http)
        assert "streamlnn_streams_stale 0.0" in api(http, "/metrics")
        with broker.collect("streamlnn/plant1/stream/+/event") as events:
            wait_until(lambda: bool(stale(events)), "the real silence to be told")
            assert daemon.stop() == 0
            with running(config, http):
                wait_until(
                    lambda: "streamlnn_streams_stale 1.0" in api(http, "/metrics"),
                    "what was stale to be so after the restart",
                )
                threading.Event().wait(6)
            assert len(stale(events)) == 1
