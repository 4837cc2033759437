"""The whole daemon on a real broker: what goes in, what comes out, and what a kill changes."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from brokers import Broker, Collector, MakeBroker, free_port, wait_until
from daemons import Daemon, answers, by_identity, running, streamlnn

from streamlnn.pipeline import outbox

START = 1_700_000_000_000

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
topic = "sensors/{{device}}/telemetry"
id = "{{device}}"
fields = {{ temperature = "values.temp" }}
units = {{ temperature = "degC" }}
time = {{ path = "ts", format = "unix_ms" }}
horizons = ["1s", "10s"]

[model]
units = 20
"""


class Plant:
    """A folder with a configuration for a broker, and recordings of what was published."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.http = free_port()
        self.config = folder / "config.toml"
        text = CONFIG.format(data_dir=folder / "data", http=self.http, url=url)
        self.config.write_text(text)

    def record(self, messages: list[tuple[str, str]]) -> Path:
        """Write the messages as mqtt-recorder would have."""
        recording = self.folder / "recording.csv"
        with recording.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["topic", "message", "qos", "retain", "time_now", "time_delta"])
            for topic, payload in messages:
                writer.writerow([topic, payload, 1, 0, START / 1000, 0])
        return recording

    def replay(self, messages: list[tuple[str, str]]) -> dict[Any, bytes]:
        """What a replay of the same messages says with the same configuration."""
        recording, out = self.record(messages), self.folder / "replayed.jsonl"
        done = streamlnn("replay", recording, "--config", self.config, "-o", out)
        assert done.returncode == 0, done.stderr.decode()
        return by_identity(out.read_bytes().splitlines())


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    """A broker that queues without a limit: what it drops by itself is outside our promise."""
    return make_broker("max_queued_messages 0")


@pytest.fixture
def plant(tmp_path: Path, broker: Broker) -> Plant:
    return Plant(tmp_path, broker.url)


def sample(n: int, device: str | None = None) -> tuple[str, str]:
    name = device or f"pump{n % 3}"
    value = 20 + 5 * math.sin(n / 20) + (n % 7) / 10
    payload = json.dumps({"ts": START + 1000 * n, "values": {"temp": round(value, 3)}})
    return f"sensors/{name}/telemetry", payload


def wait_for_all(collector: Collector, count: int) -> None:
    """Wait until so many different forecasts have come, however often each."""
    heard = collector.wait(count)
    while (missing := count - len(by_identity(message.payload for message in heard))) > 0:
        heard = collector.wait(len(heard) + missing)


def forecasts(collector: Collector) -> list[bytes]:
    return [m.payload for m in collector.messages if m.topic.endswith("/forecast")]


def test_forecasts_of_a_published_sample_appear_and_keep_the_schema(
    plant: Plant, broker: Broker
) -> None:
    """As a person would try it: mosquitto_pub in, the stream's topic out."""
    with broker.collect("streamlnn/plant1/#") as heard, running(plant.config, plant.http) as daemon:
        for n in range(3):
            topic, payload = sample(n, "pump7")
            subprocess.run(
                ["mosquitto_pub", "-p", str(broker.port), "-t", topic, "-m", payload, "-q", "1"],
                check=True,
                timeout=20,
            )
        wait_until(lambda: len(forecasts(heard)) == 3, "three forecasts")
        assert daemon.stop() == 0
        topics = {message.topic: message.payload for message in heard.messages}
    schema = json.loads(streamlnn("schema", "forecast").stdout)
    for payload in forecasts(heard):
        jsonschema.validate(json.loads(payload), schema)
    told = json.loads(topics["streamlnn/plant1/stream/pump7/forecast"])
    assert told["targets"]["temperature"]["unit"] == "degC"
    assert [item["h"] for item in told["targets"]["temperature"]["forecast"]] == [1, 10]
    assert told["time"] == "2023-11-14T22:13:22Z"
    assert told["targets"]["temperature"]["forecast"][1]["time"] == "2023-11-14T22:13:32Z"
    statuses = [m.payload for m in heard.messages if m.topic.endswith("plant1/status")]
    assert statuses == [b"online", b"offline"]
    assert "streamlnn/plant1/stream/pump7/state" in topics


def test_live_samples_and_their_replay_give_the_same_forecasts(
    plant: Plant, broker: Broker
) -> None:
    messages = [sample(n) for n in range(400)]
    with broker.collect("streamlnn/plant1/stream/#") as heard, running(plant.config, plant.http):
        broker.publish_all(messages)
        wait_until(lambda: len(forecasts(heard)) == 400, "all forecasts")
    assert by_identity(forecasts(heard)) == plant.replay(messages)


def test_kills_in_mid_stream_lose_nothing_and_change_nothing(plant: Plant, broker: Broker) -> None:
    """Acknowledged samples survive; forecasts equal the uncut run's; each comes, with one value."""
    messages = [sample(n) for n in range(3000)]
    with broker.collect("streamlnn/plant1/stream/+/forecast") as heard:
        for life in range(4):  # each has messages of its own to be killed in the midst of
            sending = messages[600 * life : 600 * (life + 1)]
            sender = threading.Thread(target=broker.publish_all, args=(sending,))
            with running(plant.config, plant.http) as daemon:
                sender.start()
                heard.wait(len(heard.messages) + 150)
                daemon.kill()
            sender.join()
        broker.publish_all(messages[2400:])
        with running(plant.config, plant.http):
            wait_for_all(heard, 3000)
    assert by_identity(forecasts(heard)) == plant.replay(messages)


def test_a_recording_can_be_published_without_disturbing_the_daemon(
    plant: Plant, broker: Broker
) -> None:
    """`replay --publish` goes through the configured sink on a connection of its own."""
    messages = [sample(n, "pump9") for n in range(50)]
    recording = plant.record(messages)
    with (
        broker.collect("streamlnn/plant1/#") as heard,
        running(plant.config, plant.http) as daemon,
    ):
        done = streamlnn("replay", recording, "--config", plant.config, "--publish")
        assert done.returncode == 0, done.stderr.decode()
        wait_until(lambda: len(forecasts(heard)) == 50, "the published forecasts")
        assert not daemon.has_said("trying again")
        statuses = [m.payload for m in heard.messages if m.topic.endswith("/status")]
    assert by_identity(forecasts(heard)) == by_identity(done.stdout.splitlines())
    assert statuses == [b"online"]


def test_a_recording_that_cannot_be_published_is_a_failure(plant: Plant, broker: Broker) -> None:
    recording = plant.record([sample(n) for n in range(5)])
    broker.stop()
    done = streamlnn("replay", recording, "--config", plant.config, "--publish")
    assert done.returncode == 1
    assert b"5 forecasts and events were not confirmed by their sink" in done.stderr


def test_a_full_outbox_waits_for_a_broker_that_comes_late(plant: Plant, broker: Broker) -> None:
    """A file gives more than the outbox holds while the broker of its sink is away."""
    broker.stop()
    rows = [f"{START // 1000 + n},{n % 50}" for n in range(23_000)]
    (plant.folder / "pump.csv").write_text("\n".join(["time,flow", *rows, ""]))
    plant.config.write_text(plant.config.read_text() + TAIL.format(folder=plant.folder))
    daemon = Daemon(plant.config)
    try:
        wait_until(lambda: daemon.has_said("source 'plant'"), "the warning", secs=60)
        url = f"http://127.0.0.1:{plant.http}/metrics"
        wait_until(lambda: waiting(url) >= outbox.FULL, "a full outbox", secs=60)
        broker.start()
        with broker.collect("streamlnn/plant1/stream/pump/forecast") as heard:
            wait_until(lambda: waiting(url) == 0, "the outbox to be emptied", secs=100)
            wait_until(lambda: len(heard.messages) > 1000, "forecasts")
        daemon.wait_ready(plant.http)
    finally:
        daemon.kill()


TAIL = """
[[source]]
kind = "tail"
id = "logs"
paths = ["{folder}/pump.csv"]
start = "begin"

[[stream]]
from = "logs"
fields = {{ flow = "flow" }}
time = {{ path = "time" }}
horizons = [1]
"""


def waiting(url: str) -> float:
    """How many forecasts wait for their sink, as the metrics say; -1 when they say nothing."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("streamlnn_outbox_waiting{"):
                return float(line.rsplit(" ", 1)[1])
    return -1.0


def test_a_broker_that_is_not_there_is_waited_for(plant: Plant, broker: Broker) -> None:
    """The daemon starts, is alive and not ready, says once what is wrong, and goes on by itself."""
    broker.stop()
    daemon = Daemon(plant.config)
    try:
        wait_until(lambda: daemon.has_said("source 'plant'"), "the warning", secs=60)
        base = f"http://127.0.0.1:{plant.http}"
        wait_until(lambda: answers(f"{base}/healthz"), "liveness")
        assert not answers(f"{base}/readyz")
        broker.start()
        daemon.wait_ready(plant.http)
        with broker.collect("streamlnn/plant1/stream/#") as heard:
            broker.publish(*sample(0))
            wait_until(lambda: len(forecasts(heard)) == 1, "a forecast")
        assert daemon.errors.count("trying again") == 1
    finally:
        daemon.kill()


def test_what_cannot_be_read_is_put_aside_and_stops_nothing(plant: Plant, broker: Broker) -> None:
    bad = [("sensors/pump0/telemetry", payload) for payload in ("{", '{"ts": 5}', "\0", "[" * 9999)]
    good = [sample(n, "pump0") for n in range(5)]
    with (
        broker.collect("streamlnn/plant1/stream/#") as heard,
        running(plant.config, plant.http) as daemon,
    ):
        broker.publish_all([item for pair in zip(bad, good, strict=False) for item in pair])
        broker.publish(*good[4])
        wait_until(lambda: len(forecasts(heard)) == 5, "the good ones")
        assert daemon.errors.count("kept as a dead letter") == 1
        assert daemon.stop() == 0
    assert by_identity(forecasts(heard)) == plant.replay(good)


def test_two_daemons_on_one_data_directory_are_refused(plant: Plant) -> None:
    with running(plant.config, plant.http):
        second = streamlnn("run", plant.config)
    assert second.returncode == 1
    assert b"in use by another streamlnn" in second.stderr


def publish_to_a_guest(broker: Broker, messages: list[tuple[str, bytes]]) -> None:
    """Publish once somebody with a random name has subscribed."""
    subscribed = "Received SUBSCRIBE from streamlnn-"
    wait_until(lambda: subscribed in broker.log.read_text(), "a dry run to look", secs=60)
    broker.publish_all(messages)


def test_a_dry_run_says_what_it_would_publish_and_takes_nothing_from_the_daemon(
    plant: Plant, broker: Broker
) -> None:
    """Samples that come while the daemon is down wait for it, whoever looks meanwhile."""
    messages = [sample(n) for n in range(60)]
    with running(plant.config, plant.http):
        broker.publish_all(messages[:10])
    broker.publish_all(messages[10:30])
    looking = threading.Thread(target=publish_to_a_guest, args=(broker, messages[30:]))
    looking.start()
    dry = streamlnn("run", plant.config, "--dry-run", "--for", "8s")
    looking.join()
    assert dry.returncode == 0, dry.stderr
    assert len(by_identity(line for line in dry.stdout.splitlines() if b'"forecast"' in line)) == 30
    with (
        broker.collect("streamlnn/plant1/stream/#") as heard,
        running(plant.config, plant.http),
    ):
        replayed = plant.replay(messages)
        wait_until(lambda: ("pump2", 0, 19) in by_identity(forecasts(heard)), "the last forecast")
    assert by_identity(forecasts(heard)).items() <= replayed.items()
