"""Why most of a stream's records were left out, and the way out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from streamlnn.daemon.eval_intake import Judged
from streamlnn.daemon.recorded import codec_of, messages_of, open_recording, read_streams
from streamlnn.errors import DecodeError
from streamlnn.pipeline.streams import Reading
from streamlnn.pipeline.trees import leaves

_LOOKED_AT = 2_000
_MOST_SENSORS = 0.1
_MOST = 0.5
_THROUGHOUT = 0.9


def hint(file: Path, form: str, stream: str, judged: Judged) -> str:
    """Return what seems to be wrong with the order of a stream's records; empty if nothing is."""
    n = judged.records
    if judged.falls > _THROUGHOUT * (n - 1) > 1:
        return (
            "its times fall from record to record, the newest is first: reverse the lines of the "
            "file, below its heading"
        )
    if judged.dropped.total() <= _MOST * n:
        return ""
    column = _told_apart_by(file, form, stream)
    if column is None:
        return "most records were left out: is this one stream, in the order of its times?"
    return (
        f"looks like several sensors in one file, told apart by {column!r}; name them in a "
        f'configuration: [[stream]] id = "{{{column}}}"'
    )


def _told_apart_by(file: Path, form: str, stream: str) -> str | None:
    """Return a field with few values with which no two records of one time agree."""
    moments: dict[str, set[tuple[int | None, str]]] = defaultdict(set)
    n = 0
    for reading, told in islice(_trees(file, form, stream), _LOOKED_AT):
        n += 1
        for path, leaf in told:
            if path != reading.layout.time_path:
                moments[path].add((reading.time, str(leaf)))
    return next((path for path, found in moments.items() if _is_name(found, n)), None)


def _is_name(found: set[tuple[int | None, str]], n: int) -> bool:
    names = {name for _, name in found}
    return len(found) == n and 1 < len(names) <= _MOST_SENSORS * n and "" not in names


def _trees(file: Path, form: str, stream: str) -> Iterator[tuple[Reading, list[tuple[str, Any]]]]:
    """Yield the records of a stream, each with all leaves of its message."""
    source = open_recording(file, form=form)
    streams, codec = read_streams(None, source), codec_of(source)
    for message in messages_of(source):
        with suppress(DecodeError):
            for reading in streams.read(message):
                if reading.stream == stream:
                    yield reading, list(leaves(codec.decode(message)))
