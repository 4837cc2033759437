"""What there is to know of one stream's records, gathered one by one."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from streamlnn.model.records import NANOSECONDS, Vector
from streamlnn.pipeline.timestamps import rfc3339

GAP_STEPS = 3
"""A step that is more than so many usual ones long is a gap, as in the daemon's events."""


class StreamFacts:
    """Times and ranges of a stream with the fields `names`, in 8 bytes of memory a record."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.records = 0
        self._times = array("q")
        self._least = np.full(len(names), np.nan)
        self._most = np.full(len(names), np.nan)
        self._missing = np.zeros(len(names), dtype=np.int64)

    def add(self, time: int | None, values: Vector) -> None:
        """Take a record: nanoseconds or None, and a number for each field, NaN if missing."""
        self.records += 1
        if time is not None:
            self._times.append(time)
        if values.shape == self._least.shape:
            self._least = np.fmin(self._least, values)
            self._most = np.fmax(self._most, values)
            self._missing += np.isnan(values)

    def told(self) -> dict[str, Any]:
        """Return all of it; what cannot be known is None."""
        return {"records": self.records, **self._order(), "fields": self._fields()}

    def _order(self) -> dict[str, Any]:
        times = np.frombuffer(self._times, dtype=np.int64)
        steps = np.diff(times)
        forward = steps[steps > 0]
        usual = float(np.median(forward)) / NANOSECONDS if len(forward) else None
        gaps = forward[forward > GAP_STEPS * np.median(forward)] if len(forward) else forward
        ends = (int(times.min()), int(times.max())) if len(times) else None
        return {
            "first": rfc3339(ends[0]) if ends else None,
            "last": rfc3339(ends[1]) if ends else None,
            "span_secs": (ends[1] - ends[0]) / NANOSECONDS if ends else None,
            "usual_step_secs": usual,
            "gaps": len(gaps),
            "longest_gap_secs": float(gaps.max()) / NANOSECONDS if len(gaps) else None,
            "same_time": len(times) - len(np.unique(times)),
            "out_of_order": int((steps < 0).sum()),
        }

    def _fields(self) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "min": None if np.isnan(least) else float(least),
                "max": None if np.isnan(most) else float(most),
                "missing": int(missing),
            }
            for name, least, most, missing in zip(
                self.names, self._least, self._most, self._missing, strict=True
            )
        ]
