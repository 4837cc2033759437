"""`streamlnn check` tells what a configuration would do, reading and connecting if asked to."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, free_port
from click.testing import CliRunner, Result

from streamlnn.daemon import surroundings
from streamlnn.daemon.cli import cli

PLANT = """
[daemon]
data_dir = "/var/lib/streamlnn"
[[source]]
kind = "mqtt"
id = "plant"
url = "{url}"
[[stream]]
from = "plant"
topic = "sensors/{{site}}/{{device}}/telemetry"
id = "{{site}}/{{device}}"
fields = {{ temperature = "values.temp", vibration = "values.rms" }}
targets = ["temperature"]
time = {{ path = "ts", format = "unix_ms" }}
horizons = ["10s", "1m"]
"""
LOGS = """
[[source]]
kind = "tail"
id = "logs"
paths = ["/var/log/sensors/*.csv"]
[[stream]]
from = "logs"
fields = { flow = "Flow" }
time = { path = "datetime", zone = "Europe/Berlin" }
"""
STAMP = "2026-01-01T00:00:00.000000Z"
PAYLOAD = '{"ts": 1700000000500, "values": {"temp": 21.5, "rms": 2}, "seq": 7, "unit": "C"}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f.toml").write_text(PLANT.format(url="mqtt://localhost") + LOGS)
    return tmp_path


def check(folder: Path, *words: object) -> Result:
    arguments = ["check", str(folder / "f.toml"), *(str(word) for word in words)]
    result = CliRunner().invoke(cli, arguments)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def sample(folder: Path, content: str | bytes, *words: object, name: str = "s") -> list[Any]:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    result = check(folder, "--json", "--sample", path, *words)
    entries: list[Any] = json.loads(result.stdout)["sample"]
    is_read = any("problem" not in entry for entry in entries)
    assert result.exit_code == (0 if is_read else 69)
    assert json.loads(result.stdout)["ok"] is is_read
    return entries


# What it would do


def test_a_sound_configuration_is_summed_up_for_people(folder: Path):
    result = check(folder)
    assert result.exit_code == 0
    assert result.stderr == ""
    sizes = r"(takes|to) [\d.]+ [KM]B"  # test_footprint compares them with a real model's
    assert (
        re.sub(sizes, r"\1 N", result.stdout)
        == f"""{folder}/f.toml: sound
instance  streamlnn
data      /var/lib/streamlnn
http      127.0.0.1:8642
source    plant: mqtt mqtt://localhost
          subscribes to sensors/+/+/telemetry
source    logs: tail /var/log/sensors/*.csv
stream    {{site}}/{{device}} from plant: sensors/{{site}}/{{device}}/telemetry
          forecasts temperature, 10s, 1m ahead
          each takes N to N of memory (2 fields), writes up to N of snapshots and the journal a day
stream    {{stem}} from logs
          forecasts flow, 1, 12, 48 samples ahead
          each takes N of memory (1 field), writes up to N of snapshots and the journal a day
journal   29 KB for a record that comes alone, 300 B for each one beside it
sink      mqtt: mqtt via plant
"""
    )


def test_a_sound_configuration_is_summed_up_as_json(folder: Path):
    report = json.loads(check(folder, "--json").stdout)
    assert report["ok"] is True
    assert report["data_dir"] == "/var/lib/streamlnn"
    assert report["sources"][0] == {
        "id": "plant",
        "kind": "mqtt",
        "where": "mqtt://localhost",
        "subscribes": ["sensors/+/+/telemetry"],
    }
    assert [stream["id"] for stream in report["streams"]] == ["{site}/{device}", "{stem}"]
    assert report["sinks"] == [{"id": "mqtt", "kind": "mqtt", "where": "via plant"}]


def test_checking_leaves_no_trace(tmp_path: Path):
    (tmp_path / "f.toml").write_text(
        f'[daemon]\ndata_dir = "{tmp_path}/data"\n[[source]]\nkind = "stdin"\n'
        f'[[stream]]\nid = "a"\n[[sink]]\nkind = "jsonl"\npath = "{tmp_path}/out.jsonl"'
    )
    assert check(tmp_path).exit_code == 0
    assert os.listdir(tmp_path) == ["f.toml"]


def test_problems_are_json_on_stdout_when_asked_for(folder: Path):
    (folder / "f.toml").write_text("zzz = 1\n")
    result = check(folder, "--json")
    report = json.loads(result.stdout)
    assert result.exit_code == 78
    assert report["ok"] is False
    assert [problem.split(": ")[1] for problem in report["problems"]] == [
        "zzz",
        "source",
        "stream",
    ]


# What a sample would be read as


def test_a_payload_is_read_as_if_it_had_come_on_a_topic(folder: Path):
    reading = sample(folder, PAYLOAD, "--topic", "sensors/north/pump7/telemetry")[0]
    assert reading == {
        "table": "{site}/{device}",
        "topic": "sensors/north/pump7/telemetry",
        "stream": "north/pump7",
        "time": "2023-11-14T22:13:20.5Z",
        "values": {"temperature": 21.5, "vibration": 2.0},
        "missing": [],
        "not_used": ["seq"],
    }


def test_without_a_topic_one_is_made_of_the_names_in_the_template(folder: Path):
    reading = sample(folder, json.dumps(json.loads(PAYLOAD), indent=2))[0]
    assert reading["topic"] == "sensors/site/device/telemetry"
    assert reading["stream"] == "site/device"


def test_of_several_payloads_the_first_is_read(folder: Path):
    reading = sample(folder, f'{PAYLOAD}\n{{"values": {{}}}}\n')[0]
    assert reading["values"] == {"temperature": 21.5, "vibration": 2.0}


def test_a_topic_that_does_not_fit_is_told(folder: Path):
    entry = sample(folder, PAYLOAD, "--topic", "actors/pump7")[0]
    assert entry["problem"] == (
        "the topic 'actors/pump7' does not match 'sensors/{site}/{device}/telemetry'"
    )


def test_a_field_that_is_missing_is_told_with_the_nearest_path(folder: Path):
    reading = sample(folder, PAYLOAD.replace("rms", "rsm"))[0]
    assert reading["values"] == {"temperature": 21.5, "vibration": None}
    assert reading["missing"] == ["vibration: nothing at 'values.rms' (nearest: 'values.rsm')"]
    assert reading["not_used"] == ["values.rsm", "seq"]


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        ("{", "neither JSON nor a number"),
        ("", "no time at 'ts'"),
        ('{"values": {"temp": 1}}', "no time at 'ts'"),
        ('{"ts": "noon", "values": {"temp": 1}}', "time 'noon'"),
        ('{"ts": 1, "values": {"temp": "hot"}}', "field 'temperature' is 'hot', not a number"),
    ],
)
def test_a_payload_that_cannot_be_read_is_told(folder: Path, payload: str, problem: str):
    assert problem in sample(folder, payload)[0]["problem"]


def test_a_csv_file_is_read_by_its_columns(folder: Path):
    content = "datetime;Flow;Level;Note\n2026-07-01 12:00:00;7.5;3;dry\n"
    reading = sample(folder, content, name="weir.csv")[1]
    assert reading == {
        "table": "{stem}",
        "topic": f"{folder}/weir.csv",
        "stream": "weir",
        "time": "2026-07-01T10:00:00Z",
        "values": {"flow": 7.5},
        "missing": [],
        "not_used": ["Level"],
    }


def test_a_recording_with_topics_is_read_by_its_first_message_that_fits(folder: Path):
    lines = [
        {"topic": topic, "payload": PAYLOAD, "payloadlen": len(PAYLOAD), "tst": STAMP}
        for topic in ("other", "sensors/a/b/telemetry")
    ]
    text = "".join(json.dumps({**line, "qos": 0, "retain": 0}) + "\n" for line in lines)
    assert sample(folder, text)[0]["stream"] == "a/b"


def test_samples_are_shown_to_people_too(folder: Path):
    (folder / "s").write_text(PAYLOAD.replace("rms", "rsm"))
    result = check(folder, "--sample", folder / "s")
    lines = [line for line in result.stdout.splitlines() if line.startswith("sample")]
    assert lines[:5] == [
        "sample    {site}/{device}: read as 'site/device' from sensors/site/device/telemetry",
        "sample      time 2023-11-14T22:13:20.5Z",
        "sample      temperature = 21.5, vibration = missing",
        "sample      missing vibration: nothing at 'values.rms' (nearest: 'values.rsm')",
        "sample      not used: values.rsm, seq",
    ]
    assert lines[5].startswith("sample    {stem}: nothing is read: no time at 'datetime'")


def test_a_sample_that_no_table_reads_fails_and_says_so(folder: Path):
    (folder / "s").write_text("hello")
    result = check(folder, "--sample", folder / "s")
    assert result.exit_code == 69
    assert result.stderr == f"{folder}/s: no [[stream]] table reads anything from it\n"
    assert result.stdout.count("nothing is read:") == 2


def test_a_sample_that_is_not_there_exits_with_69(folder: Path):
    result = check(folder, "--sample", folder / "zzz")
    assert result.exit_code == 69
    assert "zzz cannot be read: No such file or directory; name another file" in result.stderr


# Whether this machine has what it needs


SECRETS = PLANT.replace("[[stream]]", 'username = "u"\npassword_file = "{secret}"\n[[stream]]')


def with_secret(folder: Path, secret: Path, data_dir: Path) -> None:
    text = SECRETS.format(url="mqtt://localhost", secret=secret)
    (folder / "f.toml").write_text(text.replace("/var/lib/streamlnn", str(data_dir)))


def test_a_secret_and_a_data_directory_that_can_be_used_are_no_news(folder: Path):
    (folder / "secret").write_text("s3cret\n")
    (folder / "secret").chmod(0o600)
    with_secret(folder, folder / "secret", folder / "new" / "data")
    result = check(folder)
    assert (result.exit_code, result.stderr) == (0, "")
    assert "warning" not in result.stdout
    assert not (folder / "new").exists(), "nothing is made"
    assert "s3cret" not in result.stdout


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "cannot be read: No such file or directory; create it, or correct the path"),
        (" \n", "is empty; write the secret into it"),
        ("s" * 70_000, "is larger than 65536 bytes: it holds no secret"),
    ],
)
def test_a_secret_that_is_not_there_is_an_error_with_its_line(
    folder: Path, content: str | None, problem: str
):
    secret = folder / "secret"
    if content is not None:
        secret.write_text(content)
        secret.chmod(0o600)
    with_secret(folder, secret, folder)
    result = check(folder)
    assert result.exit_code == 78
    assert result.stderr == f"{folder}/f.toml:9: source.password_file: {secret} {problem}\n"
    told = json.loads(check(folder, "--json").stdout)
    assert (told["ok"], len(told["problems"])) == (False, 1)


@pytest.mark.parametrize("below", ["", "/data"])
def test_a_file_in_the_place_of_the_data_directory_is_an_error(folder: Path, below: str):
    (folder / "secret").write_text("s")
    (folder / "secret").chmod(0o600)
    with_secret(folder, folder / "secret", Path(f"{folder}/secret{below}"))
    result = check(folder)
    assert result.exit_code == 78
    assert f"{folder}/secret is no folder; give another data_dir" in result.stderr
    assert "f.toml:3: daemon.data_dir" in result.stderr


def test_what_this_user_may_not_use_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch):
    """The daemon may be another user. Root may do everything, so the system's answer is played."""

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied")

    (folder / "secret").write_text("s")
    with_secret(folder, folder / "secret", folder / "data")
    may = os.access
    monkeypatch.setattr(surroundings, "read_secret", refuse)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(
        os, "access", lambda path, mode, **more: path != folder and may(path, mode, **more)
    )
    result = check(folder)
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("warning")] == [
        f"warning   data_dir: {folder}/data cannot be made by this user; let the daemon's user "
        "write there, or give another data_dir",
        f"warning   password_file: {folder}/secret cannot be read by this user; let the daemon's "
        "user read it",
    ]
    assert len(json.loads(check(folder, "--json").stdout)["doubts"]) == 2


# Whether it connects


def test_every_source_is_connected_when_asked_for(folder: Path, broker: Broker):
    (folder / "f.toml").write_text(PLANT.format(url=broker.url) + LOGS)
    result = check(folder, "--connect", "--json")
    assert json.loads(result.stdout)["connections"] == {"plant": "connected", "logs": "connected"}
    assert result.exit_code == 0


def test_a_source_that_cannot_be_connected_is_told_and_exits_with_69(folder: Path):
    port = free_port()
    (folder / "f.toml").write_text(PLANT.format(url=f"mqtt://127.0.0.1:{port}") + LOGS)
    result = check(folder, "--connect")
    assert result.exit_code == 69
    told = [line for line in result.stdout.splitlines() if line.startswith("connect")]
    assert told[0].startswith("connect   plant: mqtt source 'plant' cannot connect to mqtt://127.")
    assert told[1] == "connect   logs: connected"


def test_checking_takes_no_message_away_from_the_daemon(folder: Path, broker: Broker):
    (folder / "f.toml").write_text(PLANT.format(url=broker.url))
    for _ in range(2):
        assert check(folder, "--connect").exit_code == 0
    assert "streamlnn-plant" not in broker.log.read_text()
