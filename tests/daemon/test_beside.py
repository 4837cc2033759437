"""A sink that publishes no forecasts stands beside the one that does."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from brokers import Broker, free_port, wait_until
from daemons import running
from invoked import run

from streamlnn.daemon.config import loads
from streamlnn.daemon.live_board import wants_lines

CONFIG = """
[daemon]
instance = "plant1"
data_dir = "{folder}/data"
[http]
listen = "127.0.0.1:{http}"
[[source]]
kind = "mqtt"
id = "plant"
url = "{url}"
[[stream]]
topic = "s/{{device}}"
id = "{{device}}"
horizons = [1]
[model]
units = 20
"""
HOME = '[[sink]]\nkind = "homeassistant"\nvia = "plant"\n'
SAMPLE = Path("docker/pipeline.toml")


@pytest.mark.parametrize(
    ("sinks", "expected"),
    [
        ("", ["mqtt"]),
        (HOME, ["homeassistant", "mqtt"]),
        (HOME.replace("via", 'id = "mqtt"\nvia'), ["homeassistant", "mqtt"]),
        (HOME + '[[sink]]\nkind = "stdout"', ["homeassistant", "stdout"]),
        ('[[sink]]\nkind = "stdout"', ["stdout"]),
    ],
)
def test_the_usual_sink_stays_until_another_takes_the_forecasts(sinks: str, expected: list[str]):
    config = loads(CONFIG.format(folder="/tmp", http=1, url="mqtt://localhost") + sinks)
    assert [sink.kind for sink in config.sinks] == expected
    assert config.sinks[-1].via == ("plant" if expected[-1] == "mqtt" else None)
    assert config.names_sinks is ("stdout" in expected)
    assert len({sink.id for sink in config.sinks}) == len(expected)


def test_lines_that_nobody_asked_for_leave_the_table_its_place():
    files = '[[source]]\nkind = "tail"\npaths = ["/x"]\n[[stream]]\n'
    home = HOME.replace('via = "plant"', 'url = "mqtt://localhost"')
    assert [sink.kind for sink in loads(files + home).sinks] == ["homeassistant", "stdout"]
    assert not wants_lines(loads(files + home))
    assert wants_lines(loads(files + '[[sink]]\nkind = "stdout"'))


def test_home_assistant_that_comes_with_a_reload_silences_nothing(
    tmp_path: Path, broker: Broker
) -> None:
    """SIGHUP to a real daemon; afterwards its devices are deleted as the sample file says."""
    config, http = tmp_path / "f.toml", free_port()
    config.write_text(CONFIG.format(folder=tmp_path, http=http, url=broker.url))
    forecasts = "streamlnn/plant1/stream/pump/forecast"
    with broker.collect("#") as heard, running(config, http) as daemon:

        def count(topic: str) -> int:
            return sum(message.topic == topic for message in heard.messages)

        broker.publish("s/pump", '{"v": 1}')
        wait_until(lambda: count(forecasts) == 1, "a forecast")
        config.write_text(config.read_text() + HOME)
        said = run("check", config).output
        assert re.findall("sink +(.*)", said) == [
            "homeassistant: homeassistant via plant",
            "mqtt: mqtt via plant",
        ]
        daemon.reload()
        wait_until(lambda: daemon.has_said("is taken over"), "the reload")
        broker.publish("s/pump", '{"v": 2}')
        wait_until(lambda: count(forecasts) == 2, "a forecast after the reload", secs=40)
        device = "homeassistant/device/streamlnn_plant1_pump/config"
        wait_until(lambda: count(device) > 0, "the device")
        status = [m.payload for m in heard.messages if m.topic == "streamlnn/plant1/status"]
        assert status[-1] == b"online"
    _delete_devices(broker)
    with broker.collect("homeassistant/#") as left:
        broker.publish("homeassistant/end", b"")
        wait_until(lambda: left.messages != [], "the end")
    assert [message.topic for message in left.messages] == ["homeassistant/end"]


def _delete_devices(broker: Broker) -> None:
    """Do what the comment in the sample configuration says, on this broker."""
    lines = SAMPLE.read_text().split("until somebody deletes them:\n")[1].splitlines()[:2]
    words = " ".join(line.removeprefix("#").strip().removesuffix("\\") for line in lines)
    words = re.sub(r"mosquitto_(sub|pub)", rf"mosquitto_\1 -p {broker.port}", words)
    subprocess.run(["bash", "-c", words], check=True, timeout=30)
