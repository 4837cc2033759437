"""All of a recording in memory, by stream; columns that are not there are told with the nearest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import click

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.config import Config
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.recorded import messages_of, open_recording, read_streams
from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import FoundTime, Reading


def read_all(
    file: Path, config: Config | None, fields: list[str], time: FoundTime, form: str
) -> dict[str, list[Reading]]:
    """Return every stream of a recording with its readings, in the order in which they stand.

    Without a configuration `fields` are the columns to read, all where there are none, and `time`
    where the time is. Raises `InputUnavailable` when there is nothing to read.
    """
    source = open_recording(file, form=form)
    streams = read_streams(config, source, _asked(fields), time)
    found: dict[str, list[Reading]] = defaultdict(list)
    problem = None
    with Bar("reading", lambda: source.progress) as bar:
        for message in messages_of(source):
            bar.add()
            try:
                for reading in streams.read(message):
                    found[reading.stream].append(reading)
            except DecodeError as error:
                problem = problem or f"message {bar.count}: {error}"
    if not found:
        raise InputUnavailable(f"{file}: no record could be read: {problem or 'nothing matches'}")
    if problem:
        click.echo(f"some records were left out, the first one because: {problem}", err=True)
    return found


def check_columns(
    file: Path,
    readings: list[Reading],
    target: Sequence[str],
    inputs: Sequence[str],
    config: Config | None,
    form: str,
    time: FoundTime,
) -> None:
    """Raise `InputUnavailable` for a column that no record of the stream has a number in.

    The columns are `target`, else the stream's targets, and `inputs`.
    """
    absent = _absent(readings, target, inputs)
    if absent:
        stream, names = readings[0].stream, readings[0].layout.names
        known = names if config else _columns(file, stream, form, time)
        raise InputUnavailable(_no_column(file, stream, absent, known))


def _absent(readings: list[Reading], target: Sequence[str], inputs: Sequence[str]) -> str | None:
    names = readings[0].layout.names
    wanted = [*(target or readings[0].settings.targets or ()), *inputs]
    return next((one for one in wanted if one not in names or _is_empty(readings, one)), None)


def _is_empty(readings: list[Reading], name: str) -> bool:
    at = readings[0].layout.names.index(name)
    return all(math.isnan(reading.values[at]) for reading in readings)


def _columns(file: Path, stream: str, form: str, time: FoundTime) -> Sequence[str]:
    """Return the names of all numbers in the first record of a stream."""
    source = open_recording(file, form=form)
    streams = read_streams(None, source, time=time)
    for message in messages_of(source):
        with suppress(DecodeError):
            for reading in streams.read(message):
                if reading.stream == stream:
                    return reading.layout.names
    return ()


def _no_column(file: Path, stream: str, name: str, known: Sequence[str]) -> str:
    has = [one for one in known if one != name]
    hint = nearest(name, has) or f"; it has {', '.join(has)}"
    return f"{file}: the stream {stream!r} has no number in a column {name!r}{hint}"


def _asked(fields: list[str]) -> StreamSettings:
    return StreamSettings(fields={field: field for field in fields} or None)
