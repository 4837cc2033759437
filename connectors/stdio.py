"""Standard input as a source of lines, standard output as a sink of JSON lines."""

from __future__ import annotations

import json
import logging
import os
import selectors
import sys
import time
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel

from connectors.columns import columns_of
from connectors.lines import CHUNK, LineSplitter
from streamlnn.pipeline.contract import Batch, Context, EndOfSource, Message, Output, Settings

log = logging.getLogger("streamlnn.stdio")

ORIGIN = "stdin"


class StdinSettings(Settings):
    """The options of standard input: JSON lines, or CSV whose first line may be a header."""

    kind: Literal["stdin"] = "stdin"
    id: str = "stdin"
    format: Literal["json", "csv"] = "json"


class StdinSource:
    """Reads lines from a pipe, a terminal or a file, and ends when they do.

    What was read from a pipe cannot be read again: after a restart it goes on with what comes.
    `fd` is the file descriptor to read.
    """

    Settings: ClassVar[type[BaseModel]] = StdinSettings

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
                return Batch(messages, json.dumps({"offset": self._lines.offset}))
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
    def stats(self) -> dict[str, int]:
        """How many lines were left out, for the metrics."""
        return {"lines_dropped": self.dropped}

    @property
    def dropped(self) -> int:
        """How many lines were too long to be taken."""
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
        received, dropped = self._clock(), self._lines.dropped
        lines = [line for line, _ in self._lines.split(chunk)]
        if not chunk:
            self._ended = True
            lines += [self._lines.rest] if self._lines.rest.strip() else []
        if self._lines.dropped > dropped == 0:
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

    A line counts as delivered once the operating system has taken it. When the reader at the
    other end of a pipe goes away, `BrokenPipeError` comes through, for the command to end by.
    """

    Settings: ClassVar[type[BaseModel]] = StdoutSettings

    def __init__(self, settings: StdoutSettings, context: Context) -> None:  # noqa: ARG002
        self.id = settings.id
        self._kinds = ("forecast", "event") if settings.events else ("forecast",)
        self._written = self._flushed = 0

    def connect(self) -> None:
        """Begin to count anew."""
        self._written = self._flushed = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Write each forecast and event as a line. Raises `BrokenPipeError`."""
        lines = [output.payload + b"\n" for output in outputs if output.kind in self._kinds]
        sys.stdout.buffer.write(b"".join(lines))
        self._written += sum(output.lsn is not None for output in outputs)

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - a pipe makes its writer wait
        """Push all lines out and return how many durable outputs that makes."""
        sys.stdout.buffer.flush()
        self._flushed = self._written
        return self._flushed

    def close(self) -> None:
        """Push out what is left; standard output itself stays open."""
        if self._flushed < self._written:
            self.flush(0)
