"""What crosses the borders: a `Record` comes in, a `Forecast` goes out, an `Event` now and then.

Units: a `Record` carries int64 nanoseconds since the epoch, UTC, because that is what is stored
and compared; inside the model, and in the Python API, time is float seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Array = NDArray[np.float64]

NANOSECONDS = 1_000_000_000

Status = Literal["warming", "ok", "drifting"]
_SHOWN = (
    *("time", "seq", "status", "y", "yhat", "yhat_lower", "yhat_upper", "coverage", "skill"),
    *("anomaly_score", "anomaly_sign", "anomaly_active", "events"),
)
_STATUS: tuple[Status, ...] = ("warming", "ok", "drifting")
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


class Forecast(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What was believed at `time` about `time + h`, for every horizon h of one stream.

    Arrays `yhat, yhat_lower, yhat_upper, coverage, skill` have shape (horizons,) for a stream of
    one target and (horizons, targets) otherwise; `y` and the `anomaly_*` arrays have shape
    (targets,). `time` is float seconds, or None for a stream without a clock. All but `time` and
    `events` is taken out of `row` when it is asked for, which costs some 0.2 microseconds each.
    """

    time: float | None
    events: tuple[Event, ...]
    shape: tuple[int, ...]
    row: Vector  # as compiled code tells it: `State.forecast`, `State.condition`, status, seq

    @property
    def seq(self) -> int:
        """The number of this record among those that the model has stepped, from 0."""
        return int(self.row[-1])

    @property
    def status(self) -> Status:
        """Whether the model is warming, ok or drifting."""
        return _STATUS[int(self.row[-2])]

    @property
    def y(self) -> Vector:
        """The record's own values, NaN where missing."""
        return self._found(0)

    @property
    def yhat(self) -> Vector:
        """The forecasts."""
        return self._told(0)

    @property
    def yhat_lower(self) -> Vector:
        """The lower ends of their bands."""
        return self._told(1)

    @property
    def yhat_upper(self) -> Vector:
        """The upper ends of their bands."""
        return self._told(2)

    @property
    def coverage(self) -> Vector:
        """The recent share of values that fell inside the band; NaN until one was scored."""
        return self._told(3)

    @property
    def skill(self) -> Vector:
        """1 - MAE / MAE of persistence, of late; NaN until a forecast was scored."""
        return self._told(4)

    @property
    def anomaly_score(self) -> Vector:
        """How odd the newest errors are, from 0 to 1."""
        return self._found(1)

    @property
    def anomaly_sign(self) -> Vector:
        """-1, 0 or 1: to which side values are off while there is an anomaly."""
        return self._found(2)

    @property
    def anomaly_active(self) -> Vector:
        """1 while there is an anomaly, 0 otherwise."""
        return self._found(3)

    def by_target(self) -> Iterator[tuple[list[tuple[float, ...]], list[float]]]:
        """Yield all of each target as plain floats, five times faster than one by one.

        First `yhat, yhat_lower, yhat_upper, coverage, skill` of each horizon, then the target's
        `y, anomaly_score, anomaly_sign, anomaly_active`.
        """
        told, targets = math.prod(self.shape), self._targets
        row, end = self.row.tolist(), 5 * told
        for m in range(targets):
            columns = [row[k + m : k + told : targets] for k in range(0, end, told)]
            yield list(zip(*columns, strict=True)), row[end + m : end + 4 * targets : targets]

    def __repr__(self) -> str:
        told = (f"{name}={getattr(self, name)!r}" for name in _SHOWN)
        return f"Forecast({', '.join(told)})"

    def _told(self, k: int) -> Vector:
        size = math.prod(self.shape)
        return self.row[k * size : (k + 1) * size].reshape(self.shape)

    @property
    def _targets(self) -> int:
        return self.shape[1] if len(self.shape) > 1 else 1

    def _found(self, k: int) -> Vector:
        targets = self._targets
        start = 5 * math.prod(self.shape) + k * targets
        return self.row[start : start + targets]


def split_rows(rows: Array, horizons: int, targets: int) -> tuple[Array, Array]:
    """Return what many `Forecast.row`s (n, width) tell of each horizon, and of each target.

    First (n, 5, horizons, targets): `yhat, yhat_lower, yhat_upper, coverage, skill`; then
    (n, 4, targets): `y, anomaly_score, anomaly_sign, anomaly_active`. Both are views.

    >>> from streamlnn import Forecaster
    >>> rows = Forecaster([1, 12]).step(None, 20.0).row[None]
    >>> told, found = split_rows(rows, horizons=2, targets=1)
    >>> told.shape, found[0, 0].tolist()
    ((1, 5, 2, 1), [20.0])
    """
    n, told = len(rows), 5 * horizons * targets
    found = rows[:, told : told + 4 * targets].reshape(n, 4, targets)
    return rows[:, :told].reshape(n, 5, horizons, targets), found
