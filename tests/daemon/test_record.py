"""`streamlnn record`: what is recorded beside a daemon is what the daemon heard, and said again.

Fault matrix, row "the recorder is killed": a process that records from mosquitto is ended by
SIGKILL, and five more bytes are cut off its gzipped file; all but the last second must be in it,
readable.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from brokers import Broker, free_port, wait_until
from click.testing import CliRunner, Result
from daemons import command, digest, running
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.heard import HeardReader, is_heard
from connectors.recordings import Recording
from streamlnn.daemon.cli import cli
from streamlnn.daemon.record import Recorder
from streamlnn.pipeline.contract import Message

START = 1_700_000_000_000


def run(*words: object) -> Result:
    return CliRunner().invoke(cli, list(map(str, words)))


def sample(n: int, device: str = "") -> tuple[str, str]:
    value = 20 + (n * n % 17) / 4
    payload = json.dumps({"ts": START + 1000 * n, "temp": value})
    return f"sensors/{device or f'pump{n % 2}'}", payload


def mqtt_config(folder: Path, url: str) -> tuple[Path, int]:
    config, http = folder / "pipeline.toml", free_port()
    config.write_text(
        f"[daemon]\ninstance = 'plant1'\ndata_dir = '{folder / 'data'}'\n"
        f"[http]\nlisten = '127.0.0.1:{http}'\n[model]\nunits = 20\n"
        f"[[source]]\nkind = 'mqtt'\nid = 'plant'\nurl = '{url}'\n"
        "[[stream]]\ntopic = 'sensors/{device}'\nid = '{device}'\n"
        "time = { path = 'ts', format = 'unix_ms' }\nhorizons = ['1s', '10s']\n"
        f"[[sink]]\nkind = 'jsonl'\nevents = false\npath = '{folder / 'live.jsonl'}'\n"
    )
    return config, http


def begin(config: Path, output: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as errors:
        process = subprocess.Popen(command("record", config, "-o", output), stderr=errors)
    wait_until(lambda: b"is connected to" in log.read_bytes(), "the recorder to connect")
    return process


def look_beside(config: Path) -> None:
    """What is on disk is told while the daemon goes on."""
    told = json.loads(run("info", config, "--json").stdout)
    assert (told["kept"], told["accepted"]) == (200, 200)
    assert {one["stream"]: one["records"] for one in told["streams"]} == {
        "pump0": 100,
        "pump1": 100,
    }
    assert [one["sink"] for one in told["sinks"]] == ["jsonl"]
    letters = json.loads(run("state", "dead-letters", config, "--json").stdout)
    assert letters["counts"][0]["count"] == 1
    assert letters["letters"][0]["base64"] == "/wAgbm8gdGV4dA=="
    assert letters["letters"][0]["origin"] == "sensors/pump0"


def test_a_recording_beside_the_daemon_replays_to_its_forecasts_bit_for_bit(
    broker: Broker, tmp_path: Path
) -> None:
    (config, http), recording = mqtt_config(tmp_path, broker.url), tmp_path / "heard.jsonl.gz"
    messages = [sample(n) for n in range(200)]
    live = tmp_path / "live.jsonl"
    with running(config, http) as daemon:
        recorder = begin(config, recording, tmp_path / "record.txt")
        broker.publish_all([*messages[:120], ("sensors/pump0", b"\xff\x00 no text"), messages[0]])
        broker.publish_all(messages[120:])
        wait_until(lambda: live.read_bytes().count(b"\n") == 200, "all forecasts")
        recorder.terminate()
        assert recorder.wait(20) == 0
        look_beside(config)
        assert daemon.stop() == 0
    assert b"202 messages (202 of plant)" in (tmp_path / "record.txt").read_bytes()
    done = run("replay", recording, "--config", config, "--expect", live)
    assert done.exit_code == 0, done.stderr
    assert done.stdout_bytes == live.read_bytes()
    again = run("replay", tmp_path / "data", "--config", config, "--expect", live)
    assert again.exit_code == 0, again.stderr
    assert digest(again.stderr.encode()) == digest(done.stderr.encode())


def test_a_recorder_that_is_killed_has_all_but_the_last_second(
    broker: Broker, tmp_path: Path
) -> None:
    (config, _), recording = mqtt_config(tmp_path, broker.url), tmp_path / "heard.jsonl.gz"
    recorder, sent = begin(config, recording, tmp_path / "record.txt"), list[float]()
    stop = threading.Event()

    def speak() -> None:
        for n in range(10_000):
            broker.publish_all([sample(7 * n + k) for k in range(7)])
            sent.append(time.monotonic())
            if stop.wait(0.02):
                return

    speaker = threading.Thread(target=speak)
    speaker.start()
    time.sleep(1.3)
    recorder.kill()
    killed = time.monotonic()
    stop.set()
    speaker.join()
    recorder.wait(20)
    with recording.open("r+b") as file:
        file.truncate(recording.stat().st_size - 5)
    payloads = [message.payload.decode() for message, _ in Recording(recording).entries()]
    assert payloads == [sample(n)[1] for n in range(len(payloads))]
    assert len(payloads) >= 7 * sum(at < killed - 1 for at in sent) > 0


def test_a_file_that_is_there_is_not_overwritten_and_no_empty_one_is_left(tmp_path: Path) -> None:
    log, config, out = tmp_path / "pump7.csv", tmp_path / "f.toml", tmp_path / "out.jsonl"
    log.write_text("flow\n1\n2\n")
    config.write_text(
        f"[[source]]\nkind = 'tail'\nid = 'logs'\npaths = ['{log}']\n[[stream]]\n"
        f"[daemon]\ndata_dir = '{tmp_path / 'data'}'\n"
    )
    done = run("record", config, "-o", out, "--for", "0.2s")
    assert (done.exit_code, out.exists()) == (69, False)
    assert "nothing came, so there is no recording" in done.stderr
    config.write_text(config.read_text().replace("'logs'", "'logs'\nstart = 'begin'"))
    assert run("record", config, "-o", out, "--for", "0.2s").exit_code == 0
    recorded = out.read_bytes()
    done = run("record", config, "-o", out, "--for", "0.2s")
    assert (done.exit_code, out.read_bytes()) == (2, recorded)
    assert "is there already, and is not overwritten: name another file" in done.stderr
    assert not (tmp_path / "data").exists()


def test_a_disk_without_room_ends_it_with_a_way_out(tmp_path: Path) -> None:
    """The system refuses to let the file grow (RLIMIT_FSIZE): what is in it can still be read."""
    config, out = tmp_path / "f.toml", tmp_path / "out.jsonl"
    config.write_text("[[source]]\nkind = 'stdin'\n[[stream]]\nid = 'a'\n")
    limited = ["bash", "-c", 'ulimit -f 8; exec "$@"', "-", *command("record", config, "-o", out)]
    lines = b"".join(b"%d\n" % n for n in range(500))
    done = subprocess.run(limited, input=lines, capture_output=True, timeout=60)
    assert done.returncode == 1
    assert b"cannot write" in done.stderr
    assert b"name another file, or make room: what is in it can be read" in done.stderr
    assert b"Traceback" not in done.stderr
    payloads = [message.payload for message, _ in Recording(out).entries()]
    assert payloads == [b"%d" % n for n in range(len(payloads))]
    assert len(payloads) > 50


ORIGINS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@settings(max_examples=60)
@given(
    origin=ORIGINS,
    payload=st.binary() | st.text().map(lambda text: text.encode(errors="replace")),
    received=st.none() | st.integers(0, 2**62),
    columns=st.none() | st.lists(ORIGINS, min_size=1).map(tuple),
    retained=st.booleans(),
    has_topics=st.booleans(),
)
def test_every_message_is_read_as_it_was_heard(
    origin: str,
    payload: bytes,
    received: int | None,
    columns: tuple[str, ...] | None,
    retained: bool,
    has_topics: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    class Heard:
        id, format = "plant", "json"

    message = Message(origin, payload, received, columns, retained, "plant")
    path = tmp_path_factory.mktemp("heard") / "one.jsonl"
    with Recorder(path, {"plant"} if has_topics else set()) as recorder:
        recorder.write(Heard(), [message])  # type: ignore[arg-type]
    (line,) = path.read_bytes().splitlines()
    assert is_heard(line)
    assert not is_heard(line[:-1])
    assert HeardReader("", [line]).read(line) == message


def test_messages_of_several_sources_go_to_the_tables_of_their_own(tmp_path: Path) -> None:
    """Two brokers with the same topics, and a file: with and without a configuration."""
    recording, config = tmp_path / "heard.jsonl", tmp_path / "f.toml"
    lines = []
    for n in range(5):
        moment = f"2026-01-01T00:00:0{n}Z"
        for source in ("north", "south"):
            told = {"source": source, "topic": "pump", "received": moment, "payload": f"{n}"}
            lines.append(told)
        told = {"source": "logs", "path": "/x/pump.csv", "received": moment, "payload": f"{n};1"}
        lines.append(told | {"columns": ["a", "b"], "codec": "csv"})
    recording.write_text("\n".join(map(json.dumps, lines)))
    told = {json.loads(line)["stream"] for line in run("replay", recording).stdout.splitlines()}
    assert told == {"north/pump", "south/pump", "logs/pump"}
    url = "url = 'mqtt://localhost'"
    config.write_text(
        f"[[source]]\nkind = 'mqtt'\nid = 'north'\n{url}\n"
        f"[[source]]\nkind = 'mqtt'\nid = 'south'\n{url}\n"
        "[[source]]\nkind = 'tail'\nid = 'logs'\npaths = ['/x/*.csv']\n"
        "[[stream]]\nfrom = 'north'\ntopic = 'pump'\nid = 'n'\n"
        "[[stream]]\nfrom = 'south'\ntopic = 'pump'\nid = 's'\n"
        "[[stream]]\nfrom = 'logs'\nid = 'f/{stem}'\n[[sink]]\nkind = 'stdout'\n"
    )
    done = run("replay", recording, "--config", config)
    streams = [json.loads(line)["stream"] for line in done.stdout.splitlines()]
    assert streams == ["n", "s", "f/pump"] * 5
    with closing(recording.open("a")) as file:
        file.write('\n{"source": "north", "topic": "pump", "received"')
    assert len(run("replay", recording, "--config", config).stdout.splitlines()) == 15
