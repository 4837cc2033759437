"""Forecasts as lines in a file or on stdout, digested, and compared with those of another run."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, ClassVar, Self

import msgspec
from pydantic import BaseModel

from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.contract import Output, Settings


@dataclass(slots=True)
class Written:
    """What was written: how many forecasts, their digest, and the first difference, if any."""

    count: int = 0
    difference: str = ""
    hash: Any = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    @property
    def digest(self) -> str:
        """The digest of all lines: equal for equal forecasts, bit for bit."""
        return str(self.hash.hexdigest())


class Lines:
    """A sink that writes each forecast as a line of JSON, to a file or to stdout.

    With `expect` every line is also compared with the same line of that file. The events go to the
    file `events`, if any, and have no part in digest and comparison. A context manager: files are
    open for as long as it lasts.
    """

    Settings: ClassVar[type[BaseModel]] = Settings
    id = "lines"

    def __init__(
        self, output: Path | None, expect: Path | None, events: Path | None = None
    ) -> None:
        self.written = Written()
        self._output, self._expect, self._events = output, expect, events
        self._files = ExitStack()
        self._out: IO[bytes]
        self._told: IO[bytes] | None = None
        self._expected: Iterator[bytes] | None = None
        self._confirmed = 0

    def __enter__(self) -> Self:
        if self._expect:
            self._expected = iter(self._files.enter_context(_open(self._expect, "rb")))
        if self._events:
            self._told = self._files.enter_context(_open(self._events, "wb"))
        self._out = (
            self._files.enter_context(_open(self._output, "wb"))
            if self._output
            else sys.stdout.buffer
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._files.close()

    def connect(self) -> None:
        """Begin counting."""
        self._confirmed = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Write the forecasts among `outputs`, and the events where they are wanted."""
        for output in outputs:
            self._confirmed += output.lsn is not None
            if output.kind == "forecast":
                self._line(output.payload)
            elif output.kind == "event" and self._told is not None:
                self._told.write(output.payload + b"\n")

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - the contract's shape
        """Return how many have been written."""
        self._out.flush()
        return self._confirmed

    def close(self) -> None:
        """Write out what is buffered, and notice lines that were expected and did not come."""
        self._out.flush()
        if self._expected is not None and not self.written.difference:
            missing = sum(1 for _ in self._expected)
            if missing:
                self.written.difference = f"{missing} more forecasts were expected"

    def _line(self, payload: bytes) -> None:
        line = payload + b"\n"
        self._out.write(line)
        self.written.hash.update(line)
        self.written.count += 1
        if self._expected is not None and not self.written.difference:
            self.written.difference = self._compare(line, next(self._expected, b""))

    def _compare(self, line: bytes, expected: bytes) -> str:
        if line == expected:
            return ""
        number = self.written.count
        if not expected:
            return f"forecast {number} and all after it were not expected"
        try:
            ours, theirs = msgspec.json.decode(line), msgspec.json.decode(expected)
            path, ours, theirs = next(_differences(ours, theirs, ""))
        except (msgspec.DecodeError, StopIteration):
            return f"forecast {number} differs: {expected[:200]!r} was expected"
        return f"forecast {number} differs at {path}: {ours!r}, where {theirs!r} was expected"


def _differences(ours: Any, theirs: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours | theirs:
            yield from _differences(ours.get(key), theirs.get(key), f"{path}.{key}".lstrip("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(*pair, f"{path}[{index}]")
    elif ours != theirs:
        yield path, ours, theirs


def _open(path: Path, mode: str) -> IO[bytes]:
    try:
        return path.open(mode)
    except OSError as error:
        raise InputUnavailable(f"cannot open {path}: {error.strerror}; name another file") from None
