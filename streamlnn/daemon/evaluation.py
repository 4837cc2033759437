"""`streamlnn eval`: a recording, read as ever, and every forecast scored beside the baselines."""

from __future__ import annotations

import json as jsonlib
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from streamlnn.daemon.config import Config
from streamlnn.daemon.durations import in_samples, interval
from streamlnn.daemon.evaluate import Row, evaluate, print_table
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.recorded import open_recording, read_streams
from streamlnn.errors import ConfigError, DecodeError, EndOfSource, InputUnavailable
from streamlnn.model.records import NANOSECONDS, Vector
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.settings import StreamSettings, TimeSettings
from streamlnn.pipeline.streams import Reading


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asks for, and the model; what is empty is as configured."""

    horizons: Sequence[int]
    target: Sequence[str]
    inputs: Sequence[str]
    season: int | None
    skip: int
    model: ModelSettings


def eval_file(
    file: Path,
    *,
    config: Config | None = None,
    horizons: Sequence[int] = (),
    target: Sequence[str] = (),
    inputs: Sequence[str] = (),
    time: str | None = None,
    season: int | None = None,
    skip: int = 500,
    json: bool = False,
    format: str = "auto",  # noqa: A002 - the option's name
) -> int:
    """Score every stream of a recording and print the table; return the exit code.

    Horizons and the season count samples; without them those of the configuration hold, durations
    as so many of the recording's median intervals. Targets with an index below `skip` are not
    scored. Raises `InputUnavailable` when there is nothing to score, or no column of a given name,
    and `ConfigError` for durations where the recording has no clock.
    """
    model = config.model if config else ModelSettings()
    asked = _Asked(horizons, target, inputs, season, skip, model)
    rows: list[Row] = []
    for name, readings in _readings(file, config, [*inputs, *target], time, format).items():
        absent = _absent(readings, asked)
        if absent:
            names = readings[0].layout.names
            known = names if config else _columns(file, name, format)
            raise InputUnavailable(_no_column(file, name, absent, known))
        rows += _score(name, readings, asked)
    if not rows:
        raise InputUnavailable(
            f"{file}: no stream has more than {skip} records to score; give a longer recording, "
            "or a lower --skip"
        )
    if json:
        click.echo(jsonlib.dumps([_plain(row) for row in rows]))
    else:
        print_table(rows)
    return 0


def _score(name: str, readings: list[Reading], asked: _Asked) -> list[Row]:
    settings, times = readings[0].settings, _times(readings)
    names = list(readings[0].layout.names)
    horizons = list(asked.horizons) or _in_samples("horizons", settings.horizons, name, times)
    if len(readings) <= asked.skip + max(horizons):
        return []
    return evaluate(
        times,
        np.stack([reading.values for reading in readings]),
        names,
        stream=name,
        horizons=horizons,
        targets=list(asked.target) or settings.targets,
        inputs=list(asked.inputs) or (None if asked.target else names),
        seasons=[asked.season] if asked.season else _seasons(settings, name, times),
        level=settings.level,
        model={**asked.model.model_dump(), "every": settings.every},
        skip=asked.skip,
    )


def _seasons(settings: StreamSettings, name: str, times: Vector | None) -> list[int]:
    if not settings.seasons:
        return []
    return _in_samples("season", settings.seasons, name, times, least=2)


def _in_samples(
    key: str, lengths: Sequence[int | str], stream: str, times: Vector | None, least: int = 1
) -> list[int]:
    every = interval(times)
    found = in_samples(lengths, every, least=least)
    if not found:
        raise ConfigError(
            [
                f"eval counts in samples, and the recording tells no usual interval for {stream!r} "
                f"by which {key} {_listed(lengths)} could be counted: add --{key}"
            ]
        )
    if list(lengths) != found:
        said = f"{stream}: {key} {_listed(lengths)} as {_listed(found)} samples, one in {every:g} s"
        click.echo(said, err=True)
    return found


def _listed(lengths: Sequence[int | str]) -> str:
    return ", ".join(map(str, lengths))


def _times(readings: list[Reading]) -> Vector | None:
    if any(reading.time is None for reading in readings):
        return None
    return np.array([reading.time for reading in readings]) / NANOSECONDS


def _absent(readings: list[Reading], asked: _Asked) -> str | None:
    """Return the first of the columns asked for that no record of the stream has a number in."""
    names = readings[0].layout.names
    wanted = [*(asked.target or readings[0].settings.targets or ()), *asked.inputs]
    return next((one for one in wanted if one not in names or _is_empty(readings, one)), None)


def _is_empty(readings: list[Reading], name: str) -> bool:
    at = readings[0].layout.names.index(name)
    return all(math.isnan(reading.values[at]) for reading in readings)


def _columns(file: Path, stream: str, form: str) -> Sequence[str]:
    """Return the names of all numbers in the first record of a stream."""
    source = open_recording(file, form=form)
    streams = read_streams(None, source)
    for message in _messages(source):
        with suppress(DecodeError):
            for reading in streams.read(message):
                if reading.stream == stream:
                    return reading.layout.names
    return ()


def _no_column(file: Path, stream: str, name: str, known: Sequence[str]) -> str:
    has = [one for one in known if one != name]
    hint = nearest(name, has) or f"; it has {', '.join(has)}"
    return f"{file}: the stream {stream!r} has no number in a column {name!r}{hint}"


def _readings(
    file: Path, config: Config | None, fields: list[str], time: str | None, form: str
) -> dict[str, list[Reading]]:
    source = open_recording(file, form=form)
    streams = read_streams(config, source, _asked(fields, time))
    found: dict[str, list[Reading]] = defaultdict(list)
    problem = None
    for message in _messages(source):
        try:
            for reading in streams.read(message):
                found[reading.stream].append(reading)
        except DecodeError as error:
            problem = problem or error
    if not found:
        raise InputUnavailable(f"{file}: no record could be read: {problem or 'nothing matches'}")
    if problem:
        click.echo(f"some records were left out, the first one because: {problem}", err=True)
    return found


def _messages(source: Any) -> Iterator[Any]:
    try:
        while batch := source.read(0.0):
            yield from batch.messages
    except EndOfSource:
        return


def _asked(fields: list[str], time: str | None) -> StreamSettings:
    return StreamSettings(
        fields={field: field for field in fields} or None,
        time=TimeSettings(path=time) if time else None,
    )


def _plain(row: Row) -> dict[str, Any]:
    # JSON has no NaN: a score that does not exist is null.
    return {key: None if value != value else value for key, value in asdict(row).items()}
