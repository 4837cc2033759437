"""The table that `streamlnn run` shows on a terminal, with the logs running by above it.

Only a thread of its own writes to the terminal. The loop never waits for it: whoever logs leaves a
line behind and goes on, and of lines that nobody takes the oldest are lost.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from importlib.metadata import version
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.text import Text

from streamlnn.daemon import logs, terminal
from streamlnn.daemon.overview import Facts, Overview, Rate, Standing, Steady
from streamlnn.daemon.sheet import Page, sheet
from streamlnn.daemon.status import Status
from streamlnn.daemon.web.live import summary
from streamlnn.pipeline.messages import EventMessage

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config

DRAW_EVERY_SECS = 1.0
PATIENCE = 20
"""At least so many times as long as drawing took is waited before the next time."""
CLOSE_SECS = 0.5
"""So long is waited for a terminal that stands still."""
MOST_LINES = 1000

_event = msgspec.json.Decoder(EventMessage)


def fits(config: Config) -> bool:
    """Return whether there is a terminal for the table, and nobody wants lines on it."""
    return terminal.is_ours(1, 2) and not wants_lines(config)


def wants_lines(config: Config) -> bool:
    """Return whether a configuration asks for lines: of forecasts, or of logs for a program.

    Whoever types or pipes samples in waits for lines too. Those of the usual sink nobody has asked
    for: on a terminal the table takes their place.
    """
    return (
        config.daemon.log.format == "json"
        or any(source.kind == "stdin" for source in config.sources)
        or (config.names_sinks and any(sink.kind == "stdout" for sink in config.sinks))
    )


class LiveBoard:
    """Draws how the streams of `status` stand, from `open` to `close`; `name` is the instance."""

    def __init__(self, status: Status, name: str) -> None:
        self._status = status
        self._name = name
        self._version = version("streamlnn")
        self._overview = Overview()
        self._steady = Steady("odd")
        self._rate = Rate()
        self._happened = 0
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Begin to draw, unless the process has been put into the background."""
        is_drawing = self._thread is not None and self._thread.is_alive()
        if terminal.is_ours(2) and not is_drawing:
            self._closed.clear()
            logs.divert(self._lines.append)
            self._thread = threading.Thread(target=self._run, name="streamlnn-board", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Leave the terminal as it was, with the table as it stands.

        A terminal that takes nothing is left alone after half a second, and logs are lost.
        """
        self._closed.set()
        if self._thread is not None:
            self._thread.join(CLOSE_SECS)

    def _run(self) -> None:
        try:
            self._draw_until_closed()
        except OSError:
            pass  # the terminal has gone, and the daemon stays
        finally:
            logs.divert(None)
            for line in self._waiting():
                click.echo(line, err=True)

    def _draw_until_closed(self) -> None:
        # A file of our own: one that stands still must not keep Python from ending.
        with os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding, errors="replace") as file:
            console = Console(file=file)
            with Live(
                console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
            ) as live:
                pause = 0.0
                while not self._closed.wait(pause):
                    began = time.monotonic()
                    self._draw(live, console, began)
                    pause = max(DRAW_EVERY_SECS, PATIENCE * (time.monotonic() - began))

    def _draw(self, live: Live, console: Console, now: float) -> None:
        for line in self._waiting():
            console.print(Text.from_ansi(line), soft_wrap=True)
        self._look()
        troubles = (*self._status.missing(), *self._status.degraded())
        known = Facts(self._name, self._version, troubles)
        rate = self._rate.note(self._records(), now)
        width = max(1, console.width - len("^C"))  # which is echoed after the last line
        page = Page(width, _height(console.height), not console.options.ascii_only)
        standings = self._steady.sorted(self._overview, now)
        drawn = sheet(standings, self._overview, known, rate, page)
        live.update(Constrain(drawn, width), refresh=True)

    def _look(self) -> None:
        lives = self._status.watched()
        told = [summary(live, live.last[0]) for live in lives.values() if live.last]
        self._overview.begin()
        self._overview.take(msgspec.convert(told, list[Standing]))
        known, self._happened = self._happened, self._status.happened
        self._overview.events.extend(map(_event.decode, self._status.events_after(known)))

    def _records(self) -> int:
        counters = self._status.snapshot().counters
        return sum(n for (counter, _), n in counters.items() if counter == "records_total")

    def _waiting(self) -> list[str]:
        return [self._lines.popleft() for _ in range(len(self._lines))]


def _height(lines: int) -> int:
    """Leave a third of the terminal to the logs."""
    return max(5, 2 * lines // 3)
