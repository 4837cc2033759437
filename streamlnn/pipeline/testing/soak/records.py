"""What the journal holds, and what it should hold: each stream's records in order, as arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.testing.soak.samples import Sample

Series = NDArray[np.float64]
"""Shape (n, 2): times in milliseconds UTC, exact to 2**53, and values."""


def of_samples(samples: Iterable[Sample]) -> dict[str, Series]:
    """Return the samples by stream.

    >>> of_samples([Sample(0, "a", 5, 1.5)])
    {'a': array([[5. , 1.5]])}
    """
    return _by_stream((one.stream, one.time, one.value) for one in samples)


def of_journal(folder: Path) -> dict[str, Series]:
    """Return the records of a data directory by stream, in the order they were accepted.

    Raises `StoreError` when the journal is damaged.
    """
    journal = Journal(folder, read_only=True)
    try:
        return _by_stream(
            (record.stream, (record.time or 0) / 1e6, float(record.values[0]))
            for _, record in journal.records_after(0)
        )
    finally:
        journal.close()


def _by_stream(rows: Iterable[tuple[str, float, float]]) -> dict[str, Series]:
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for stream, time, value in rows:
        found[stream].append((time, value))
    return {stream: np.array(pairs) for stream, pairs in found.items()}
