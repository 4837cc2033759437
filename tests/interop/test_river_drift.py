"""River's drift detectors beside our events: what each says of a change, and of none.

Each has its default settings, and reads the values, or the absolute error of our forecasts one step
ahead. `benchmarks/events.py` does the same on labelled recordings and on many more streams, with
the delays and the false alarms: tables in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("river")

from river import drift

from streamlnn.interop.river import StreamForecaster

CHANGE, SOON = 816, 250  # after 34 whole periods


def wave(period: float, n: int, seed: int, noise: float = 0.1) -> NDArray[np.float64]:
    random = np.random.default_rng(seed).standard_normal(n)
    return 20.0 + np.sin(2 * np.pi * np.arange(n) / period) + noise * random


def changed(later: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.append(wave(24, CHANGE, 0), later)


STREAMS = {
    "no change": changed(wave(24, CHANGE, 1)),
    "level": changed(wave(24, CHANGE, 1) + 3.0),
    "period": changed(wave(7, CHANGE, 1)),
    "noise": changed(wave(24, CHANGE, 1, noise=0.5)),
}
DETECTORS: dict[str, Callable[[], Any]] = {
    "ADWIN": drift.ADWIN,
    "PageHinkley": drift.PageHinkley,
    "KSWIN": lambda: drift.KSWIN(seed=1),
}


@cache
def heard(stream: str) -> tuple[NDArray[np.float64], list[int]]:
    """The errors of forecasts one step ahead, and the samples at which our events start."""
    model, errors, started = StreamForecaster(1), [], []
    for k, value in enumerate(STREAMS[stream].tolist()):
        errors.append(abs(value - model.forecast(1)[0]))
        model.learn_one(value)
        if any(e.phase == "start" and e.type in ("anomaly", "drift") for e in model.events):
            started.append(k)
    return np.array(errors), started


@cache
def fired(stream: str, name: str) -> list[int]:
    """The samples at which a detector of River's fires on "values" or "errors"."""
    kind, signal = name.split()
    detector, found = DETECTORS[kind](), []
    read = STREAMS[stream] if signal == "values" else heard(stream)[0]
    for k, x in enumerate(read.tolist()):
        if np.isfinite(x):
            detector.update(x)
            if detector.drift_detected:
                found.append(k)
    return found


def soon(found: list[int]) -> bool:
    return any(CHANGE <= k < CHANGE + SOON for k in found)


@pytest.mark.parametrize("stream", ["level", "period", "noise"])
def test_our_events_tell_of_each_change_and_of_nothing_before_it(stream: str) -> None:
    found = heard(stream)[1]
    assert soon(found)
    assert min(found) >= CHANGE


def test_where_nothing_changes_no_event_is_told() -> None:
    assert heard("no change")[1] == []


@pytest.mark.parametrize(
    ("name", "stream"),
    [
        ("ADWIN values", "level"),
        ("ADWIN errors", "noise"),
        ("PageHinkley values", "level"),
        ("PageHinkley errors", "noise"),
        ("KSWIN values", "level"),
    ],
)
def test_a_detector_of_rivers_finds_what_shows_in_what_it_reads(name: str, stream: str) -> None:
    """A level shows in the values, noise in the errors of our forecasts."""
    assert soon(fired(stream, name))
