"""`streamlnn init` writes a configuration that runs, with or without having heard a broker."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, MakeBroker, free_port
from click.testing import CliRunner, Result
from daemons import streamlnn
from terminals import CTRL_C, Terminal

from streamlnn.daemon.cli import cli
from streamlnn.daemon.config import Config, load, loads
from streamlnn.daemon.init import home_zone

PUMPS = ("north/pump1", "north/pump2", "south/pump1")
ROOMS = ("kitchen", "bath")
HOSTS = ("host1", "host2")
STREAMS = {
    **{
        f"telegraf/{host}/cpu/cpu/cpu=cpu{n}/host={host}": {"usage"}
        for host in HOSTS
        for n in (0, 1)
    },
    **{pump: {"temp"} for pump in PUMPS},
    **{f"{room}/temperature": {"temperature"} for room in ROOMS},
    "bed_climate": {"temperature", "humidity"},
    "plug": {"power"},
    "boiler": {"ds18b20_temperature", "bme280_temperature"},
    "outdoor": {"value"},
    "station1": {"t"},
}


def init(*words: object) -> Result:
    result = CliRunner().invoke(cli, ["init", *(str(word) for word in words)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def said_once(turn: int) -> list[tuple[str, str | bytes]]:
    """What the devices of a house and of a plant say in one turn."""
    now = datetime.now(UTC)
    local = (now + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S.%f")
    told: list[tuple[str, Any]] = [
        *(
            (
                f"sensors/{pump}/telemetry",
                {"ts": time.time_ns() // 10**6, "values": {"temp": 20 + turn % 7, "rms": 0.5}},
            )
            for pump in PUMPS
        ),
        *((f"home/{room}/temperature", f"{20 + turn % 3}.25") for room in ROOMS),
        *((f"home/{room}/lamp", "ON") for room in ROOMS),
        ("zigbee2mqtt/bed_climate", {"temperature": 21.5, "humidity": 44, "linkquality": turn}),
        ("zigbee2mqtt/plug", {"power": 4.5, "state": "ON", "child_lock": False, "linkquality": 9}),
        ("zigbee2mqtt/bridge/state", {"state": "online", "devices": 17}),
        (
            "tele/boiler/SENSOR",
            {"Time": local, "DS18B20": {"Temperature": 55.5}, "BME280": {"Temperature": 22}},
        ),
        ("tele/boiler/STATE", {"Time": local, "UptimeSec": turn, "Wifi": {"RSSI": 90}}),
        ("hass/sensor/outdoor/state", "12.5"),
        ("hass/sensor/outdoor/unit_of_measurement", '"°C"'),
        ("hass/sensor/outdoor/precision", "2"),
        ("hass/sensor/sky/state", "sunny"),
        ("weather/station1", {"time": now.isoformat(), "t": 12.5}),
        ("spBv1.0/plant/DDATA/edge/dev", b"\x08\x01\xff\x12"),
        ("streamlnn/other/stream/a/forecast", {"v": 1, "instance": "other", "stream": "a"}),
        *(
            (f"telegraf/{host}/cpu", f"cpu,cpu=cpu{n},host={host} usage={turn}.5 {time.time_ns()}")
            for host in HOSTS
            for n in range(2)
        ),
        ("batch/cpu", f"cpu usage=1.5 {time.time_ns()}\ncpu usage=2.5 {time.time_ns()}"),
        ("camera/door", b"\xff\xd8\xff"),
        ("lamps/hall/set", {"brightness": turn}),
    ]
    return [
        (topic, one if isinstance(one, str | bytes) else json.dumps(one)) for topic, one in told
    ]


@contextmanager
def speaking(broker: Broker) -> Iterator[None]:
    """Devices that speak five times a second for the length of the block."""
    over = threading.Event()

    def speak() -> None:
        turn = 0
        while not over.wait(0.2):
            broker.publish_all(said_once(turn := turn + 1))

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def house(broker: Broker) -> Iterator[Broker]:
    broker.publish("meters/old", "17", retain=True)
    broker.publish("homeassistant/sensor/x/config", '{"expire_after": 5}', retain=True)
    with speaking(broker):
        yield broker


# Without a broker


def test_what_is_written_without_listening_is_sound_and_explains_itself(tmp_path: Path):
    result = init("-o", tmp_path / "f.toml")
    assert result.exit_code == 0
    assert (result.stdout, result.stderr) == (
        "",
        f"{tmp_path}/f.toml is written; write your own topics into it, then: streamlnn check "
        f"{tmp_path}/f.toml\n",
    )
    config = load(tmp_path / "f.toml")
    assert config.streams[0].topic == "sensors/{site}/{device}/telemetry"
    assert config.doubts() == []
    lines = (tmp_path / "f.toml").read_text().splitlines()
    assert sum(line.startswith("# ") for line in lines) > len(lines) / 3
    assert max(map(len, lines)) <= 100


def test_the_options_of_a_broker_stand_in_the_table_of_the_source(tmp_path: Path):
    files = ("--password-file", tmp_path / "secret", "--ca", tmp_path / "ca.pem")
    source = loads(init("--broker", "mqtts://me@plant.local:8883", *files).stdout).sources[0]
    assert source.settings.url == "mqtts://plant.local:8883"
    assert source.settings.username == "me"
    assert source.settings.password_file == str(tmp_path / "secret")
    assert source.settings.tls.ca == str(tmp_path / "ca.pem")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--broker", "http://x"], "source.url: "),
        (["--broker", "mqtt://me:s3cret@x"], "give --password-file FILE"),
        (["--broker", "mqtt://x", "--password-file", "f"], "a password without a username"),
        (["--discover", "soon"], "is not a duration"),
    ],
)
def test_an_option_that_will_not_do_is_wrong_usage(words: list[str], said: str):
    result = init(*words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert "s3cret" not in result.stderr


def test_a_file_that_is_there_is_overwritten_only_when_told(tmp_path: Path):
    (tmp_path / "f.toml").write_text("mine")
    result = init("-o", tmp_path / "f.toml")
    assert result.exit_code == 2
    assert f"{tmp_path}/f.toml is there already" in result.stderr
    assert (tmp_path / "f.toml").read_text() == "mine"
    assert init("-o", tmp_path / "f.toml", "--force").exit_code == 0
    assert load(tmp_path / "f.toml").streams


def test_a_folder_that_is_not_there_is_told(tmp_path: Path):
    result = init("-o", tmp_path / "no" / "f.toml")
    assert result.exit_code == 1
    assert f"cannot write {tmp_path}/no/f.toml: No such file or directory" in result.stderr


@pytest.mark.parametrize(
    ("environment", "localtime", "zone"),
    [
        ("Europe/Berlin", "/nowhere", "Europe/Berlin"),
        (":Europe/Berlin", "/nowhere", "Europe/Berlin"),
        ("CET-1CEST", "/usr/share/zoneinfo/Europe/Berlin", "UTC"),
        (None, "/usr/share/zoneinfo/America/New_York", "America/New_York"),
        (None, "/nowhere", "UTC"),
    ],
)
def test_the_zone_of_this_machine_is_a_place_or_utc(
    environment: str | None, localtime: str, zone: str
):
    assert home_zone(environment, Path(localtime)) == zone


# With a broker


def test_what_is_heard_becomes_a_configuration_that_runs_as_it_is(house: Broker, tmp_path: Path):
    path = tmp_path / "f.toml"
    result = init("--discover", "2s", "--broker", house.url, "-o", path)
    assert result.exit_code == 0, result.stderr
    assert "follows telegraf/#: every number of each series of line protocol" in result.stderr
    assert result.stderr.count("pump1") == 0, "a line for each topic would be a flood"
    assert_it_says_what_was_left_out(path.read_text())
    assert_it_names_what_was_heard(load(path))
    checked = CliRunner().invoke(cli, ["check", "--connect", str(path)])
    assert checked.exit_code == 0
    assert "warning" not in checked.stdout
    dry = streamlnn("run", path, "--dry-run", "--for", "6s")
    assert dry.returncode == 0, dry.stderr.decode()
    assert b"dead" not in dry.stderr
    forecasts = [json.loads(line) for line in dry.stdout.splitlines()]
    assert {one["stream"]: set(one["targets"]) for one in forecasts if "targets" in one} == STREAMS


def assert_it_names_what_was_heard(config: Config) -> None:
    tables = {table.topic: table for table in config.streams}
    assert tables.keys() == {
        "sensors/{site}/{device}/telemetry",
        "home/{room}/temperature",
        "zigbee2mqtt/bed_climate",
        "zigbee2mqtt/plug",
        "tele/boiler/SENSOR",
        "hass/sensor/outdoor/state",
        "weather/station1",
        "telegraf/#",
    }
    pumps = tables["sensors/{site}/{device}/telemetry"]
    assert pumps.id == "{site}/{device}"
    assert pumps.fields == {"temp": "values.temp", "rms": "values.rms"}
    assert pumps.time is not None
    assert (pumps.time.path, pumps.time.format) == ("ts", "unix_ms")
    assert all(isinstance(horizon, str) for horizon in pumps.horizons)
    series = tables["telegraf/#"]
    assert (series.from_, series.id) == ("telegraf", "{topic}/{_series}")
    assert series.time is not None
    assert (series.time.path, series.time.format) == ("time", "unix_ns")
    assert [source.settings.format for source in config.sources] == ["json", "influx"]
    boiler = tables["tele/boiler/SENSOR"].time
    assert boiler is not None
    assert (boiler.path, boiler.format, boiler.zone) == ("Time", "rfc3339", "Etc/GMT-3")


def assert_it_says_what_was_left_out(text: str) -> None:
    left_out = " ".join(text.partition("# Left out of what was heard:")[2].split()).replace(
        "# ", ""
    )
    for topic, why in {
        "spBv1.0/plant/DDATA/edge/dev": "Sparkplug",
        "meters/old": "kept by the broker from before",
        "homeassistant/sensor/x/config": "announcements to Home Assistant",
        "streamlnn/other/stream/a/forecast": "forecasts, which streamlnn itself publishes",
        "zigbee2mqtt/bridge/state": "what a bridge",
        "tele/boiler/STATE": "how the device is",
        "batch/cpu": 'layout = "non-batch"',
        "camera/door": "neither a number nor JSON",
        "home/bath/lamp": "words and switches",
        "lamps/hall/set": "commands",
        "hass/sensor/outdoor/precision": "attributes of a Home Assistant entity",
    }.items():
        reason = next(part for part in left_out.split(" - ") if topic in part)
        assert why in reason


def test_on_a_terminal_one_line_tells_how_much_was_heard(house: Broker, tmp_path: Path):
    path = tmp_path / "f.toml"
    words = ("init", "--discover", "30s", "--broker", house.url, "-o", path)
    with Terminal(*words, columns=120, lines=60) as terminal:
        terminal.wait_for("listening", "messages", "topics")
        assert "hears" not in terminal.text
        terminal.type(CTRL_C)
        terminal.wait_for("is written")
        assert "messages" not in terminal.text
    assert load(path).streams


def test_listening_leaves_the_session_of_the_daemon_alone(house: Broker):
    result = init("--discover", "0.5s", "--broker", house.url, "--topic", "sensors/#")
    assert result.exit_code == 0
    assert [table.topic for table in loads(result.stdout).streams] == [
        "sensors/{site}/{device}/telemetry"
    ]
    assert "plant1-plant" not in house.log.read_text()


def test_a_broker_that_asks_for_a_password_is_given_it(make_broker: MakeBroker, tmp_path: Path):
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", users, "me", "s3cret"], check=True)
    users.chmod(0o644)
    broker = make_broker(f"password_file {users}", anonymous=False)
    broker.login = ("me", "s3cret")
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    secret.chmod(0o600)
    url = f"mqtt://me@127.0.0.1:{broker.port}"
    refused = init("--discover", "1s", "--broker", url)
    assert refused.exit_code == 69
    assert "check username and password" in refused.stderr
    with speaking(broker):
        result = init("--discover", "1s", "--broker", url, "--password-file", secret)
    assert result.exit_code == 0, result.stderr
    assert loads(result.stdout).sources[0].settings.password_file == str(secret)
    assert "s3cret" not in result.stdout + result.stderr


def test_a_silent_broker_is_told_and_nothing_is_written(broker: Broker, tmp_path: Path):
    result = init("--discover", "0.3s", "--broker", broker.url, "-o", tmp_path / "f.toml")
    assert result.exit_code == 69
    assert f"nothing was said at {broker.url} within 0.3 s: listen longer" in result.stderr
    assert not (tmp_path / "f.toml").exists()


def test_where_nothing_can_be_forecast_the_reasons_are_told(broker: Broker):
    broker.publish("meters/old", "17", retain=True)
    result = init("--discover", "0.5s", "--broker", broker.url)
    assert (result.exit_code, result.stdout) == (69, "")
    assert "kept by the broker from before" in result.stderr
    assert "meters/old" in result.stderr


def test_a_broker_out_of_reach_is_told_with_the_way_out():
    result = init("--discover", "1s", "--broker", f"mqtt://127.0.0.1:{free_port()}")
    assert (result.exit_code, result.stdout) == (69, "")
    assert "nothing listens there: start the broker, or check host and port" in result.stderr
