"""The samples that are handed out: plausible signals, drawn from a seed, each with an identity.

Sample `n` belongs to stream `n % streams`, and a stream's times rise: (stream, time) says which
sample it is, in the journal and in a forecast. The same seed gives the same samples again, so they
are never kept: whoever needs them draws them once more.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

START_MS: Final = 1_700_000_000_000
STEP_MS: Final = 60_000
_STEPS_A_DAY = 1440
_GLITCHES = 0.001
_SHIFTS = 0.0002

HOSTILE: Final = (
    b"",
    b"\xff\xfe\x00",
    b"{",
    b"[" * 5_000,
    b'{"ts": 1700000000000, "value": ',
    b'{"ts": "never", "value": 1.0}',
    b'{"ts": 1e999, "value": NaN}',
    b"nothing to see here",
)
"""Payloads that are no record, whatever the stream."""


class Sample(NamedTuple):
    """Sample `number` of all, from 0; `time` is milliseconds UTC."""

    number: int
    stream: str
    time: int
    value: float

    @property
    def topic(self) -> str:
        """Where it is published."""
        return f"soak/{self.stream}"

    @property
    def payload(self) -> bytes:
        """What is published."""
        return b'{"ts": %d, "value": %s}' % (self.time, repr(self.value).encode())


def samples(seed: int, streams: int) -> Iterator[Sample]:
    """Yield the samples of a seed, in the order in which they are handed out, for ever.

    >>> first, second, third = (sample for sample, _ in zip(samples(1, 2), range(3)))
    >>> first.stream, second.stream, third.time - first.time
    ('s0', 's1', 60000)
    """
    signals = [_signal(np.random.default_rng([seed, number])) for number in range(streams)]
    for number in count():
        step, stream = divmod(number, streams)
        yield Sample(number, f"s{stream}", START_MS + step * STEP_MS, next(signals[stream]))


def record(path: Path, taken: Iterable[Sample]) -> None:
    """Write samples as `mosquitto_sub -F %j` would have heard them."""
    with path.open("w") as file:
        for sample in taken:
            heard = {"tst": sample.time / 1000, "topic": sample.topic}
            payload = sample.payload.decode()
            line = {**heard, "payloadlen": len(payload), "payload": payload}
            file.write(json.dumps(line) + "\n")


def _signal(random: np.random.Generator) -> Iterator[float]:
    """Yield a day's swing with noise that lasts, a glitch now and then, and rare new levels."""
    level, swing, phase = random.uniform(-50, 50), random.uniform(1, 10), random.uniform(0, 7)
    noise = 0.0
    for step in count():
        noise = 0.9 * noise + 0.1 * swing * random.normal()
        chance = random.random()
        level += 3 * swing if chance < _SHIFTS else 0.0
        glitch = 10 * swing if chance > 1 - _GLITCHES else 0.0
        day = swing * math.sin(phase + 2 * math.pi * step / _STEPS_A_DAY)
        yield round(float(level + day + noise + glitch), 3)
