"""Rows "standard output" of the fault matrix: whoever reads the forecasts is slow, or goes away.

Injected: a pipe whose reader does not read, reads late, or is gone; standard output that was closed
before we began; a device that is full.

Must hold: nothing blocks the loop (SIGTERM ends it, the other connections are kept), lines come
whole and in order, a reader who is gone ends the daemon with a message, and what he did not take
comes at the next start.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from daemons import by_identity, command

from connectors.stdio import StdoutSettings, StdoutSink
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, NotConnected
from streamlnn.pipeline.testing import outputs

CONFIG = """
[daemon]
data_dir = "{folder}/data"

[http]
listen = false

[[source]]
kind = "tail"
paths = ["{folder}/*.jsonl"]
start = "saved-or-begin"

[[stream]]
id = "meter"
horizons = [1]
time = {{ path = "t", format = "unix" }}

[model]
units = 8

[[sink]]
kind = "stdout"
"""


@contextmanager
def piped() -> Iterator[int]:
    """The reading end of standard output, which is a pipe for a while."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as pipe, redirect_stdout(pipe):
        yield read
    os.close(read)


def connected() -> StdoutSink:
    sink = StdoutSink(StdoutSettings(), Context())
    sink.connect()
    return sink


def read_until(fd: int, last: int, sink: StdoutSink) -> list[int]:
    """Read and flush by turns until the line `last` has come; return all lines."""
    text = b""
    while b'"seq": %d}\n' % last not in text:
        sink.flush(0.0)
        text += os.read(fd, 65536)
    return [json.loads(line)["seq"] for line in text.splitlines()]


def test_a_slow_reader_holds_nothing_up() -> None:
    """`flush` takes no longer than it may, says how much was taken, and goes on later."""
    with piped() as pipe:
        sink = connected()
        sink.write(outputs(20_000))
        taken = sink.flush(0.01)
        assert 0 < taken < 20_000
        assert sink.flush(0.0) == taken
        assert read_until(pipe, 19_999, sink) == list(range(20_000))
        assert sink.flush(0.0) == 20_000


def test_after_a_new_start_of_the_count_no_line_is_torn() -> None:
    """A line that was begun is finished first; what was not confirmed is written again."""
    with piped() as pipe:
        sink = connected()
        sink.write(outputs(20_000))
        taken = sink.flush(0.0)
        sink.connect()
        assert sink.flush(0.0) == 0
        sink.write(outputs(2, first=30_000))
        *before, last, newest = read_until(pipe, 30_001, sink)
        assert len(before) in (taken, taken + 1)
        assert [*before, last, newest] == [*range(len(before)), 30_000, 30_001]
        assert sink.flush(0.0) == 2


def test_a_full_device_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No try says that all is well before something could be written."""
    target = tmp_path / "out"
    with open("/dev/full", "w") as full, target.open("w") as good:
        monkeypatch.setattr(sys, "stdout", full)
        sink = connected()
        sink.write(outputs(3))
        with pytest.raises(NotConnected, match="standard output: No space left on device; make"):
            sink.flush(0.0)
        with pytest.raises(NotConnected, match="No space left"):
            sink.connect()
        monkeypatch.setattr(sys, "stdout", good)
        sink.connect()
        sink.write(outputs(3))
        assert sink.flush(0.0) == 3
    told = [json.loads(line)["seq"] for line in target.read_text().splitlines()]
    assert told[-3:] == [0, 1, 2]


def test_without_standard_output_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be some file of ours by then: nothing is written there."""
    monkeypatch.setattr(sys, "stdout", None)
    with pytest.raises(ConfigError, match=r"standard output is closed: open it, or .*\[\[sink\]\]"):
        connected()


def start(folder: Path, count: int) -> subprocess.Popen[bytes]:
    """A daemon with that many samples to read."""
    config = folder / "config.toml"
    config.write_text(CONFIG.format(folder=folder))
    text = "".join(json.dumps({"t": 100 + n, "v": n % 7}) + "\n" for n in range(count))
    (folder / "x.jsonl").write_text(text)
    with (folder / "errors").open("ab") as errors:
        return subprocess.Popen(command("run", config), stdout=subprocess.PIPE, stderr=errors)


def forecasts(text: bytes) -> list[bytes]:
    """The whole ones: whoever is ended leaves a last line as it is."""
    lines = [line for line in text.splitlines() if line.endswith(b"}}}")]
    return [line for line in lines if b'"seq"' in line]


def test_a_reader_who_goes_away_ends_the_daemon_and_the_next_one_gets_the_rest(
    tmp_path: Path,
) -> None:
    """What was in the pipe goes with him; and one who only waits does not keep the daemon alive."""
    first = start(tmp_path, 1000)
    first.stdout.readline()
    first.stdout.close()
    assert first.wait(60) == 0
    errors = (tmp_path / "errors").read_text()
    assert "nobody reads standard output any more: ending; what was not taken" in errors
    assert "Traceback" not in errors
    with start(tmp_path, 1000) as second:
        read = b"".join(second.stdout.readline() for _ in range(100))
        second.send_signal(signal.SIGTERM)
        assert second.wait(20) == 0  # with a full pipe before it
        read += second.stdout.read() + b"\n"
    seqs = [seq for _, _, seq in by_identity(forecasts(read))]
    assert len(seqs) >= 99
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert seqs[0] < 400  # what a pipe holds is gone with its reader, and no more
