"""Detectors: ours, River's, and the two that bound them. Each returns the records it fires at.

River's read the absolute error of our own one-step forecast, or the value itself; each has its
default settings. What they fire at less than 64 records after they fired counts as one alarm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.common import Array
from streamlnn import Forecaster

ONE_ALARM = 64


@dataclass(frozen=True, slots=True)
class Heard:
    """What there is to detect from: values (n,), one-step errors (n,), and our events.

    `events` are (record, type) of those that start.
    """

    y: Array
    error: Array
    events: tuple[tuple[int, str], ...]


def heard(time: Array | None, y: Array) -> Heard:
    """Let a Forecaster of the defaults step through a stream, and keep what it said."""
    model, error = Forecaster([1]), np.full(y.size, np.nan)
    said, events = np.nan, []
    for t, value in enumerate(y):
        forecast = model.step(None if time is None else float(time[t]), value)
        error[t], said = value - said, forecast.yhat[0]
        events += [(t, e.type) for e in forecast.events if e.phase == "start"]
    return Heard(y, error, tuple(events))


Detector = Callable[[Heard], Array]


def ours(*types: str) -> Detector:
    """Return the detector that fires where one of our events of these types starts."""
    return lambda stream: np.array([t for t, kind in stream.events if kind in types], np.int64)


def always(stream: Heard) -> Array:
    """Fire at every record."""
    return np.arange(stream.y.size)


def never(stream: Heard) -> Array:  # noqa: ARG001 - a detector is told the stream
    """Fire at no record."""
    return np.array([], np.int64)


def _errors(stream: Heard) -> Array:
    return np.abs(stream.error)


def _values(stream: Heard) -> Array:
    return stream.y


def fires(make: Callable[[], Any], signal: Callable[[Heard], Array]) -> Detector:
    """Return one of River's drift detectors, reading `signal`; missing values are left out."""

    def detect(stream: Heard) -> Array:
        detector, found = make(), []
        for t, x in enumerate(signal(stream)):
            if np.isfinite(x):
                detector.update(float(x))
                if detector.drift_detected:
                    found.append(t)
        return apart(np.array(found, np.int64))

    return detect


def scores(make: Callable[[], Any], limit: float) -> Detector:
    """Return one of River's anomaly scorers of the errors, firing above `limit`."""

    def detect(stream: Heard) -> Array:
        scorer, found = make(), []
        for t, x in enumerate(stream.error):
            if np.isfinite(x):
                if scorer.score_one({}, float(x)) > limit:
                    found.append(t)
                scorer.learn_one({}, float(x))
        return apart(np.array(found, np.int64))

    return detect


def apart(fired: Array, gap: int = ONE_ALARM) -> Array:
    """Return the first of every run of alarms less than `gap` records from one to the next.

    >>> apart(np.array([1, 5, 60, 200, 263, 400])).tolist()
    [1, 200, 400]
    """
    first = np.diff(fired, prepend=-gap) >= gap
    return fired[first]


def detectors(slow: bool) -> dict[str, Detector]:
    """Return all by name; with `slow` also KSWIN, which takes a millisecond a record."""
    from river import anomaly, drift

    found: dict[str, Detector] = {
        "ours: anomaly": ours("anomaly"),
        "ours: drift": ours("drift"),
        "ours: both": ours("anomaly", "drift"),
        "always": always,
        "never": never,
        "ADWIN, error": fires(drift.ADWIN, _errors),
        "ADWIN, value": fires(drift.ADWIN, _values),
        "PageHinkley, error": fires(drift.PageHinkley, _errors),
        "PageHinkley, value": fires(drift.PageHinkley, _values),
        "GaussianScorer, error": scores(lambda: anomaly.GaussianScorer(grace_period=64), 0.9999),
    }
    if slow:
        found["KSWIN, error"] = fires(lambda: drift.KSWIN(seed=1), _errors)
        found["KSWIN, value"] = fires(lambda: drift.KSWIN(seed=1), _values)
    return found
