"""The demo: its feed, its broker, its table, and the whole of it."""

import io
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.request import urlopen

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from streamlnn.daemon import board, demo
from streamlnn.daemon.broker import embedded_broker
from streamlnn.daemon.demo_clients import MOST_UNCONFIRMED, Feeder
from streamlnn.daemon.feed import TICK_SECS, WATER_TOPIC, feed, water
from streamlnn.pipeline.messages import (
    AnomalyState,
    EventMessage,
    ForecastMessage,
    HorizonForecast,
    TargetForecast,
)

MINUTE = round(60 / TICK_SECS)


def sensors(ticks: int, seed: int = 1) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = defaultdict(list)
    for topic, payload, _ in itertools.islice(feed(0.0, seed), ticks * 5):
        values[topic.split("/")[2]].append(payload.get("value", payload.get("flow")))
    return values


def test_the_feed_is_the_same_for_the_same_seed() -> None:
    assert sensors(200) == sensors(200)
    assert sensors(200)["tank"] != sensors(200, seed=2)["tank"]


def test_every_sensor_speaks_once_a_tick_on_a_rising_clock() -> None:
    messages = list(itertools.islice(feed(1000.0), 50))
    assert sum(delay for _, _, delay in messages) == pytest.approx(10 * TICK_SECS)
    times: dict[str, list[Any]] = defaultdict(list)
    for topic, payload, _ in messages:
        times[topic].append(payload.get("ts", payload.get("time")))
    assert len(times) == 5
    assert all(sorted(set(stamps)) == stamps for stamps in times.values())
    assert times["sensors/plant/tank/telemetry"][:2] == [1_000_000, 1_000_200]


def test_the_recording_goes_on_later_at_the_same_hour_when_it_is_over() -> None:
    laps = list(itertools.islice(water(), 2 * 1268))
    first, again = laps[0], laps[1268]
    assert first[1] == again[1] == 100.59
    assert all(later > sooner for (sooner, _), (later, _) in itertools.pairwise(laps))
    assert first[0].timetz() == again[0].timetz()


def test_the_simulated_sensors_drift_get_stuck_and_spike() -> None:
    values = sensors(6 * MINUTE)
    bearing = values["bearing"]
    assert max(bearing[: MINUTE // 2]) < 65 < 75 < max(bearing[MINUTE : MINUTE + MINUTE // 2])
    valve = values["valve"]
    runs = [len(list(run)) for _, run in itertools.groupby(valve)]
    assert max(runs) > 10 / TICK_SECS
    assert sum(value > 8 for value in values["motor"]) > 5
    assert max(values["tank"]) < 65


@contextmanager
def client(port: int) -> Iterator[mqtt.Client]:
    made = mqtt.Client(CallbackAPIVersion.VERSION2)
    made.connect("127.0.0.1", port)
    yield made
    made.disconnect()
    made.loop_stop()


def test_the_broker_carries_messages_and_ends_with_the_block() -> None:
    got: list[bytes | bytearray] = []
    arrived = threading.Event()

    def keep(_: mqtt.Client, __: Any, message: mqtt.MQTTMessage) -> None:
        got.append(message.payload)
        arrived.set()

    def answer(own: mqtt.Client, *_: Any) -> None:
        own.publish("a/b", b"hello", qos=1)

    with embedded_broker() as port, client(port) as own:
        own.on_message = keep
        own.on_subscribe = answer
        own.loop_start()
        own.subscribe("a/#", qos=1)
        assert arrived.wait(10)
    assert got == [b"hello"]
    with pytest.raises(ConnectionRefusedError), client(port):
        pass


def test_a_broker_that_does_not_answer_slows_the_feed_down() -> None:
    messages = ((WATER_TOPIC, {"n": n}, 0.0) for n in itertools.count())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        deadline = time.monotonic() + 20
        with Feeder(silent.getsockname()[1], messages, speed=1.0) as feeder:
            while feeder.published < MOST_UNCONFIRMED and time.monotonic() < deadline:
                os.sched_yield()
    assert feeder.published == MOST_UNCONFIRMED


def message(**changes: Any) -> ForecastMessage:
    ahead = [
        HorizonForecast(3600.0, "2022-03-20T11:00:00Z", 71.34, 70.9, 71.8, 0.903, 0.31),
        HorizonForecast(86400.0, None, None, None, None, None, None),
    ]
    target = TargetForecast(71.2, "", ahead, AnomalyState(0.1, 0, changes.pop("odd", False)))
    settings: dict[str, Any] = {
        "v": 1, "instance": "demo", "stream": "plant/[red]tank", "time": None, "epoch": 0,
        "seq": 1, "clock": "time", "status": "ok", "level": 0.9, "targets": {"value": target},
    }  # fmt: skip
    return ForecastMessage(**(settings | changes))


def test_the_table_shows_every_horizon_and_takes_ids_as_they_are() -> None:
    console = Console(width=120, file=io.StringIO())
    with console.capture() as captured:
        console.print(board.table([message()]))
    head, first, second = [" ".join(line.split()) for line in captured.get().splitlines()[:3]]
    assert head == "stream value in forecast band coverage skill status"
    assert first == "plant/[red]tank 71.2 1 h 71.34 [70.9, 71.8] 90% +0.31 ok"
    assert second == "1 d - [-, -] - -"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (80, 18)])
def test_the_screen_of_the_demo_fits_into_the_terminal(width: int, height: int) -> None:
    """Five streams of three horizons each, at their widest, and more events than there is room."""
    target = TargetForecast(
        -1234.5,
        "",
        [HorizonForecast(21600.0, None, -100.5, -123.4, -98.76, 0.913, -0.16)] * 3,
        AnomalyState(0.999, 1, True),
    )
    streams = [message(stream=f"plant/sensor{n}", targets={"value": target}) for n in range(4)]
    streams.append(message(stream="waterworks/main", status="drifting", targets={"flow": target}))
    event = EventMessage(
        1, "i", "demo", "plant/valve", "value", "stuck", "start", "2026-11-28T05:36:04.418Z",
        *[None] * 10, text="The value has been exactly 29.92 for 61 records: is the sensor stuck?",
    )  # fmt: skip
    console = Console(width=width, height=height, file=io.StringIO())
    with console.capture() as captured:
        console.print(board.screen(streams, [event] * 20, width, height))
    lines = captured.get().splitlines()
    assert len(lines) <= height - 1
    assert len(lines) >= min(height - 1, 16)
    assert all(len(line) <= width for line in lines)
    table = lines[:16]
    assert "…" not in "".join(table), "nothing is cut"
    assert table[13].startswith("waterworks/main flow ")
    assert ["plant/valve" in line for line in lines[16:]] == [True] * (len(lines) - 16)


def test_a_line_shows_value_band_status_and_anomaly() -> None:
    assert board.line(message(odd=True, status="drifting")) == (
        "plant/[red]tank = 71.2  +1 h 71.34 [70.9, 71.8]  +1 d - [-, -]  drifting, ANOMALY"
    )


def test_the_configuration_of_the_demo_is_sound(tmp_path: Any) -> None:
    made = demo.config(1883, str(tmp_path / 'odd "$HOME" 😀'))
    assert made.daemon.data_dir.name == 'odd "$HOME" 😀'
    assert {stream.id for stream in made.streams} == {"waterworks/{device}", "plant/{device}"}
    assert made.filters("broker") == ("sensors/waterworks/+/telemetry", "sensors/plant/+/telemetry")


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "amqtt", None)
    assert demo.demo() == 1
    assert capsys.readouterr().err == (
        "streamlnn demo needs amqtt: pip install 'streamlnn[demo]'\n"
    )


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "streamlnn", "demo", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_forecasts_of_every_sensor_come_back_and_it_ends_by_itself() -> None:
    running = start("--for", "8", "--no-page", "--speed", "4")
    out, err = running.communicate(timeout=250)
    assert running.returncode == 0, err
    assert "Page" not in out
    for stream in ("waterworks/main flow", "plant/tank", "plant/bearing", "plant/motor"):
        assert f"\n{stream} = " in out
    sent, received = re.findall(r"(\d+) (?:records|forecasts)", out.splitlines()[-1])
    assert int(received) > 0.5 * int(sent) > 100


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_exit_0_and_a_summary(number: signal.Signals) -> None:
    running = start()
    assert running.stdout is not None
    lines = iter(running.stdout.readline, "")
    address = next(line.split()[1] for line in lines if line.startswith("Page"))
    next(line for line in lines if line.startswith("plant/tank = "))
    with urlopen(f"{address}api/v1/streams", timeout=30) as answer:
        streams = json.load(answer)["streams"]
    assert "plant/tank" in {stream["stream"] for stream in streams}
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 0, err
    assert "Traceback" not in err
    assert " forecasts back over MQTT" in out.splitlines()[-1]
