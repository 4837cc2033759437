"""The whole daemon on a file that is being written, rotated, and read through kills."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from brokers import free_port, wait_until
from daemons import by_identity, running, streamlnn

CONFIG = """
[daemon]
data_dir = "{folder}/data"

[http]
listen = "127.0.0.1:{http}"

[[source]]
kind = "tail"
id = "logs"
paths = ["{folder}/logs/*.csv"]
start = "saved-or-begin"

[[stream]]
id = "{{stem}}"
fields = {{ flow = "Volume Flow RateRMS" }}
time = {{ path = "datetime", format = "%Y-%m-%d %H:%M:%S" }}

[[sink]]
kind = "jsonl"
path = "{folder}/forecasts.jsonl"
events = false

[model]
units = 20
"""
HEADER = "datetime;Pressure;Volume Flow RateRMS\n"


def lines(count: int) -> Iterator[str]:
    for n in range(count):
        stamp = f"2026-01-01 {n // 3600:02}:{n // 60 % 60:02}:{n % 60:02}"
        yield f"{stamp};0.4;{30 + 3 * math.sin(n / 9):.3f}\n"


def forecasts(folder: Path) -> list[bytes]:
    path = folder / "forecasts.jsonl"
    whole, _, _ = path.read_bytes().rpartition(b"\n") if path.exists() else (b"", b"", b"")
    return whole.splitlines()


def test_a_file_that_is_written_rotated_and_read_through_kills_is_as_good_as_its_replay(
    tmp_path: Path,
) -> None:
    """Rows come in pieces, the file is renamed and begun anew, the daemon is killed in between."""
    (tmp_path / "logs").mkdir()
    http, config, log = free_port(), tmp_path / "config.toml", tmp_path / "logs" / "pump7.csv"
    config.write_text(CONFIG.format(folder=tmp_path, http=http))
    rows, written = list(lines(900)), 0
    with log.open("w") as file:
        file.write(HEADER)
    for part in range(1, 10):
        with running(config, http) as daemon:
            text = "".join(rows[written : part * 100])
            for at in range(0, len(text), 1000):
                with log.open("a") as file:
                    file.write(text[at : at + 1000])
            written = part * 100
            if part % 2 == 0:
                wait_until(lambda: len(forecasts(tmp_path)) >= written - 150, "some forecasts")  # noqa: B023
            daemon.kill()
        if part % 3 == 0 and part < 9:
            log.rename(tmp_path / "logs" / f"pump7.csv.{part}")
            log.write_text(HEADER)
    with running(config, http) as daemon:
        wait_until(lambda: len(by_identity(forecasts(tmp_path))) == 900, "every forecast", secs=60)
        assert daemon.stop() == 0
    whole, out = tmp_path / "pump7.csv", tmp_path / "replayed.jsonl"
    whole.write_text(HEADER + "".join(rows))
    done = streamlnn("replay", whole, "--config", config, "-o", out)
    assert done.returncode == 0, done.stderr.decode()
    assert by_identity(forecasts(tmp_path)) == by_identity(out.read_bytes().splitlines())


STDIN = """
[daemon]
data_dir = "{folder}/data"

[http]
listen = false

[[source]]
kind = "stdin"

[[stream]]
id = "meter"
horizons = [1]
"""


def test_standard_input_is_forecast_line_by_line(tmp_path: Path) -> None:
    """`producer | streamlnn run` gives a forecast for each line, however many come at once."""
    config = tmp_path / "config.toml"
    config.write_text(STDIN.format(folder=tmp_path))
    samples = "\n".join(json.dumps({"power": 100 + n % 5}) for n in range(20)).encode()
    done = streamlnn("run", config, stdin=samples)
    assert done.returncode == 0, done.stderr.decode()
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [message["seq"] for message in told if "seq" in message] == list(range(20))
    assert {message["stream"] for message in told} == {"meter"}
