"""All of a recording in memory, by stream; columns that are not there are told with the nearest."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import click

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.config import Config
from streamlnn.daemon.eval_hints import hint
from streamlnn.daemon.eval_intake import Judged
from streamlnn.daemon.left_out import left_out
from streamlnn.daemon.logs import printable
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.recorded import messages_of, open_recording, read_streams
from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import FoundTime, Reading, StreamMap

HINTS = 3
"""Streams of which it is told what seems to be wrong with them, at most."""


def read_all(
    file: Path, config: Config | None, fields: list[str], time: FoundTime, form: str
) -> dict[str, list[Reading]]:
    """Return every stream of a recording with the readings that the daemon would take.

    What it would leave out is counted and told on stderr. Without a configuration `fields` are the
    columns to read, all where there are none, and `time` where the time is. Raises
    `InputUnavailable` when there is nothing to read.
    """
    source = open_recording(file, form=form)
    streams = read_streams(config, source, _asked(fields), time)
    found: dict[str, Judged] = defaultdict(Judged)
    problem = None
    with Bar("reading", lambda: source.progress) as bar:
        for message in messages_of(source):
            bar.add()
            for one in _told(streams, message):
                if isinstance(one, Reading):
                    found[one.stream].take(one, message)
                else:
                    problem = problem or f"message {bar.count}: {one}"
    if not found:
        raise InputUnavailable(f"{file}: no record could be read: {problem or 'nothing matches'}")
    if problem:
        click.echo(f"some records were left out, the first one because: {problem}", err=True)
    _tell_left_out(file, form, found)
    return {name: judged.readings for name, judged in found.items()}


def _told(streams: StreamMap, message: Message) -> Sequence[Reading | DecodeError]:
    try:
        return streams.read_each(message)
    except DecodeError as error:
        return [error]


def _tell_left_out(file: Path, form: str, found: dict[str, Judged]) -> None:
    total = sum((judged.dropped for judged in found.values()), Counter[str]())
    if not total:
        return
    click.echo(f"left out: {left_out(total)}", err=True)
    hints = ((name, hint(file, form, name, judged)) for name, judged in found.items())
    for name, said in islice((one for one in hints if one[1]), HINTS):
        click.echo(f"{printable(name)}: {said}", err=True)


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
