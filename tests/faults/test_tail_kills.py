"""Row "tail and kill -9" of the fault matrix: a daemon that dies half a second after each start.

Injected: a writer appends as fast as it can and renames its file away every so many lines, keeping
the old ones under dated names; each burst begins when the daemon says that it is ready, and 0.5 s
later it gets SIGKILL. Then it may run to the end.

Must hold: every line is in the journal exactly once; every forecast is in the file of forecasts,
under one identity with one value; the values are those of a replay of the same lines in one go.
The long variant does it with 25 kills and a million lines: `pytest -m soak`.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec
import pytest
from brokers import free_port, wait_until
from daemons import running, streamlnn

CONFIG = """
[daemon]
data_dir = "{folder}/data"

[http]
listen = "127.0.0.1:{http}"

[[source]]
kind = "tail"
paths = ["{folder}/logs/x.csv"]
start = "saved-or-begin"

[[stream]]
id = "{{stem}}"
horizons = [1]
time = {{ path = "t", format = "unix" }}

[[sink]]
kind = "jsonl"
path = "{folder}/forecasts.jsonl"
events = false

[model]
units = 8
"""
HEADER = "t,v\n"


@dataclass(frozen=True)
class Course:
    """How often the daemon is killed, and what is written before each kill."""

    kills: int
    burst: int
    rotate_every: int

    @property
    def lines(self) -> int:
        return (self.kills + 1) * self.burst


COURSES = [
    pytest.param(Course(kills=3, burst=3_000, rotate_every=1_000), id="short"),
    pytest.param(
        Course(kills=25, burst=40_000, rotate_every=20_000),
        id="long",
        marks=[pytest.mark.soak, pytest.mark.timeout(5400)],
    ),
]


def line(number: int) -> str:
    return f"{number},{number * number % 1009}\n"


class Log:
    """The file that is written, and rotated by renaming."""

    def __init__(self, path: Path, rotate_every: int) -> None:
        self.path = path
        self._rotate_every = rotate_every
        self.written = 0
        self._begin()

    def burst(self, count: int) -> None:
        for number in range(self.written, self.written + count):
            self._file.write(line(number))
            if (number + 1) % self._rotate_every == 0:
                self._rotate(number)
        self._file.flush()
        self.written += count

    def close(self) -> None:
        self._file.close()

    def _rotate(self, number: int) -> None:
        self.path.rename(f"{self.path}-{number:08}")
        self._file.close()
        self._begin()

    def _begin(self) -> None:
        self._file = self.path.open("w", buffering=300)
        self._file.write(HEADER)


class Told(msgspec.Struct):
    epoch: int
    seq: int


def forecasts(path: Path) -> dict[int, bytes]:
    """The hash of every forecast by its number; fails when one was said with two values."""
    decoder, found = msgspec.json.Decoder(Told), dict[int, bytes]()
    with path.open("rb") as file:
        for text in file:
            if text.endswith(b"\n"):
                told, value = decoder.decode(text), hashlib.blake2b(text, digest_size=8).digest()
                assert told.epoch == 0
                assert found.setdefault(told.seq, value) == value, f"two values of {told}"
    return found


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def last_in(file: BinaryIO) -> int:
    """The number of the last whole forecast in a file, -1 if there is none."""
    file.seek(-min(2000, file.seek(0, os.SEEK_END)), os.SEEK_END)
    _, *lines, _ = [b"", *file.read().split(b"\n")]
    return msgspec.json.decode(lines[-1], type=Told).seq if len(lines) > 1 else -1


def journalled(folder: Path) -> Iterator[int]:
    """The second in the time of each record, in the order in which they were accepted."""
    with closing(sqlite3.connect(folder / "data" / "journal.db")) as db:
        for (nanoseconds,) in db.execute("SELECT time FROM log ORDER BY lsn"):
            yield nanoseconds // 10**9


@pytest.mark.parametrize("course", COURSES)
def test_every_line_is_journalled_once_and_every_forecast_is_that_of_the_replay(
    tmp_path: Path, course: Course
) -> None:
    (tmp_path / "logs").mkdir()
    http, config = free_port(), tmp_path / "config.toml"
    config.write_text(CONFIG.format(folder=tmp_path, http=http))
    log, out = Log(tmp_path / "logs" / "x.csv", course.rotate_every), tmp_path / "forecasts.jsonl"
    at_kill = []
    for _ in range(course.kills):
        with running(config, http) as daemon:
            writer = threading.Thread(target=log.burst, args=(course.burst,))
            writer.start()
            time.sleep(0.5)
            daemon.kill()
            writer.join()
        at_kill.append(count_lines(out))
    with running(config, http) as daemon:
        log.burst(course.burst)
        with out.open("rb") as file:
            wait_until(lambda: last_in(file) == course.lines - 1, "the last forecast", secs=3600)
        assert daemon.stop() == 0
    log.close()
    told = forecasts(out)
    assert sorted(told) == list(range(course.lines))
    assert list(journalled(tmp_path)) == list(range(course.lines))
    whole, replayed = tmp_path / "x.csv", tmp_path / "replayed.jsonl"
    whole.write_text(HEADER + "".join(map(line, range(course.lines))))
    done = streamlnn("replay", whole, "--config", config, "-o", replayed)
    assert done.returncode == 0, done.stderr.decode()
    assert forecasts(replayed) == told
    print(f"\n{course}: {course.lines} lines, forecasts at the kills: {at_kill},")
    print(f"written again: {count_lines(out) - course.lines}, lost 0, with two values 0")
