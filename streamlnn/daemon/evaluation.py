"""`streamlnn eval`: a recording, read as ever, and every forecast scored beside the baselines."""

from __future__ import annotations

import json as jsonlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from streamlnn.daemon.config import Config
from streamlnn.daemon.evaluate import Row, evaluate, print_table
from streamlnn.daemon.recorded import open_recording, read_streams
from streamlnn.errors import ConfigError, DecodeError, EndOfSource, InputUnavailable
from streamlnn.model.records import NANOSECONDS, Vector
from streamlnn.pipeline.settings import StreamSettings, TimeSettings
from streamlnn.pipeline.streams import Reading


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

    Horizons and the season count samples; without horizons those of the configuration hold.
    Targets with an index below `skip` are not scored.
    Raises `InputUnavailable` when there is nothing to score.
    """
    rows: list[Row] = []
    for name, readings in _readings(file, config, [*inputs, *target], time, format).items():
        rows += _score(name, readings, horizons, target, inputs, season, skip)
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


def _score(
    name: str,
    readings: list[Reading],
    horizons: Sequence[int],
    target: Sequence[str],
    inputs: Sequence[str],
    season: int | None,
    skip: int,
) -> list[Row]:
    settings = readings[0].settings
    horizons = list(horizons or _in_samples(settings))
    if len(readings) <= skip + max(horizons):
        return []
    rows: list[Row] = evaluate(
        _times(readings),
        np.stack([reading.values for reading in readings]),
        list(readings[0].layout.names),
        stream=name,
        horizons=horizons,
        targets=list(target) or settings.targets,
        inputs=list(inputs) or (None if target else list(readings[0].layout.names)),
        season=season,
        skip=skip,
    )
    return rows


def _in_samples(settings: StreamSettings) -> list[int]:
    horizons = [horizon for horizon in settings.horizons if isinstance(horizon, int)]
    if not horizons:
        raise ConfigError(
            ["eval scores horizons in samples, and the configuration has durations: add --horizons"]
        )
    return horizons


def _times(readings: list[Reading]) -> Vector | None:
    if any(reading.time is None for reading in readings):
        return None
    return np.array([reading.time for reading in readings]) / NANOSECONDS


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
