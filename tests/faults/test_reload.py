"""A new configuration while samples come.

Injected: SIGHUP to a real daemon on a real broker while a publisher goes on; first with a file of
three mistakes, then with one that may not be taken over, then with a sound one that renames
nothing, follows a second topic and has another password; at the end the broker is frozen (SIGSTOP)
with forecasts on their way, and SIGTERM comes. What the daemon says to its service manager is read
from a real datagram socket, and its HTTP server is asked all along.

Must hold: every sample has one forecast; `seq` goes on and `epoch` stays; every mistake is told and
the pipeline of before goes on; readiness comes back; the secrets stand nowhere; it ends within 8 s.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from brokers import Broker, Collector, MakeBroker, free_port, wait_until
from daemons import Daemon, by_identity
from service_manager import ServiceManager

SAMPLES = 240
PASSWORDS = ("marked-old-secret", "marked-new-secret")
TOKENS = ("marked-old-token", "marked-new-token")
NOT = "not taken over"
CONFIG = """
[daemon]
instance = "plant1"
data_dir = "{folder}/data"
[http]
listen = "127.0.0.1:{http}"
token_file = "{folder}/token"
[[source]]
kind = "mqtt"
id = "plant"
url = "{url}"
username = "alice"
password_file = "{folder}/password"
[[stream]]
topic = "s/{{device}}"
id = "{{device}}"
fields = {{ v = "v" }}
time = {{ path = "t", format = "unix" }}
horizons = [1]
[model]
units = 20
"""
MORE = """
[[stream]]
topic = "more/{device}"
id = "more-{device}"
fields = { v = "v" }
horizons = [1]
"""


@dataclass
class Course:
    """What was seen: the daemon's words, its service manager's datagrams, forecasts, the end."""

    log: str
    told: list[dict[str, str]]
    forecasts: list[bytes]
    shown: bytes
    folder: Path
    arguments: bytes
    exit_code: int
    secs_to_end: float


@pytest.fixture(scope="module")
def course(make_lasting_broker: MakeBroker, tmp_path_factory: pytest.TempPathFactory) -> Course:
    folder = tmp_path_factory.mktemp("plant")
    broker = broker_with_login(make_lasting_broker, folder)
    http, manager = free_port(), ServiceManager(folder / "notify")
    text = CONFIG.format(folder=folder, http=http, url=broker.url)
    config = folder / "plant.toml"
    config.write_text(text)
    write_secrets(folder, 0)
    daemon = Daemon(config, "-v", NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="400000")
    sender = threading.Thread(target=publish_slowly, args=(broker,))
    try:
        daemon.wait_ready(http)
        with broker.collect("streamlnn/plant1/stream/+/forecast") as heard:
            sender.start()
            take_over(daemon, text.replace("= [1]", "= [0]").replace('"v"', "7") + "x = 1", NOT)
            take_over(daemon, text.replace('"plant1"', '"plant2"'), "instance cannot change")
            allow(broker, folder, PASSWORDS[1])
            broker.reread()
            write_secrets(folder, 1)
            take_over(daemon, text + MORE, "is taken over")
            sender.join()
            daemon.wait_ready(http)
            broker.publish("more/extra", '{"v": 1}')
            heard.wait(SAMPLES + 1)
            wait_until(lambda: len(of(heard, "pump")) >= SAMPLES, "all forecasts")
            wait_until(lambda: of(heard, "more-extra"), "a forecast of the new topic")
            forecasts = [message.payload for message in heard.messages]
        shown = everything_shown(http)
        arguments = Path(f"/proc/{daemon.process.pid}/cmdline").read_bytes()
        broker.publish_all([("s/late", json.dumps({"t": n, "v": 0})) for n in range(200)])
        broker.freeze()
        began = time.monotonic()
        code = daemon.stop()
        took = time.monotonic() - began
    finally:
        daemon.kill()
        told = manager.close()
    return Course(daemon.errors, told, forecasts, shown, folder, arguments, code, took)


def broker_with_login(make: MakeBroker, folder: Path) -> Broker:
    passwords = folder / "users"
    passwords.touch()
    passwords.chmod(0o644)
    broker = make(f"password_file {passwords}", "max_queued_messages 0", anonymous=False)
    allow(broker, folder, PASSWORDS[0])
    allow(broker, folder, "t", user="tester")
    broker.reread()
    broker.login = ("tester", "t")
    return broker


def write_secrets(folder: Path, which: int) -> None:
    for name, secret in (("password", PASSWORDS[which]), ("token", TOKENS[which])):
        (folder / name).touch(0o600)
        (folder / name).write_text(f"{secret}\n")


def allow(broker: Broker, folder: Path, password: str, user: str = "alice") -> None:
    command = ["mosquitto_passwd", "-b", folder / "users", user, password]
    subprocess.run(command, check=True, capture_output=True)


def publish_slowly(broker: Broker) -> None:
    """Publish all the time, whatever the daemon does meanwhile."""
    for at in range(0, SAMPLES, 20):
        numbers = range(at, at + 20)
        broker.publish_all([("s/pump", json.dumps({"t": n, "v": n % 7})) for n in numbers])
        time.sleep(0.1)


def take_over(daemon: Daemon, text: str, answer: str) -> None:
    """Write the configuration, send SIGHUP, and wait for what is said of it."""
    daemon.config.write_text(text)
    daemon.reload()
    wait_until(lambda: daemon.has_said(answer), answer, secs=60)


def of(heard: Collector, stream: str) -> list[bytes]:
    return [m.payload for m in heard.messages if m.topic.split("/")[3] == stream]


def everything_shown(port: int) -> bytes:
    """All that HTTP says, to somebody who knows the new token and to one who knows the old."""
    pages = b""
    for path in ("/", "/healthz", "/readyz", "/metrics", "/api/v1/streams", "/api/v1/streams/pump"):
        url = f"http://127.0.0.1:{port}{path}"
        known = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKENS[1]}"})
        with urllib.request.urlopen(known, timeout=10) as answer:
            pages += answer.read()
    late = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKENS[0]}"})
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(late, timeout=10)
    return pages


def test_every_sample_has_one_forecast_and_seq_and_epoch_go_on(course: Course) -> None:
    found = by_identity(course.forecasts)
    assert set(found) == {("pump", 0, n) for n in range(SAMPLES)} | {("more-extra", 0, 0)}


def test_every_mistake_is_told_and_the_old_pipeline_goes_on(course: Course) -> None:
    problems = [line for line in course.log.splitlines() if " error " in line]
    assert [line.partition("plant.toml")[2].partition(";")[0] for line in problems[:3]] == [
        ":17: stream.fields.v: expected text in quotes, not 7",
        ":19: stream.horizons: this must be greater than or equal to 1, not 0",
        ":22: model.x: unknown key",
    ]
    assert "daemon.instance cannot change while the daemon runs: restart it" in course.log
    assert course.log.count("the one before goes on") == 2
    assert course.log.count("is taken over") == 1


def test_the_service_manager_hears_how_it_goes(course: Course) -> None:
    states = [name for told in course.told for name in told if name in STATES]
    assert states == ["READY", *["RELOADING", "READY"] * 3, "STOPPING"]
    reloads = [told for told in course.told if "RELOADING" in told]
    assert all(int(told["MONOTONIC_USEC"]) > 0 for told in reloads)
    fed = sum("WATCHDOG" in told for told in course.told)
    assert fed >= 3, "the watchdog is fed"
    assert any(told.get("STATUS") == "following every source" for told in course.told)


STATES = ("READY", "RELOADING", "STOPPING")


def test_no_secret_is_ever_told_or_written(course: Course) -> None:
    said = course.log.encode() + course.shown + course.arguments + b"".join(course.forecasts)
    said += json.dumps(course.told).encode()
    for place, _, names in os.walk(course.folder / "data"):
        said += b"".join(Path(place, name).read_bytes() for name in names)
    assert len(said) > 100_000
    assert b"marked-" not in said


def test_it_ends_within_eight_seconds_though_the_broker_stands_still(course: Course) -> None:
    assert course.exit_code == 0
    assert course.secs_to_end < 8
