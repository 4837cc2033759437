"""`streamlnn eval`: a recording, read as ever, and every forecast scored beside the baselines."""

from __future__ import annotations

import json as jsonlib
import math
import os
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import numpy as np

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.config import Config
from streamlnn.daemon.eval_events import event_lines, print_events
from streamlnn.daemon.eval_plans import Asked, plans_for, reach, times_of
from streamlnn.daemon.eval_reading import check_columns, read_all
from streamlnn.daemon.eval_table import print_table
from streamlnn.daemon.logs import printable
from streamlnn.daemon.replay import INSTANCE
from streamlnn.daemon.warming import warm_up
from streamlnn.errors import InputUnavailable
from streamlnn.evaluation.episodes import episodes
from streamlnn.evaluation.played import Played, play
from streamlnn.evaluation.scores import Row, evaluate
from streamlnn.pipeline.plan import ModelSettings, Plan
from streamlnn.pipeline.streams import USUAL, FoundTime, Reading

_NO_SEASON = "no season was told: --season N adds the value of N samples ago, as `seasonal`"


def eval_file(
    file: Path,
    *,
    config: Config | None = None,
    horizons: Sequence[int] = (),
    target: Sequence[str] = (),
    inputs: Sequence[str] = (),
    time: FoundTime = USUAL,
    season: int | None = None,
    skip: int = 500,
    events: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
    format: str = "auto",  # noqa: A002 - the option's name
) -> int:
    """Score every stream of a recording, print events and scores; return the exit code.

    A stream is forecast as the daemon would, from the records that it would take: its targets
    together, from all its fields. Each of `target` is forecast alone, from itself and `inputs`.
    `horizons` and `season` count samples. Targets that come with a record of index below `skip` are
    not scored. `events` is a file for all events as lines of JSON, as the daemon publishes them,
    and `plot` one for pictures, numbered for several targets. Raises `InputUnavailable` when there
    is nothing to score, or no column of a given name, and `ConfigError` for durations where the
    recording has no clock.
    """
    model = config.model if config else ModelSettings()
    instance = config.daemon.instance if config else INSTANCE
    asked = Asked(horizons, target, inputs, season, model)
    streams = read_all(file, config, [*inputs, *target], time, format)
    for readings in streams.values():
        check_columns(file, readings, target, inputs, config, format, time)
    rows: list[Row] = []
    plans = {name: plans_for(readings, asked) for name, readings in streams.items()}
    pictures = _Pictures()
    bar = Bar("forecasting", total=_steps(streams, asked, skip))
    with _opened(events) as lines, _album(plot, streams, asked) as album, bar:
        warm_up()
        for name, readings in streams.items():
            plays = _play(readings, plans[name], instance, skip, bar)
            rows += [row for played in plays for row in evaluate(played, skip=skip)]
            lines.writelines(event_lines(plays, [reading.time for reading in readings]))
            if plays and not json:
                bar.clear()
                print_events(name, episodes(plays))
            pictures.draw(album, plays)
    _tell_unscored(streams, plans, skip)
    _tell(file, rows, skip, json=json)
    if not json and all(math.isnan(row.mae_seasonal) for row in rows):
        click.echo(_NO_SEASON, err=True)
    if pictures.failure:
        raise pictures.failure
    return 0


class _Pictures:
    """Draws until a picture cannot be written, which is no reason to lose the scores."""

    def __init__(self) -> None:
        self.failure: InputUnavailable | None = None

    def draw(self, album: Any, plays: list[Played]) -> None:
        if album is None or self.failure:
            return
        try:
            album.add(plays, episodes(plays))
        except InputUnavailable as error:
            self.failure = error


def _steps(streams: dict[str, list[Reading]], asked: Asked, skip: int) -> int:
    records = sum(len(readings) for readings in streams.values() if len(readings) > skip)
    return records * max(1, len(asked.target))


def _needs(readings: list[Reading], plans: list[Plan], skip: int) -> int:
    """Return how many records a stream needs to have a forecast of each horizon that is scored."""
    times = times_of(readings)
    return skip + max(reach(plan, times) for plan in plans) + 1


def _play(
    readings: list[Reading], plans: list[Plan], instance: str, skip: int, bar: Bar
) -> list[Played]:
    """Return the stream's targets, forecast; nothing where none of them could be scored."""
    times, names = times_of(readings), readings[0].layout.names
    values = np.stack([reading.values for reading in readings])
    plays: list[Played] = []
    if len(readings) < _needs(readings, plans, skip):
        return plays
    for plan in plans:
        words = plan.speaker(instance, readings[0].stream, 0)
        columns = [names.index(name) for name in plan.layout.names]
        plays.append(play(words, plan, times, values[:, columns], after_each=bar.add))
    return plays


def _tell_unscored(
    streams: dict[str, list[Reading]], plans: dict[str, list[Plan]], skip: int
) -> None:
    for name, readings in streams.items():
        needs = _needs(readings, plans[name], skip)
        if len(readings) < needs:
            told = f"{printable(name)}, {len(readings):,} records (needs {needs:,})"
            click.echo(f"not scored: {told}", err=True)


def _tell(file: Path, rows: list[Row], skip: int, *, json: bool) -> None:
    if not rows:
        raise InputUnavailable(
            f"{file}: no stream has more than {skip} records and the furthest horizon behind them "
            "to score; give a longer recording, a lower --skip, or shorter --horizons"
        )
    if json:
        click.echo(jsonlib.dumps([_plain(row) for row in rows]))
    else:
        print_table(rows)


def _opened(events: Path | None) -> Any:
    try:
        return Path(events or os.devnull).open("wb")
    except OSError as error:
        problem = f"cannot write {events}: {error.strerror}; name another file for --events"
        raise InputUnavailable(problem) from None


def _album(plot: Path | None, streams: dict[str, list[Reading]], asked: Asked) -> Any:
    """Return where the pictures go, None for no pictures; both as a context manager."""
    if plot is None:
        return nullcontext()
    try:
        from streamlnn.daemon.album import Album
    except ModuleNotFoundError:
        problem = "--plot needs matplotlib: pip install 'streamlnn[plot]'"
        raise InputUnavailable(problem) from None
    return closing(Album(plot, sum(_targets(readings[0], asked) for readings in streams.values())))


def _targets(first: Reading, asked: Asked) -> int:
    return len(asked.target or first.settings.targets or first.layout.names)


def _plain(row: Row) -> dict[str, Any]:
    # JSON has no NaN: a score that does not exist is null.
    return {key: None if value != value else value for key, value in asdict(row).items()}
