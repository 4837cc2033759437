"""What crosses the borders: a `Record` comes in, a `Forecast` goes out, an `Event` now and then.

Units: a `Record` carries int64 nanoseconds since the epoch, UTC, because that is what is stored
and compared; inside the model, and in the Python API, time is float seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

NANOSECONDS = 1_000_000_000

Status = Literal["warming", "ok", "drifting"]
EventType = Literal[
    "anomaly", "drift", "stuck", "crossing", "gap", "clock", "stale", "session_lost"
]
Phase = Literal["start", "update", "end"]
Severity = Literal["info", "warning", "critical"]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One observation of one stream.

    `time` is int64 nanoseconds UTC, or None for a stream that counts samples; `values` has shape
    (fields,), float64, NaN where a value is missing; `received` is when we got it, nanoseconds
    UTC, or None in a recording that does not tell.

    >>> record = Record("pump7", 1_700_000_000_000_000_000, np.array([71.2]))
    >>> record.stream, record.values.shape
    ('pump7', (1,))
    """

    stream: str
    time: int | None
    values: Vector
    received: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something odd that began, went on or ended at `time` in one target of one stream.

    `target` is the index of the target, or None when the event concerns the stream as a whole;
    `time` and `since` are float seconds, or None for a stream without a clock. `since_seq` is the
    sequence number at which it began: with the type it makes the event's id, the same from start
    to end and in every replay. What is over by the time it is known is one event, of phase "end":
    a `gap`, since the record before it, and a `clock` set back, which has no length. A `crossing`
    tells the `limit` that will be passed, at which horizon `h` and with which probability `p`.
    Numbers that do not apply are NaN.
    """

    type: EventType
    phase: Phase
    time: float | None
    since: float | None
    since_seq: int
    severity: Severity
    text: str
    target: int | None = None
    score: float = float("nan")
    y: float = float("nan")
    yhat: float = float("nan")
    yhat_lower: float = float("nan")
    yhat_upper: float = float("nan")
    limit: float = float("nan")
    h: float = float("nan")
    p: float = float("nan")


class Forecast(msgspec.Struct, frozen=True, eq=False):
    """What was believed at `time` about `time + h`, for every horizon h of one stream.

    Arrays `yhat, yhat_lower, yhat_upper, coverage, skill` have shape (horizons,) for a stream of
    one target and (horizons, targets) otherwise; `y` and the `anomaly_*` arrays have shape
    (targets,). `coverage` is the recent measured share of values that fell inside the band,
    `skill` is 1 - MAE / MAE of persistence; both are NaN until a forecast has been scored.
    `time` is float seconds, or None for a stream without a clock; `seq` counts the records the
    model has stepped, from 0. `anomaly_sign` is -1, 0 or 1, `anomaly_active` 0 or 1.
    """

    time: float | None
    seq: int
    status: Status
    y: Vector
    yhat: Vector
    yhat_lower: Vector
    yhat_upper: Vector
    coverage: Vector
    skill: Vector
    anomaly_score: Vector
    anomaly_sign: Vector
    anomaly_active: Vector
    events: tuple[Event, ...] = ()
