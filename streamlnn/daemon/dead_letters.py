"""`streamlnn state dead-letters`: the messages that could not be read, and why."""

from __future__ import annotations

import base64
import json as jsonlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from streamlnn.daemon.logs import printable
from streamlnn.daemon.state import reading
from streamlnn.daemon.state_text import columns
from streamlnn.pipeline.timestamps import rfc3339

SHOWN_BYTES = 60
SHOWN_REASONS = 20


def show_dead_letters(where: Path, *, reason: str, limit: int, json: bool) -> int:
    """Print the newest `limit` of those whose reason holds `reason`, and how many of each kind.

    `where` is a configuration or a data directory. Returns the exit code.
    """
    with reading(where) as journal:
        counts = [one for one in journal.dead_letter_counts() if reason.lower() in one[1].lower()]
        letters = journal.find_dead_letters(reason, limit)
    if json:
        told = [{"source": source, "reason": why, "count": n} for source, why, n in counts]
        found = [_told(letter) for letter in letters]
        click.echo(jsonlib.dumps({"counts": told, "letters": found}, indent=2))
    else:
        click.echo(_text(counts, letters))
    return 0


def _told(letter: Mapping[str, Any]) -> dict[str, Any]:
    payload, received = letter["payload"], letter["received"]
    told = {key: letter[key] for key in ("source", "origin", "reason")}
    told["received"] = None if received is None else rfc3339(received)
    try:
        return told | {"payload": payload.decode()}
    except UnicodeDecodeError:
        return told | {"base64": base64.b64encode(payload).decode()}


def _text(counts: Sequence[tuple[str, str, int]], letters: Sequence[Mapping[str, Any]]) -> str:
    if not counts:
        return "no dead letters"
    rows = [(str(n), source, printable(why)) for source, why, n in counts[:SHOWN_REASONS]]
    more = f"\nand {len(counts) - SHOWN_REASONS} other reasons" * (len(counts) > SHOWN_REASONS)
    newest = [
        (
            "-" if one["received"] is None else rfc3339(one["received"]),
            one["source"],
            printable(one["origin"]),
            printable(one["reason"]),
            shown(one["payload"]),
        )
        for one in letters
    ]
    heads = ("received", "source", "origin", "reason", "payload")
    return "\n\n".join(
        [columns(("count", "source", "reason"), rows, ("count",)) + more, columns(heads, newest)]
    )


def shown(payload: bytes) -> str:
    r"""Return the beginning of a payload, escaped.

    >>> shown(b'{"a": \xff'), shown(bytes(100))[-7:]
    ('{"a": \\xff', '\\x00...')
    """
    text = payload[:SHOWN_BYTES].decode(errors="backslashreplace")
    return printable(text) + "..." * (len(payload) > SHOWN_BYTES)
