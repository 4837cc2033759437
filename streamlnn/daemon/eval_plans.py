"""How `eval` forecasts a stream: the daemon's own plan, changed where the command line asks for it.

Horizons and seasons given on the command line count samples; those of a configuration may be
durations, and stay so: the forecaster that is scored is the one that the daemon would run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import click
import numpy as np

from streamlnn.errors import ConfigError
from streamlnn.evaluation.durations import in_duration, in_samples, interval
from streamlnn.model.records import NANOSECONDS, Vector
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.plan import ModelSettings, Plan, plan_for
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import Layout, Reading


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for, and the model; what is empty is as configured.

    Each of `target` is forecast alone, from itself and `inputs`.
    """

    horizons: Sequence[int]
    target: Sequence[str]
    inputs: Sequence[str]
    season: int | None
    model: ModelSettings


def plans_for(readings: Sequence[Reading], asked: Asked) -> list[Plan]:
    """Return how one stream is forecast: all its targets at once, or each of `asked` alone.

    Raises `ConfigError` for durations where the readings tell no usual interval.
    """
    first = replace(readings[0], settings=_settings(readings, asked))
    if asked.target:
        alone = [_narrowed(first, [target], asked.inputs) for target in asked.target]
        return [plan_for(one, asked.model) for one in alone]
    targets = first.settings.targets or list(first.layout.names)
    together = _narrowed(first, targets, asked.inputs) if asked.inputs else first
    return [plan_for(together, asked.model)]


def times_of(readings: Sequence[Reading]) -> Vector | None:
    """Return the readings' times, float seconds (n,), or None if one of them has none."""
    if any(reading.time is None for reading in readings):
        return None
    return np.array([reading.time for reading in readings]) / NANOSECONDS


def reach(plan: Plan, times: Vector | None) -> int:
    """Return how many samples ahead the furthest horizon is, about."""
    furthest = plan.horizons[-1]
    if not isinstance(furthest, str):
        return furthest
    return math.ceil(parse_duration(furthest) / (plan.every or interval(times)))


def _narrowed(first: Reading, targets: list[str], inputs: Sequence[str]) -> Reading:
    """Return the stream as if it had no other fields than those."""
    names = (*targets, *(name for name in inputs if name not in targets))
    settings = first.settings.model_copy(update={"targets": targets})
    return replace(first, layout=Layout(names, names), settings=settings)


def _settings(readings: Sequence[Reading], asked: Asked) -> StreamSettings:
    """Return the stream's settings with what was asked for, horizons and seasons of one kind."""
    settings, stream = readings[0].settings, readings[0].stream
    horizons, seasons = list(asked.horizons) or settings.horizons, settings.seasons
    every = interval(times_of(readings))
    by_time = isinstance(horizons[0], str)
    if by_time and math.isinf(every):
        raise _unclocked("horizons", horizons, stream)
    if asked.season:
        seasons = [in_duration(asked.season, every) if by_time else asked.season]
    elif not by_time:
        seasons = _in_samples(seasons, stream, every)
    return settings.model_copy(update={"horizons": horizons, "seasons": seasons})


def _in_samples(seasons: list[int | str], stream: str, every: float) -> list[int | str]:
    found: list[int | str] = [*in_samples(seasons, every, least=2)]
    if seasons and not found:
        raise _unclocked("season", seasons, stream)
    if found != seasons:
        said = f"{stream}: season {_listed(seasons)} as {_listed(found)} samples"
        click.echo(f"{said}, one in {every:g} s", err=True)
    return found


def _unclocked(key: str, lengths: Sequence[int | str], stream: str) -> ConfigError:
    return ConfigError(
        [
            f"the recording tells no usual interval for {stream!r} by which {key} "
            f"{_listed(lengths)} could be counted: add --{key}, in samples"
        ]
    )


def _listed(lengths: Sequence[int | str]) -> str:
    return ", ".join(map(str, lengths))
