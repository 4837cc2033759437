"""Logs go to stderr: as text, coloured on a terminal, or as one JSON object a line.

A topic, a payload or a broker's word may hold anything: what is no printable character is written
as its escape, so that nobody else begins a line here or moves the cursor of whoever reads it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import click

_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


def _echo(line: str) -> None:
    click.echo(line, err=True)


_take: Callable[[str], object] = _echo


def set_up(level: str = "info", form: Literal["text", "json"] = "text") -> None:
    """Send what `streamlnn` logs at `level` or above to stderr, and warnings of its libraries.

    `level` is debug, info, warning or error. May be called again: the last call holds.
    """
    root = logging.getLogger()
    for handler in [old for old in root.handlers if isinstance(old, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    root.addHandler(handler)
    logging.getLogger("streamlnn").setLevel(level.upper())


def divert(take: Callable[[str], object] | None) -> None:
    """Hand every line to `take`, while somebody draws on the terminal; None: to stderr again."""
    global _take
    _take = take or _echo


def printable(text: str) -> str:
    r"""Return `text` with everything that is not printable escaped.

    >>> printable("pump\n\x1b[2Jinfo")
    'pump\\n\\x1b[2Jinfo'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


class _Stderr(logging.Handler):
    """Writes to what is stderr now, and leaves colours out where they cannot be seen."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _take(self.format(record))
        except (OSError, ValueError):
            self.handleError(record)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = click.style(record.levelname.lower(), fg=_COLOURS.get(record.levelname))
        text = f"{_time(record)} {level} {record.name}: {printable(record.getMessage())}"
        if not record.exc_info:
            return text
        trace = self.formatException(record.exc_info).splitlines()
        return "\n".join([text, *(f"    {printable(line)}" for line in trace)])


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
