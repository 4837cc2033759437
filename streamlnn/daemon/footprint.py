"""What one stream of a `[[stream]]` table costs: memory, and what is written to the disk a day."""

from __future__ import annotations

from typing import Any

from streamlnn.daemon.config import Config
from streamlnn.model.settings import Settings
from streamlnn.model.size import model_bytes
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.snapshots import REDO_LIMIT

DAY_SECS = 86_400.0
_UNITS = ("B", "KB", "MB", "GB", "TB")

COMMIT_BYTES = 29_000
"""What a commit writes: five pages of SQLite's log, and their way from there into the file.

Measured with records that come one by one; a test holds this and the two below to what
/proc/self/io says, within a factor of two.
"""

RECORD_BYTES = 300
"""What each further record of the same commit adds."""

SNAPSHOT_FACTOR = 2.6
"""A snapshot is written to SQLite's log first, then to the file, where it takes another's place."""


def footprint(stream: StreamSettings, config: Config) -> dict[str, Any]:
    """Return what one stream of the table costs, in bytes.

    `bytes` and `bytes_most` of memory: they differ where the cadence decides and is not given.
    `snapshots_a_day` at most; `journal_a_day` if each record comes alone, None where `every` is
    not given. `fields` is None where the first message decides: the rest is for one field then.
    """
    least, most = model_bytes(_settings(stream, config))
    return {
        "fields": len(stream.fields) if stream.fields else None,
        "bytes": least,
        "bytes_most": most,
        "snapshots_a_day": round(_snapshots(stream, config) * SNAPSHOT_FACTOR * most),
        "journal_a_day": round(_records(stream) * COMMIT_BYTES) if stream.every else None,
    }


def as_text(cost: dict[str, Any]) -> str:
    """Return what `footprint` found, in a line for people."""
    least, most = size(cost["bytes"]), size(cost["bytes_most"])
    memory = least if least == most else f"{least} to {most}"
    fields = cost["fields"]
    counted = "for one field" if fields is None else f"{fields} field{'s' * (fields > 1)}"
    daily = cost["journal_a_day"]
    journal = f"{size(daily)} of journal" if daily else "the journal"
    written = f"up to {size(cost['snapshots_a_day'])} of snapshots and {journal}"
    return f"each takes {memory} of memory ({counted}), writes {written} a day"


def journal_text() -> str:
    """Return what a record's way to the disk costs, in a line for people."""
    more = size(RECORD_BYTES)
    return f"{size(COMMIT_BYTES)} for a record that comes alone, {more} for each one beside it"


def size(count: float) -> str:
    """Return a number of bytes for people.

    >>> size(381_261), size(29_000), size(2_500_000_000), size(300)
    ('381 KB', '29 KB', '2.5 GB', '300 B')
    """
    power = sum(count >= 999.5 * 1000.0**n for n in range(len(_UNITS) - 1))
    number = count / 1000.0**power
    return f"{number:.{'2g' if number < 9.95 else '0f'}} {_UNITS[power]}"


def _settings(stream: StreamSettings, config: Config) -> Settings:
    names = list(stream.fields or ())
    targets = stream.targets if names else None
    return Settings(
        horizons=tuple(stream.horizons),
        fields=len(names) or 1,
        targets=tuple(map(names.index, targets)) if targets else None,
        seasons=tuple(stream.seasons),
        level=stream.level,
        every=stream.every,
        **config.model.model_dump(),
    )


def _records(stream: StreamSettings) -> float:
    return DAY_SECS / stream.every if stream.every else float("inf")


def _snapshots(stream: StreamSettings, config: Config) -> float:
    """Return how many a day at most: none of a stream with nothing new."""
    records = _records(stream)
    by_clock = DAY_SECS / max(config.daemon.snapshot_every, 1.0)
    by_work = records / REDO_LIMIT if stream.every else 0.0
    return min(records, max(by_clock, by_work))
