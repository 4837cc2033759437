"""A recording through a stream's forecaster, as the daemon would step it, and all that was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.daemon.durations import interval
from streamlnn.daemon.eval_due import due, numbers
from streamlnn.model.records import Event, Forecast
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.limits import LimitWatch
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
    as believed when record i had come; `scores` (n, T) the anomaly scores; `events` those told,
    each with the number of its record.
    """

    plan: Plan
    words: Speaker
    times: Array | None
    y: Array
    bands: Array
    scores: Array
    events: Sequence[tuple[int, Event]]

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
        return (self.plan.every or interval(self.times)) if self.by_time else 1.0

    @property
    def season(self) -> float | None:
        """The first season of the plan, along `at`."""
        first = next(iter(self.plan.seasons), None)
        return parse_duration(first) if isinstance(first, str) else first

    def came_true(self, k: int, m: int) -> tuple[Array, Array]:
        """Return what horizon k of target m came to, for each record's forecast; see `due`."""
        return due(self.y[:, m], self.words.horizons[k], self.at, self.every)


def play(words: Speaker, plan: Plan, times: Array | None, values: Array) -> Played:
    """Step a new forecaster through `values` (n, fields), NaN where missing.

    The fields are those of the plan's layout, in its order; `times` (n,) are seconds or None.
    Costs what the daemon pays for a record, beside its journal and its messages.
    """
    model = plan.forecaster()
    watch = LimitWatch(words.targets, words.horizons, words.level, UNITS[words.clock])
    bands = np.empty((len(values), 3, len(plan.horizons), len(plan.targets)))
    scores = np.empty((len(values), len(plan.targets)))
    events: list[tuple[int, Event]] = []
    for i, row in enumerate(values):
        forecast = model.step(None if times is None else float(times[i]), row)
        _keep(forecast, bands[i])
        scores[i] = forecast.anomaly_score
        events += [(i, one) for one in (*forecast.events, *watch.step(forecast, plan.limits))]
    columns = [plan.layout.names.index(target) for target in plan.targets]
    return Played(plan, words, times, values[:, columns], bands, scores, events)


def _keep(forecast: Forecast, band: Array) -> None:
    band[YHAT] = forecast.yhat.reshape(band[YHAT].shape)
    band[LOWER] = forecast.yhat_lower.reshape(band[LOWER].shape)
    band[UPPER] = forecast.yhat_upper.reshape(band[UPPER].shape)
