"""What harm comes when: spread over the time and drawn from a seed, so that it can come again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["kill", "stop", "broker restart", "broker freeze", "reconnect", "consumer freeze"]

_SECS: Mapping[Kind, tuple[float, float]] = {
    "kill": (0.05, 1.6),
    "stop": (0.05, 1.6),
    "broker restart": (0.0, 1.0),
    "broker freeze": (1.0, 8.0),
    "reconnect": (0.0, 0.0),
    "consumer freeze": (2.0, 8.0),
}
"""How long it takes: from readiness to the kill or stop, or for how long the other side is away."""
_HASTY = 0.25
_HASTY_SECS = (0.0, 0.4)
_TORN_EVERY = 10


@dataclass(frozen=True, slots=True)
class Fault:
    """One harm: due `at` seconds after the beginning; `secs` as in the table of its kind.

    A hasty kill does not wait for readiness: it comes while the state is restored. With `tears`
    garbage is put behind the journal's last write after it.
    """

    at: float
    kind: Kind
    secs: float
    hasty: bool = False
    tears: bool = False


def plan(seed: int, secs: float, counts: Mapping[Kind, int]) -> list[Fault]:
    """Return the faults in the order of their times: so many of each kind, spread over `secs`.

    >>> [fault.kind for fault in plan(1, 60.0, {"kill": 2, "reconnect": 1})].count("kill")
    2
    """
    random = np.random.default_rng([seed, 0xFA])
    faults = [
        _fault(random, kind, secs * (n + random.random()) / wanted, n)
        for kind, wanted in counts.items()
        for n in range(wanted)
    ]
    return sorted(faults, key=lambda fault: fault.at)


def _fault(random: np.random.Generator, kind: Kind, at: float, n: int) -> Fault:
    secs = random.uniform(*_SECS[kind])
    if kind != "kill":
        return Fault(at, kind, secs)
    hasty = random.random() < _HASTY
    tears = n % _TORN_EVERY == _TORN_EVERY - 1
    return Fault(at, kind, random.uniform(*_HASTY_SECS) if hasty else secs, hasty, tears)
