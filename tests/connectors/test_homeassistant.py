"""The Home Assistant sink: devices that appear, say what the stream says, and go when they should.

The messages are checked against the keys that Home Assistant documents for each platform, and its
templates are rendered as Home Assistant does, in Jinja's sandbox.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from brokers import Broker, wait_until
from jinja2.sandbox import ImmutableSandboxedEnvironment
from mqtt_tools import make_source

from connectors.homeassistant import HomeAssistantSink
from connectors.homeassistant.settings import HomeAssistantSettings
from streamlnn import Forecaster
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, NotConnected, Output
from streamlnn.pipeline.messages import Speaker

BASE = "streamlnn/plant1/homeassistant"
SHARED = {"name", "unique_id", "platform", "value_template", "entity_category", "device_class"}
KEYS = {
    "sensor": SHARED
    | {
        "state_class",
        "suggested_display_precision",
        "unit_of_measurement",
        "options",
        "json_attributes_topic",
        "json_attributes_template",
    },
    "binary_sensor": SHARED,
}
"""So many of the keys that each platform documents as we may use."""


def state(stream: str = "north/pump7", n: int = 60, stale: bool = False, **changes: Any) -> bytes:
    """What the daemon says of a stream after so many records."""
    asked: dict[str, Any] = {
        "clock": "samples",
        "horizons": [1, 12],
        "targets": ["flow", 'odd "{{ name }}"'],
        "units": ["l/s", ""],
    } | changes
    targets = len(asked["targets"])
    model = Forecaster([1, 12][: len(asked["horizons"])], fields=targets, units=10)
    forecast = None
    for i in range(n):
        forecast = model.step(None, np.sin(np.arange(targets) + i / 5).squeeze()[()])
    assert forecast is not None
    words = Speaker(instance="plant1", stream=stream, epoch=0, level=0.9, **asked)
    return words.state(forecast, 1_795_428_000_000_000_000, stale=stale)


def make(broker: Broker, **settings: Any) -> HomeAssistantSink:
    return HomeAssistantSink(
        HomeAssistantSettings(**{"url": broker.url} | settings), Context(instance="plant1")
    )


@pytest.fixture
def sink(broker: Broker) -> Iterator[HomeAssistantSink]:
    made = make(broker)
    made.connect()
    yield made
    made.close()


def told(broker: Broker, sink: HomeAssistantSink, *states: bytes) -> dict[str, Any]:
    """Write states, and return the newest word on every topic that then is retained."""
    sink.write([Output("status", b"online")])
    sink.write([Output("state", one, json.loads(one)["stream"]) for one in states])
    wait_until(lambda: sink.flush(0.05) >= 0 and not sink._states and not sink._outbox, "delivery")
    with broker.collect("#") as collector:
        broker.publish("end", b"")
        wait_until(lambda: any(one.topic == "end" for one in collector.messages), "the end")
        return {one.topic: one.payload for one in collector.messages if one.retain}


def devices(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    made = {topic: json.loads(payload) for topic, payload in found.items() if "/device/" in topic}
    return {topic.split("/")[2]: device for topic, device in made.items()}


def rendered(template: str, payload: bytes) -> str:
    environment = ImmutableSandboxedEnvironment()
    return environment.from_string(template).render(value_json=json.loads(payload))


def test_every_stream_is_a_device_with_documented_keys(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    [(own, device)] = devices(told(broker, sink, state())).items()
    assert re.fullmatch("[a-zA-Z0-9_-]+", own)
    assert set(device) == {
        "device",
        "origin",
        "availability",
        "availability_mode",
        "state_topic",
        "qos",
        "components",
    }
    assert device["device"]["identifiers"] == [own]
    assert set(device["origin"]) == {"name", "sw_version"}
    found = device["components"]
    assert len(found) == 2 * 2 + 2 * 2 + 2
    assert len({one["unique_id"] for one in found.values()}) == len(found)
    for one in found.values():
        assert set(one) <= KEYS[one["platform"]]
    units = [one.get("unit_of_measurement") for one in found.values() if "in " in one["name"]]
    assert units == ["l/s", "l/s", None, None]
    names = {one["name"] for one in found.values()}
    assert {"flow in 1 sample", "flow in 12 samples", "flow anomaly", "drift", "status"} <= names


def test_the_templates_read_what_the_stream_says(broker: Broker, sink: HomeAssistantSink) -> None:
    payload = state()
    found = told(broker, sink, payload)
    [device] = devices(found).values()
    assert found[device["state_topic"]] == payload
    said = json.loads(payload)
    for m, target in enumerate(said["targets"].values()):
        sensors = [one for one in device["components"].values() if "attributes" in str(one)]
        for k, sensor in enumerate(sensors[2 * m : 2 * m + 2]):
            assert float(rendered(sensor["value_template"], payload)) == target["yhat"][k]
            attributes = json.loads(rendered(sensor["json_attributes_template"], payload))
            assert attributes == {
                "lower": target["yhat_lower"][k],
                "upper": target["yhat_upper"][k],
                "level": 0.9,
                "made": "2026-11-23T10:00:00Z",
            }
    anomaly = device["components"]["flow_anomaly"]
    assert rendered(anomaly["value_template"], payload) == "OFF"
    assert rendered(device["components"]["drift"]["value_template"], payload) == "OFF"
    assert rendered(device["components"]["status"]["value_template"], payload) in {"warming", "ok"}
    unknown = state(n=1, targets=["flow"], units=["l/s"]).replace(b'"score":', b'"score":null,"_":')
    assert rendered(device["components"]["flow_score"]["value_template"], unknown) == "None"


def test_a_device_is_there_while_we_are_and_its_stream_speaks(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    found = told(broker, sink, state())
    [device] = devices(found).values()
    ours, its = device["availability"]
    assert found[ours["topic"]] == b"online"
    assert device["availability_mode"] == "all"
    assert rendered(its["value_template"], found[its["topic"]]) == "online"
    assert rendered(its["value_template"], state(stale=True)) == "offline"
    with broker.collect(ours["topic"]) as collector:
        sink.connection._wire._sock.shutdown(socket.SHUT_RDWR)
        wait_until(
            lambda: collector.messages[-1].payload == b"offline" if collector.messages else False,
            "the last will",
        )


def test_when_home_assistant_starts_its_devices_are_told_again(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    told(broker, sink, state())
    with broker.collect("homeassistant/device/#") as collector:
        collector.wait(1)
        broker.publish("homeassistant/status", b"online")
        wait_until(lambda: sink.flush(0.05) >= 0 and len(collector.messages) >= 2, "the device")
        first, second = collector.messages[:2]
    assert (first.topic, first.payload) == (second.topic, second.payload)


def test_a_horizon_that_is_no_more_is_taken_away_from_home_assistant(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    [before] = devices(told(broker, sink, state(targets=["flow"], units=[""]))).values()
    sink.close()
    again = make(broker)
    again.connect()
    with broker.collect("homeassistant/device/#") as collector:
        collector.wait(1)
        [after] = devices(
            told(broker, again, state(targets=["flow"], units=[""], horizons=[1]))
        ).values()
        _, farewell, last = [json.loads(one.payload) for one in collector.wait(3)]
    assert farewell["components"]["flow_in_12"] == {"platform": "sensor"}
    assert set(before["components"]) - set(after["components"]) == {"flow_in_12"}
    assert last == after
    again.close()


def test_forecasts_and_events_count_as_delivered_and_are_not_sent(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    outputs = [Output("forecast", b"{}", "a", n, {}) for n in range(1, 6)]
    sink.write([*outputs, Output("event", b"{}", "a", 6, {}), Output("health", b"{}")])
    assert sink.flush(1.0) == 6
    assert not told(broker, sink).keys() - {f"{BASE}/status"}


def test_streams_of_one_name_in_letters_digits_and_underscores_stay_apart(
    broker: Broker, sink: HomeAssistantSink
) -> None:
    found = devices(told(broker, sink, *(state(name) for name in ("a/b", "a_b", "a b"))))
    assert len(found) == 3
    assert sorted(device["device"]["name"] for device in found.values()) == ["a b", "a/b", "a_b"]


def test_via_a_source_it_takes_that_ones_broker_and_a_connection_of_its_own(
    broker: Broker,
) -> None:
    source = make_source(broker.url, "#")
    sink = HomeAssistantSink(
        HomeAssistantSettings(via="plant"),
        Context(instance="plant1", connections={"plant": source}),
    )
    assert sink.connection is not source.connection
    source.connect(None)
    sink.connect()
    told(broker, sink, state())
    deadline_reads = [source.read(0.1) for _ in range(5)]
    topics = [one.origin for batch in deadline_reads if batch for one in batch.messages]
    assert topics == ["end"], "it reads what we publish"
    sink.close()
    source.close()


def test_a_via_that_is_no_mqtt_source_is_a_mistake_in_the_configuration() -> None:
    with pytest.raises(ConfigError, match="via = 'logs' is no mqtt source"):
        HomeAssistantSink(
            HomeAssistantSettings(via="logs"), Context(connections={"logs": object()})
        )


def test_after_a_broker_restart_all_devices_are_told_again(make_broker: Any) -> None:
    broker = make_broker()
    sink = make(broker)
    sink.connect()
    told(broker, sink, state())
    broker.restart()
    with pytest.raises(NotConnected):
        wait_until(lambda: sink.flush(0.05) < 0, "the loss")
    sink.connect()
    found = told(broker, sink)
    assert len(devices(found)) == 1
    assert found[f"{BASE}/status"] == b"online"
    sink.close()
