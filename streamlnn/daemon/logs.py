"""Logs go to stderr: as text, coloured on a terminal, or as one JSON object a line."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Literal

import click

_COLOURS = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "red"}


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


class _Stderr(logging.Handler):
    """Writes to what is stderr now, and leaves colours out where they cannot be seen."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            click.echo(self.format(record), err=True)
        except (OSError, ValueError):
            self.handleError(record)


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        level = click.style(record.levelname.lower(), fg=_COLOURS.get(record.levelname))
        text = f"{_time(record)} {level} {record.name}: {record.getMessage()}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


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
