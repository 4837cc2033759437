"""Streams that change once: what a trained network has to live with after its training.

Each is cut in order into a part for training, one for validation, one that is only forecast, and
what comes from the change on. The two made ones come from their seed alone, with noise of 5 % of
their standard deviation, so that there is an error that nobody can go below.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks import signals
from benchmarks.claims_streams import NOISE, section
from benchmarks.common import Array, joined, read

FLOW = "Volume Flow RateRMS"
SESSIONS = ("skab_valve1_0.csv", "skab_valve1_1.csv")
FASTER, DELAY = 0.06, 30.0
_slow_glass = partial(signals.mackey_glass, tau=DELAY)
_fast_lorenz = partial(signals.lorenz, interval=FASTER)


@dataclass(frozen=True, slots=True)
class Split:
    """How many samples each part has."""

    train: int = 4_000
    valid: int = 800
    before: int = 1_200
    after: int = 2_000

    @property
    def known(self) -> int:
        """Where training and validation end: only forecasts follow."""
        return self.train + self.valid

    @property
    def change(self) -> int:
        """The first sample of what the stream has become."""
        return self.known + self.before


QUICK = Split(520, 120, 60, 540)


@dataclass(frozen=True, slots=True)
class Changing:
    """A stream `y` (n,) whose samples from `split.change` on are of another kind."""

    name: str
    y: Array
    split: Split
    change: str
    unit: str = ""


def streams(split: Split, seed: int, folder: Path | None) -> Iterator[Changing]:
    """Yield the made streams of one seed, and the recorded ones if their folder is known."""
    yield mackey_glass(split, seed)
    yield lorenz(split, seed)
    if folder is not None:
        yield pump(split, folder)
        yield wet_bulb(split, folder)


def mackey_glass(split: Split, seed: int) -> Changing:
    """Return Mackey-Glass, whose delay goes from 17 to 30."""
    parts = [
        section(signals.mackey_glass, split.change, 2 * seed),
        section(_slow_glass, split.after, 2 * seed + 1),
    ]
    return Changing("Mackey-Glass", _noisy(parts, seed), split, "its delay goes from 17 to 30")


def lorenz(split: Split, seed: int) -> Changing:
    """Return x of the Lorenz system, which becomes half again as fast."""
    parts = [
        section(signals.lorenz, split.change, 2 * seed),
        section(_fast_lorenz, split.after, 2 * seed + 1),
    ]
    return Changing("Lorenz", _noisy(parts, seed), split, "it becomes half again as fast")


def pump(split: Split, folder: Path) -> Changing:
    """Return the flow of SKAB's pump: running freely, then on the setting of the valve's tests.

    A real change, between two recordings of one test bench: from about 125 to 32 l/min. In what
    follows a valve is closed once in each session, too.
    """
    free = read("skab_anomaly-free.csv", folder).column(FLOW)
    tests = joined([read(name, folder) for name in SESSIONS]).column(FLOW)
    y = np.concatenate([free[-split.change :], tests[: split.after]])
    return Changing("Pump flow", y, split, "another setting of the pump (real)", "l/min")


def wet_bulb(split: Split, folder: Path) -> Changing:
    """Return WTH's wet bulb temperature, whose sensor is replaced by one that tells Fahrenheit."""
    celsius = read("WTH.csv", folder).column("WetBulbCelsius")[: split.change + split.after]
    fahrenheit = 32.0 + 1.8 * celsius[split.change :]
    y = np.concatenate([celsius[: split.change], fahrenheit])
    return Changing("Wet bulb", y, split, "from Celsius to Fahrenheit (made)", "degrees")


def _noisy(parts: list[Array], seed: int) -> Array:
    noisy = [signals.with_noise(part, NOISE, 2 * seed + k) for k, part in enumerate(parts)]
    return np.concatenate(noisy)
