"""Events that tell, ahead of time, that a limit will be passed."""

from __future__ import annotations

import json
import math

import numpy as np

from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Event
from streamlnn.pipeline.limits import LimitWatch

LIMITS = {"level": (None, 80.0)}


def watched(
    values: list[float], limits: dict[str, tuple[float | None, float | None]]
) -> list[Event]:
    model = Forecaster([1, 12], units=20)
    watch = LimitWatch(["level"], [1, 12], 0.9, "s")
    return [e for value in values for e in watch.step(model.step(None, value), limits)]


def tank() -> list[float]:
    """Half empty for long, then filled steadily past 80, then emptied at once."""
    noise = np.random.default_rng(1).normal(0, 0.05, 1000)
    calm = [50 + 2 * math.sin(n / 6) for n in range(600)]
    return [
        a + b for a, b in zip([*calm, *np.linspace(50, 90, 200), *[50.0] * 200], noise, strict=True)
    ]


def test_a_limit_that_will_be_passed_is_told_before_and_ends_after() -> None:
    values = tank()
    start, end = [event for event in watched(values, LIMITS) if event.since_seq > 600][:2]
    first_above = next(n for n, value in enumerate(values) if value > 80)
    assert (start.phase, end.phase) == ("start", "end")
    assert 0 < first_above - start.since_seq <= 24
    assert (start.limit, start.h) == (80.0, 12)
    assert start.p >= 0.5 > end.p
    assert end.since_seq == start.since_seq
    assert start.text.startswith("level will be above 80 in 12 s with a probability of ")


def test_far_from_the_limits_nothing_is_told() -> None:
    assert watched(tank()[:600], {"level": (-100.0, 200.0)}) == []


def test_what_is_remembered_goes_through_json() -> None:
    """A crash between start and end must not end or begin it again."""
    model, watch = Forecaster([1, 12], units=20), LimitWatch(["level"], [1, 12], 0.9, "s")
    told = []
    for value in tank():
        told += watch.step(model.step(None, value), LIMITS)
        again = LimitWatch(["level"], [1, 12], 0.9, "s")
        again.state = json.loads(json.dumps(watch.state))
        watch = again
    assert list(map(repr, told)) == list(map(repr, watched(tank(), LIMITS)))
