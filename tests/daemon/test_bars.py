"""Bars on a terminal, and nothing of them anywhere else; a real pseudo terminal looks on."""

from __future__ import annotations

import io
import math
import os
import pty
import re
import subprocess
import sys
import termios
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from daemons import command, streamlnn

from streamlnn.daemon import bar as bars
from streamlnn.daemon.bar import Bar

WIDE = 160


class Terminal:
    """The other end of a pseudo terminal; `fd` is for whoever writes to it."""

    def __init__(self) -> None:
        self._other, self.fd = pty.openpty()
        termios.tcsetwinsize(self.fd, (24, WIDE))
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        try:
            while some := os.read(self._other, 65536):
                self._seen += some
        except OSError:  # all writers are gone
            return

    def text(self) -> str:
        """All that was written, once nobody writes any more."""
        os.close(self.fd)
        self._reader.join(20)
        os.close(self._other)
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._seen.decode())


def on_terminal(*words: object) -> tuple[bytes, str]:
    """Run a command to its end: what it wrote to stdout, a pipe, and to stderr, a terminal."""
    terminal = Terminal()
    environment = os.environ | {"TERM": "xterm"}
    try:
        done = subprocess.run(
            command(*words),
            stdout=subprocess.PIPE,
            stderr=terminal.fd,
            timeout=250,
            env=environment,
        )
    finally:
        text = terminal.text()
    assert done.returncode == 0, text
    return done.stdout, text


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump7.csv"
    rows = [f"{1_700_000_000 + 60 * n},{math.sin(n / 5):.4f}" for n in range(6000)]
    path.write_text("\n".join(["time,flow", *rows, ""]))
    return path


@pytest.mark.parametrize(
    ("name", "doing"),
    [("replay", ["replaying"]), ("eval", ["reading", "forecasting"]), ("plot", ["forecasting"])],
)
def test_a_terminal_sees_how_far_it_is_and_how_fast(
    recording: Path, tmp_path: Path, name: str, doing: list[str]
) -> None:
    picture = tmp_path / "f.png"
    words = ["scores", "--replay", recording, "-o", picture] if name == "plot" else [recording]
    data, text = on_terminal(name, *words)
    for one in doing:
        assert re.search(rf"{one} .* [\d,]+ records, [\d,]+/s \d:\d\d:\d\d ", text), text[:2000]
    quiet = streamlnn(name, *words)
    assert quiet.stdout == data
    assert not any(one.encode() in quiet.stderr for one in [*doing, "\x1b"])


def test_a_recording_in_progress_tells_its_size_and_the_time_left(
    recording: Path, tmp_path: Path
) -> None:
    config = tmp_path / "f.toml"
    config.write_text(
        f'[[source]]\nkind = "tail"\nid = "logs"\npaths = ["{recording}"]\nstart = "begin"\n'
        '[[stream]]\nfrom = "logs"\n'
    )
    _, text = on_terminal("record", config, "-o", tmp_path / "heard.jsonl", "--for", "1s")
    assert re.search(
        r"recording .* 6,000 messages, [\d.]+ [KM]B, [\d,]+/s 0:00:0\d 0:00:0\d", text
    ), text
    quiet = streamlnn("record", config, "-o", tmp_path / "again.jsonl", "--for", "1s")
    assert b"\x1b" not in quiet.stderr
    assert b"/s" not in quiet.stderr


def test_forecasts_on_the_terminal_itself_have_no_bar_between_them(recording: Path) -> None:
    terminal = Terminal()
    done = subprocess.Popen(command("replay", recording), stdout=terminal.fd, stderr=terminal.fd)
    assert done.wait(250) == 0
    text = terminal.text()
    assert text.count('"forecast"') == 6000
    assert "replaying" not in text


def test_a_bar_counts_also_where_nobody_looks_and_asks_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def asked() -> float:
        raise AssertionError("nobody looks")

    now = [100.0]
    monkeypatch.setattr(bars, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Bar("reading", asked) as bar:
        for _ in range(10):
            now[0] += 1.0
            bar.add(3)
    assert bar.count == 30
    assert sys.stderr.getvalue() == ""


def test_a_bar_knows_the_rate_of_late_and_comes_back_when_cleared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal, now = Terminal(), [100.0]
    monkeypatch.setattr(bars, "time", SimpleNamespace(monotonic=lambda: now[0]))
    with os.fdopen(os.dup(terminal.fd), "w") as stderr:
        monkeypatch.setattr(sys, "stderr", stderr)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(WIDE))
        with Bar("working", total=4000, what="things", more=lambda: "so far") as bar:
            for _ in range(3):
                now[0] += 1.0
                bar.add(1000)
            bar.clear()
            stderr.write("between\n")
            now[0] += 1.0
            bar.add(1000)
    text = terminal.text()
    assert "3,000 things, so far, 1,000/s" in text
    before, behind = text.split("between")
    assert "working" in before
    assert "4,000 things" in behind
