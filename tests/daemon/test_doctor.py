"""`streamlnn doctor`: what it finds at a real broker, on the disk and in files, and what it leaves.

Fault matrix, row "broker refuses, queues little, or is away": injected by mosquitto's own settings
(an ACL that grants reading only, `max_queued_messages`, nobody listening); what is wrong must be a
finding with a way out and exit code 1, and neither session nor retained message may stay behind.
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from brokers import Broker, MakeBroker, free_port, wait_until
from click.testing import CliRunner

from connectors.mqtt import examine
from streamlnn.daemon import disk, doctor
from streamlnn.daemon.cli import cli

Findings = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(autouse=True)
def small_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examine, "PROBE_MESSAGES", 300)
    monkeypatch.setattr(examine, "QUIET_SECS", 0.2)
    monkeypatch.setattr(doctor, "LISTEN_SECS", 0.4)
    monkeypatch.setattr(disk, "COMMITS", 20)


def write_config(folder: Path, source: str, stream: str = "") -> Path:
    config = folder / "pipeline.toml"
    config.write_text(
        f"[daemon]\ninstance = 'plant1'\ndata_dir = '{folder / 'data'}'\nmax_size = '10MB'\n"
        f"[[source]]\n{source}\n[[stream]]\n{stream}\n"
    )
    return config


def mqtt_config(folder: Path, url: str, more: str = "") -> Path:
    stream = "topic = 'sensors/{device}'\ntime = { path = 'ts', format = 'unix_ms' }\nevery = '1s'"
    return write_config(folder, f"kind = 'mqtt'\nid = 'plant'\nurl = '{url}'\n{more}", stream)


def examined(config: Path, code: int = 0) -> tuple[Findings, list[str]]:
    result = CliRunner().invoke(cli, ["-q", "doctor", str(config), "--json"])
    assert result.exit_code == code, result.output
    told = json.loads(result.stdout)
    assert told["ok"] is (code == 0)
    found = {(one["where"], one["what"]): one for one in told["findings"]}
    assert all(one["way_out"] for one in found.values() if one["state"] != "ok")
    return found, told["advice"]


def test_a_broker_is_measured_and_left_as_it_was(make_broker: MakeBroker, tmp_path: Path) -> None:
    """Its limits are those of its configuration, and its own counts say that nothing stays."""
    broker = make_broker("max_queued_messages 200", "max_packet_size 2000", "sys_interval 1")
    stop = threading.Event()

    def speak() -> None:
        while not stop.wait(0.05):
            ts = round(1000 * time.time()) - 7_200_000
            broker.publish("sensors/pump7", f'{{"ts": {ts}, "flow": 1.5}}')

    speaker = threading.Thread(target=speak)
    speaker.start()
    try:
        found, advice = examined(mqtt_config(tmp_path, broker.url))
    finally:
        stop.set()
        speaker.join()
    assert found["source plant", "broker"]["value"].startswith("mosquitto version")
    assert found["source plant", "packets"]["value"] == 2000
    assert found["source plant", "packets"]["state"] == "warning"
    assert found["source plant", "outgoing window"]["value"] == 20
    assert (found["source plant", "queue"]["value"], found["source plant", "queue"]["state"]) == (
        200,
        "warning",
    )
    assert found["source plant", "window"]["said"].startswith("at least 200 messages")
    assert found["source plant", "session"]["value"] == 604_800
    assert 0 < found["source plant", "round trip"]["value"] < 1
    assert found["source plant", "messages"]["value"] > 1
    clock = found["source plant", "clock"]
    assert clock["state"] == "warning"
    assert clock["way_out"].startswith("+2 h looks like a time zone")
    assert found["sink mqtt", "publishing"]["state"] == "ok"
    assert found["sink mqtt", "retained"]["value"] == "kept"
    assert found["disk", "commit"]["value"] > 0
    assert found["disk", "written"]["value"] > 1e6
    assert not (tmp_path / "data").exists()
    assert any(line.startswith("max_queued_messages") for line in advice)
    with (
        broker.collect("#") as retained,
        broker.collect("$SYS/broker/clients/+") as counts,
        broker.collect("$SYS/broker/subscriptions/count") as subscriptions,
    ):
        wait_until(
            lambda: b"3" in [one.payload for one in subscriptions.messages],
            "the broker to count our own three subscriptions and no other",
        )
        told = {one.topic.rpartition("/")[2]: one.payload for one in counts.messages}
        assert told["disconnected"] == b"0"
        assert retained.messages == []


def test_a_broker_of_3_1_1_shows_its_own_window(make_broker: MakeBroker, tmp_path: Path) -> None:
    broker = make_broker("max_queued_messages 0")
    found, _ = examined(mqtt_config(tmp_path, broker.url, "version = '3.1.1'"))
    assert found["source plant", "window"]["value"] == 20
    assert found["source plant", "window"]["state"] == "warning"
    assert found["source plant", "queue"]["said"].startswith("at least 300 messages")
    assert found["source plant", "messages"]["state"] == "warning"


def test_a_user_who_may_only_read_is_told_what_to_grant(
    make_broker: MakeBroker, tmp_path: Path
) -> None:
    rights = tmp_path / "rights.acl"
    rights.write_text("topic read sensors/#\n")
    rights.chmod(0o600)
    broker = make_broker(f"acl_file {rights}")
    found, _ = examined(mqtt_config(tmp_path, broker.url), code=1)
    publishing = found["sink mqtt", "publishing"]
    assert publishing["state"] == "problem"
    assert publishing["way_out"] == "let this user write streamlnn/plant1/#"
    assert found["source plant", "queue"]["said"].startswith("not tried: this user may not write")
    assert found["source plant", "subscription"]["state"] == "ok"


def test_a_broker_that_is_away_is_a_problem_with_a_way_out(tmp_path: Path) -> None:
    config = mqtt_config(tmp_path, f"mqtt://127.0.0.1:{free_port()}")
    found, advice = examined(config, code=1)
    assert "nothing listens there: start the broker" in found["source plant", "broker"]["said"]
    assert advice == []
    result = CliRunner().invoke(cli, ["-q", "doctor", str(config)])
    assert result.exit_code == 1
    assert "source plant  problem  broker: mqtt://127.0.0.1" in result.stdout
    assert "1 problem," in result.stdout


def test_a_daemon_that_follows_everything_is_not_fed_with_probes(
    broker: Broker, tmp_path: Path
) -> None:
    config = write_config(tmp_path, f"kind = 'mqtt'\nurl = '{broker.url}'", "topic = '#'")
    config.write_text(config.read_text() + "[[sink]]\nkind = 'stdout'\n")
    with broker.collect("streamlnn/#") as heard:
        found, _ = examined(config)
        assert "not tried: the daemon follows" in found["source mqtt", "queue"]["said"]
        assert heard.messages == []


def test_followed_files_are_looked_at(tmp_path: Path) -> None:
    followed, config = tmp_path / "pump7.csv", tmp_path / "missing" / "*.csv"
    source = f"kind = 'tail'\nid = 'logs'\npaths = ['{followed}', '{config}']"
    path = write_config(tmp_path, source)
    assert examined(path)[0]["source logs", "files"]["state"] == "warning"
    followed.write_text("flow\n1\n")
    os.utime(followed, (1e9, 1e9))
    (tmp_path / "pump7.csv.1").write_text("flow\n1\n")
    found, _ = examined(path)
    assert found["source logs", "files"]["value"] == 1
    assert found["source logs", "growing"]["state"] == "warning"
    assert found["source logs", "rotation"]["said"].startswith("1 rotated files")


def test_a_data_directory_is_judged(tmp_path: Path) -> None:
    config = write_config(tmp_path, "kind = 'stdin'")
    (tmp_path / "data").mkdir(mode=0o755)
    found, _ = examined(config)
    assert found["disk", "rights"]["way_out"] == f"chmod 700 {tmp_path / 'data'}"
    (tmp_path / "data").chmod(0o775)
    found, _ = examined(config, code=1)
    assert "the daemon refuses to start on it" in found["disk", "rights"]["said"]
    (tmp_path / "data").chmod(0o700)
    (tmp_path / "data" / "journal.db").write_bytes(b"no journal at all")
    found, _ = examined(config, code=1)
    assert found["disk", "rights"]["state"] == "ok"
    assert found["disk", "journal"]["state"] == "problem"
    assert sorted(file.name for file in (tmp_path / "data").iterdir()) == ["journal.db"]


@pytest.mark.parametrize(
    ("folder", "kind"),
    [("/", "ext4"), ("/var/lib", "ext4"), ("/var/lib/a b/c", "nfs4"), ("/run/x", "tmpfs")],
)
def test_the_file_system_is_that_of_the_nearest_mount(
    tmp_path: Path, folder: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:26 / /run rw,nosuid - tmpfs tmpfs rw\n"
        "40 22 0:40 / /var/lib/a\\040b rw - nfs4 server:/export rw\n"
    )
    assert disk.kind_of(Path(folder), mounts) == kind
