"""Standard input as a source of lines, standard output as a sink of JSON lines."""

from __future__ import annotations

import json
import logging
import os
import select
import selectors
import sys
import time
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.columns import columns_of
from connectors.lines import CHUNK, LineSplitter
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import (
    Batch,
    Context,
    EndOfSource,
    Message,
    NotConnected,
    Output,
    Settings,
)

log = logging.getLogger("streamlnn.stdio")

ORIGIN = "stdin"


class StdinSettings(Settings):
    """The options of standard input.

    JSON lines, CSV whose first line may be a header, or InfluxDB line protocol.
    """

    kind: Literal["stdin"] = "stdin"
    id: str = "stdin"
    format: Literal["json", "csv", "influx"] = "json"


class StdinSource:
    """Reads lines from a pipe, a terminal or a file, and ends when they do.

    What was read from a pipe cannot be read again: after a restart it goes on with what comes.
    `fd` is the file descriptor to read.
    """

    Settings: ClassVar[type[BaseModel]] = StdinSettings
    restartable: ClassVar[bool] = False

    def __init__(self, settings: StdinSettings, context: Context, fd: int = 0) -> None:
        self.id = settings.id
        self.format: str = settings.format
        self._clock = context.clock
        self._fd = fd
        self._selector: selectors.PollSelector | None = None
        self._lines = LineSplitter()
        self._columns: tuple[str, ...] | None = None
        self._ended = False

    def connect(self, position: str | None) -> None:  # noqa: ARG002 - a pipe has no way back
        """Make ready to read; what was read before stays read."""
        if self._selector is None:
            self._selector = selectors.PollSelector()
            self._selector.register(self._fd, selectors.EVENT_READ)

    def read(self, timeout: float) -> Batch | None:
        """Return the lines that have come; the last one may lack its newline."""
        deadline = time.monotonic() + timeout
        while not self._ended and self._wait(deadline):
            if messages := self._messages(os.read(self._fd, CHUNK)):
                return Batch(messages, json.dumps({"read": self._lines.offset}))
        if self._ended:
            raise EndOfSource("standard input has ended")
        return None

    def idle(self) -> None:
        """Do nothing: a pipe makes its writer wait."""

    def ack(self, position: str) -> None:
        """Do nothing: a pipe forgets by itself."""

    @property
    def ready(self) -> bool:
        """True once connected."""
        return self._selector is not None

    @property
    def stats(self) -> dict[str, dict[str, int]]:
        """How many lines were left out and why, for the metrics."""
        return {"lines_dropped": {"too_long": self._lines.too_long, "torn": self._lines.torn}}

    @property
    def dropped(self) -> int:
        """How many lines were left out: too long, or torn by zeros."""
        return self._lines.dropped

    def close(self) -> None:
        """Stop reading; the descriptor itself belongs to the process."""
        if self._selector is not None:
            self._selector.close()
            self._selector = None

    def _wait(self, deadline: float) -> bool:
        left = max(0.0, deadline - time.monotonic())
        return self._selector is not None and bool(self._selector.select(left))

    def _messages(self, chunk: bytes) -> list[Message]:
        received, too_long = self._clock(), self._lines.too_long
        lines = [line for line, _ in self._lines.split(chunk)]
        if not chunk:
            self._ended = True
            lines += [self._lines.rest] if self._lines.rest.strip() else []
        if self._lines.too_long > too_long == 0:
            log.warning("stdin: a line of more than %d bytes was left out", self._lines.limit)
        return [Message(ORIGIN, line, received, self._columns) for line in self._data(lines)]

    def _data(self, lines: list[bytes]) -> list[bytes]:
        if self.format != "csv" or self._columns is not None or not lines:
            return lines
        self._columns, is_header = columns_of(lines[0])
        return lines[1:] if is_header else lines


class StdoutSettings(Settings):
    """The options of standard output; without `events` only forecasts are written."""

    kind: Literal["stdout"] = "stdout"
    id: str = "stdout"
    events: bool = True


class StdoutSink:
    """Writes forecasts and events as JSON lines to standard output.

    A line counts as delivered once the operating system has taken it. A reader that is slow makes
    the lines wait here, and holds up nothing else. When the reader at the other end of a pipe
    goes away, `BrokenPipeError` comes through, for the command to end by.
    """

    Settings: ClassVar[type[BaseModel]] = StdoutSettings

    def __init__(self, settings: StdoutSettings, context: Context) -> None:  # noqa: ARG002
        self.id = settings.id
        self._kinds = ("forecast", "event") if settings.events else ("forecast",)
        self._fd: int | None = None
        self._waiting = bytearray()
        self._ends: deque[int] = deque()
        self._taken = self._written = self._confirmed = 0
        self._is_torn = self._has_failed = False

    def connect(self) -> None:
        """Begin to count anew.

        Raises `ConfigError` when the process has no standard output, and `NotConnected` while it
        is a file that could not be written and still cannot.
        """
        if sys.stdout is None:
            raise ConfigError(
                ["standard output is closed: open it, or give the daemon another [[sink]]"]
            )
        sys.stdout.flush()
        self._fd = sys.stdout.fileno()
        if self._has_failed:  # else each try would say that all is well again
            self._write_some()
        # Of a line that was begun the rest is still to come: the next one must not join it.
        del self._waiting[self._rest_of_line() :]
        self._taken = self._written + len(self._waiting)
        self._ends.clear()
        self._confirmed = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Take each forecast and event over, to be written as a line."""
        for output in outputs:
            if output.kind in self._kinds:
                self._waiting += output.payload + b"\n"
                self._taken = self._written + len(self._waiting)
            if output.lsn is not None:
                self._ends.append(self._taken)

    def flush(self, timeout: float) -> int:
        """Write what the other side takes, and return how many durable outputs it has taken.

        Raises `BrokenPipeError` when nobody reads any more, and `NotConnected` when standard output
        is a file that cannot be written.
        """
        deadline = time.monotonic() + timeout
        while self._waiting and self._is_free(deadline):
            self._write_some()
        while self._ends and self._ends[0] <= self._written:
            self._ends.popleft()
            self._confirmed += 1
        return self._confirmed

    def close(self) -> None:
        """Let what was not taken go; standard output itself stays open."""
        self._fd = None

    def _rest_of_line(self) -> int:
        return self._waiting.find(b"\n") + 1 if self._is_torn else 0

    def _is_free(self, deadline: float) -> bool:
        if self._fd is None:
            return False
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        return bool(poll.poll(max(0.0, deadline - time.monotonic()) * 1000))

    def _write_some(self) -> None:
        assert self._fd is not None
        try:
            # A pipe that is free takes so much without waiting.
            size = os.write(self._fd, self._waiting[: select.PIPE_BUF])
        except BrokenPipeError:
            raise
        except OSError as error:
            self._has_failed = True
            raise NotConnected(
                f"cannot write to standard output: {error.strerror}; make room for it, or give the "
                "daemon another [[sink]]"
            ) from error
        self._has_failed = False
        self._is_torn = self._waiting[size - 1 : size] != b"\n"
        self._written += size
        del self._waiting[:size]
