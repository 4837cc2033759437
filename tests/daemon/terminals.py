"""A command on a terminal: a pseudo terminal at its side, an emulator that reads it at ours."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from typing import Self

import pyte
from brokers import wait_until
from daemons import command

CTRL_C, CTRL_Z = "\x03", "\x1a"
SUSPENDED = 'set -m; "$@"; echo "given back"; read; fg > /dev/null'
"""A shell's script: runs a job until it is suspended, and goes on with it after Enter."""
ALTERNATE = 1049 << 5
"""The mode of the second screen, as the emulator numbers private modes."""


class Terminal:
    """`streamlnn ...` as the one job of a terminal; `text` is what somebody sees on it.

    `script` is what a shell does with it.
    """

    def __init__(
        self,
        *arguments: object,
        columns: int = 80,
        lines: int = 24,
        script: str = 'exec "$@"',
        **environment: str,
    ) -> None:
        self._ours, theirs = pty.openpty()
        self._screen = pyte.HistoryScreen(columns, lines, history=1000)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._reads = threading.Event()
        self._reads.set()
        self._sized(columns, lines)
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *command(*arguments)],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env=_environment() | {"TERM": "xterm-256color"} | environment,
        )
        os.close(theirs)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._reads.set()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        self._thread.join(20)
        os.close(self._ours)

    @property
    def lines(self) -> list[str]:
        """What is on the screen now."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    @property
    def colours(self) -> set[str]:
        """The colours of what is on the screen."""
        with self._lock:
            rows = [self._screen.buffer[line] for line in range(self._screen.lines)]
            return {row[column].fg for row in rows for column in range(self._screen.columns)}

    @property
    def past(self) -> str:
        """What has left the screen at its top, and what is on it."""
        with self._lock:
            gone = [
                "".join(line[column].data for column in range(self._screen.columns)).rstrip()
                for line in self._screen.history.top
            ]
        return "\n".join([*gone, self.text])

    @property
    def cursor_is_shown(self) -> bool:
        with self._lock:
            return not self._screen.cursor.hidden

    @property
    def is_on_second_screen(self) -> bool:
        with self._lock:
            return ALTERNATE in self._screen.mode

    def wait_for(self, *texts: str, secs: float = 60.0) -> None:
        def seen() -> bool:
            return all(text in self.text for text in texts)

        try:
            wait_until(seen, f"{texts} on the screen", secs=secs)
        except AssertionError:
            raise AssertionError(f"{texts} is not on the screen:\n{self.past}") from None

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        with self._lock:
            self._screen.resize(lines, columns)
        self._sized(columns, lines)

    def stand_still(self) -> None:
        """Take nothing any more, as after Ctrl-S."""
        self._reads.clear()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the job in the foreground."""
        os.killpg(os.tcgetpgrp(self._ours), number)

    def ended(self, number: signal.Signals | None = None) -> int:
        """The exit code, after a signal or by itself."""
        if number is not None:
            self.send(number)
        code = self.process.wait(20)
        if self._reads.is_set():
            self._thread.join(20)
        return code

    def _sized(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def _read(self) -> None:
        while self._reads.wait():
            try:
                data = os.read(self._ours, 4096)
            except OSError:  # so a pseudo terminal says that its other side is closed
                return
            with self._lock:
                self._stream.feed(data)


def _environment() -> dict[str, str]:
    """Ours without the size of our own terminal, which test workers are told this way."""
    return {key: one for key, one in os.environ.items() if key not in ("COLUMNS", "LINES")}
