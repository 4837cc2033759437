"""A recording through a stream's forecaster, as the daemon would step it, and all that was said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.evaluation.due import due, numbers
from streamlnn.evaluation.durations import interval
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Event, Forecast
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.limits import Limits, LimitWatch
from streamlnn.pipeline.live import UNITS
from streamlnn.pipeline.messages import Speaker
from streamlnn.pipeline.plan import Plan

Array = NDArray[Any]
YHAT, LOWER, UPPER = range(3)


@dataclass(frozen=True, eq=False)
class Played:
    """One stream's n records and what was said of them, at H horizons of T targets.

    `words` names the targets and the horizons; `times` (n,) are seconds, None without a clock;
    `y` (n, T) the targets, NaN where missing; `bands` (n, 3, H, T) yhat, yhat_lower and yhat_upper
    as believed when record i had come, NaN where nothing was asked; `scores` (n, T) the anomaly
    scores; `events` those told, each with the number of its record; `states` (n, units) the
    reservoir's, if they were wanted. `given_every` and `season` are what is known beforehand, and
    `began` is which of the stream's records the first one is.
    """

    words: Speaker
    times: Array | None
    y: Array
    bands: Array
    scores: Array
    events: Sequence[tuple[int, Event]]
    states: Array | None = None
    given_every: float | None = None
    season: float | None = None
    began: int = 0

    @property
    def by_time(self) -> bool:
        """Whether horizons and seasons are in seconds, rather than in samples."""
        return self.words.clock == "time"

    @cached_property
    def at(self) -> Array:
        """What horizons are measured along, (n,): seconds, or the numbers of the records."""
        if not self.by_time:
            return numbers(self.y)
        assert self.times is not None
        return self.times

    @cached_property
    def every(self) -> float:
        """The usual step along `at`."""
        return (self.given_every or interval(self.times)) if self.by_time else 1.0

    def came_true(self, k: int, m: int) -> tuple[Array, Array]:
        """Return what horizon k of target m came to, for each record's forecast; see `due`."""
        return due(self.y[:, m], self.words.horizons[k], self.at, self.every)


def play(
    words: Speaker,
    plan: Plan,
    times: Array | None,
    values: Array,
    *,
    after_each: Callable[[], object] = lambda: None,
) -> Played:
    """Step a new forecaster through `values` (n, fields), NaN where missing.

    The fields are those of the plan's layout, in its order; `times` (n,) are seconds or None.
    `after_each` is called behind every record, for somebody who waits. Costs what the daemon pays
    for a record, beside its journal and its messages.
    """
    return go_on(plan.forecaster(), words, plan, times, values, after_each=after_each)


def go_on(
    model: Forecaster,
    words: Speaker,
    plan: Plan,
    times: Array | None,
    values: Array,
    *,
    first: int = 0,
    states: bool = False,
    after_each: Callable[[], object] = lambda: None,
) -> Played:
    """Step a forecaster that has learned from the records before `first` through those behind.

    As `play`; of the earlier records there are values, but nothing was said of them.
    """
    season = next(iter(plan.seasons), None)
    return walk(
        model,
        words,
        times,
        values,
        columns=[plan.layout.names.index(target) for target in plan.targets],
        limits=plan.limits,
        every=plan.every,
        season=parse_duration(season) if isinstance(season, str) else season,
        first=first,
        states=states,
        after_each=after_each,
    )


def walk(
    model: Forecaster,
    words: Speaker,
    times: Array | None,
    values: Array,
    *,
    columns: Sequence[int],
    limits: Limits | None = None,
    every: float | None = None,
    season: float | None = None,
    first: int = 0,
    states: bool = False,
    after_each: Callable[[], object] = lambda: None,
) -> Played:
    """Step `model` through the records from `first` on, and keep all that it says.

    `columns` of the values are its targets, with `limits` to be watched. See `Played`.
    """
    began = model.seq - first
    steps = _Steps(model, words, limits or {}, len(values), states=states)
    for i in range(first, len(values)):
        steps.take(i, None if times is None else float(times[i]), values[i])
        after_each()
    return Played(
        words,
        times,
        values[:, columns],
        steps.bands,
        steps.scores,
        steps.events,
        states=steps.states,
        given_every=every,
        season=season,
        began=began,
    )


class _Steps:
    """Room for all that a forecaster says of n records, and for its `states` if wanted."""

    def __init__(
        self,
        model: Forecaster,
        words: Speaker,
        limits: Limits,
        n: int,
        *,
        states: bool = False,
    ) -> None:
        size = (len(words.horizons), len(words.targets))
        self.bands = np.full((n, 3, *size), np.nan)
        self.scores = np.full((n, size[1]), np.nan)
        self.events: list[tuple[int, Event]] = []
        self.states = np.full((n, model.time_constants.size), np.nan) if states else None
        self._model = model
        self._limits = limits
        self._watch = LimitWatch(words.targets, words.horizons, words.level, UNITS[words.clock])

    def take(self, i: int, time: float | None, values: Array) -> None:
        """Step record i; `time` is in seconds."""
        forecast = self._model.step(time, values)
        _keep(forecast, self.bands[i])
        self.scores[i] = forecast.anomaly_score
        told = (*forecast.events, *self._watch.step(forecast, self._limits))
        self.events += [(i, one) for one in told]
        if self.states is not None:
            self.states[i] = self._model.reservoir_state


def _keep(forecast: Forecast, band: Array) -> None:
    band[YHAT] = forecast.yhat.reshape(band[YHAT].shape)
    band[LOWER] = forecast.yhat_lower.reshape(band[LOWER].shape)
    band[UPPER] = forecast.yhat_upper.reshape(band[UPPER].shape)
