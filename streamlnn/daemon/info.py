"""`streamlnn info`: what is in a recording, or in the journal of a daemon that may be running."""

from __future__ import annotations

import json as jsonlib
from array import array
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from streamlnn.daemon.config import Config, load
from streamlnn.daemon.facts import StreamFacts
from streamlnn.daemon.info_text import as_text
from streamlnn.daemon.kept import journal_folder
from streamlnn.daemon.recorded import messages_of, open_recording, read_streams
from streamlnn.errors import DecodeError
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.journal import FILE, Journal, StreamRow
from streamlnn.pipeline.store import FORMAT
from streamlnn.pipeline.streams import USUAL, FoundTime, StreamMap
from streamlnn.pipeline.timestamps import rfc3339


def info(
    path: Path,
    *,
    config: Config | None,
    format: str,  # noqa: A002
    json: bool,
    time: FoundTime = USUAL,
) -> int:
    """Print what is in a recording, a journal, a data directory or that of a configuration.

    Returns the exit code. Raises `InputUnavailable` and `StoreError`.
    """
    if path.suffix == ".toml":
        path = load(path, live=False).daemon.data_dir
    folder = journal_folder(path)
    told = _journal(folder) if folder else _recording(path, config, format, time)
    click.echo(jsonlib.dumps(told, indent=2) if json else as_text(told))
    return 0


def _recording(path: Path, config: Config | None, form: str, time: FoundTime) -> dict[str, Any]:
    with closing(open_recording(path, form=form)) as source:
        content = _Content(read_streams(config, source, time=time))
        for message in messages_of(source):
            content.take(message)
        return {
            "file": str(path),
            "format": source.recording.format,
            "lines_left_out": source.dropped,
            **content.told(),
        }


class _Content:
    """What the messages of a recording are read as."""

    def __init__(self, streams: StreamMap) -> None:
        self._map = streams
        self._streams: dict[str, StreamFacts] = {}
        self._unread_because: str | None = None
        self._messages = self._without_stream = self._unread = 0

    def take(self, message: Message) -> None:
        self._messages += 1
        try:
            told = self._map.read_each(message)
        except DecodeError as error:
            told = [error]
        self._without_stream += not told
        for one in told:
            if isinstance(one, DecodeError):
                self._unread += 1
                self._unread_because = self._unread_because or f"message {self._messages}: {one}"
            else:
                names = one.layout.names
                facts = self._streams.setdefault(one.stream, StreamFacts(names))
                facts.add(one.time, one.values)

    def told(self) -> dict[str, Any]:
        return {
            "messages": self._messages,
            "without_stream": self._without_stream,
            "unread": self._unread,
            "unread_because": self._unread_because,
            "streams": [{"stream": name} | facts.told() for name, facts in self._streams.items()],
        }


def _journal(folder: Path) -> dict[str, Any]:
    with closing(Journal(folder, read_only=True)) as journal, journal.reading():
        rows = journal.streams()
        found = {name: StreamFacts(row.plan.layout.names) for name, row in rows.items()}
        received = array("q")
        for _, record in journal.records_after(0):
            found[record.stream].add(record.time, record.values)
            if record.received is not None:
                received.append(record.received)
        return {
            "file": str(folder / FILE),
            "format": f"journal {FORMAT}",
            "bytes": sum(file.stat().st_size for file in folder.glob(f"{FILE}*")),
            "bytes_used": journal.size(),
            "accepted": journal.last_lsn,
            "kept": sum(facts.records for facts in found.values()),
            "oldest_received": rfc3339(min(received)) if received else None,
            "newest_received": rfc3339(max(received)) if received else None,
            **_standing(journal),
            "streams": [_stream(row, journal) | found[name].told() for name, row in rows.items()],
        }


def _standing(journal: Journal) -> dict[str, Any]:
    standing, last = journal.standing(), journal.last_lsn
    return {
        "sources": standing["positions"],
        "sinks": [
            {
                "sink": sink,
                "confirmed": lsn,
                "records_behind": max(0, last - lsn),
                "waiting": standing["waiting"].get(sink, 0),
            }
            for sink, lsn in standing["watermarks"].items()
        ],
        "dead_letters": [
            {"source": source, "reason": reason, "count": count}
            for source, reason, count in journal.dead_letter_counts()
        ],
    }


def _stream(row: StreamRow, journal: Journal) -> dict[str, Any]:
    snapshots = [
        {"at": lsn, "bytes": len(state), "is_newest_record": lsn >= row.last_lsn}
        for lsn, state in journal.snapshots(row)
    ]
    return {
        "stream": row.name,
        "topic": row.owner or None,
        "epoch": row.epoch,
        "snapshots": snapshots,
    }
