"""What the demo publishes: one real sensor, recorded, beside four simulated ones.

The real one is the flow through a water main, hourly, 2022, gaps and faults included: the
recording that the package river carries (`river.datasets.WaterFlow`, given by Tecnojest s.r.l.).
Of the simulated ones, one is healthy, one drifts away, one gets stuck, one spikes.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

TICK_SECS = 0.2
"""How often every sensor speaks, at speed 1; the simulated clocks advance by as much."""

HISTORY_TICKS = 300
"""What the demo's sensors say at once at its start, so that there is something to have learned."""

WATER_TOPIC = "sensors/waterworks/main/telemetry"

Message = tuple[str, dict[str, Any], float]
"""Topic, payload, and the seconds to wait, at speed 1, before it is published."""


def feed(start: float, seed: int = 1, history: int = 0) -> Iterator[Message]:
    """Yield the messages of all sensors, without end.

    `start` is when the simulated clocks begin, seconds since 1970; the same `start` and `seed`
    give the same messages. The first `history` ticks come without delay. The recording begins
    again, later by whole days, when it is over.
    Raises `ModuleNotFoundError` when river is not installed.

    >>> topic, payload, delay = next(feed(start=0.0))
    >>> topic, payload["flow"], delay
    ('sensors/waterworks/main/telemetry', 100.59, 0.04)
    """
    recorded = water()
    simulated = {name: make(_noise(seed, name)) for name, make in SENSORS.items()}
    for tick in itertools.count():
        delay = TICK_SECS / (1 + len(simulated)) if tick >= history else 0.0
        time, flow = next(recorded)
        yield WATER_TOPIC, {"time": time.isoformat(), "flow": flow}, delay
        milliseconds = round((start + tick * TICK_SECS) * 1000)
        for name, values in simulated.items():
            payload = {"ts": milliseconds, "value": round(next(values), 3)}
            yield f"sensors/plant/{name}/telemetry", payload, delay


def water() -> Iterator[tuple[datetime, float]]:
    """Yield time and flow, litres a second, of the recorded water main, over and over."""
    from river.datasets import WaterFlow

    recording = [(features["Time"], flow) for features, flow in WaterFlow()]  # type: ignore[no-untyped-call]
    span = recording[-1][0] - recording[0][0]
    days = timedelta(days=span.days + 1)
    for lap in itertools.count():
        for time, flow in recording:
            yield time + lap * days, flow


def healthy(rng: random.Random) -> Iterator[float]:
    """Yield a tank's level: a wave of 12 s with a little noise."""
    for tick in itertools.count():
        yield 50 + 10 * _wave(tick, 12.0) + rng.gauss(0, 0.5)


def drifting(rng: random.Random) -> Iterator[float]:
    """Yield a bearing's temperature: after 30 s of every 90 s it creeps up, until it is mended."""
    for tick in itertools.count():
        crept = max(0.0, (tick * TICK_SECS) % 90 - 30) * 0.3
        yield 60 + 2 * _wave(tick, 8.0) + crept + rng.gauss(0, 0.3)


def stuck(rng: random.Random) -> Iterator[float]:
    """Yield a valve's position: in the last 12 s of every 45 s it reports the same value."""
    value = 0.0
    for tick in itertools.count():
        if (tick * TICK_SECS) % 45 < 33:
            value = 30 + 8 * _wave(tick, 10.0) + 3 * _wave(tick, 3.0) + rng.gauss(0, 0.3)
        yield value


def spiking(rng: random.Random) -> Iterator[float]:
    """Yield a motor's vibration: one value in 120 is far off."""
    for tick in itertools.count():
        spike = 6.0 if rng.random() < 1 / 120 else 0.0
        yield 4 + _wave(tick, 6.0) + rng.gauss(0, 0.15) + spike


SENSORS: dict[str, Callable[[random.Random], Iterator[float]]] = {
    "tank": healthy,
    "bearing": drifting,
    "valve": stuck,
    "motor": spiking,
}


def _wave(tick: int, period_secs: float) -> float:
    return math.sin(2 * math.pi * tick * TICK_SECS / period_secs)


def _noise(seed: int, name: str) -> random.Random:
    return random.Random(f"{seed} {name}")  # noqa: S311 - a simulation, no secret
