"""How long things take: interleaved in rounds, so that whatever slows the machine slows both.

Every figure is in microseconds a sample. A candidate is a function that does its work once and
returns how long that took; what is told is the median of the rounds, and ratios are medians of the
rounds' own ratios.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable
from statistics import median
from time import perf_counter, process_time

Candidate = Callable[[], float]


def rounds(ours: Candidate, theirs: Candidate, count: int) -> tuple[float, float, float]:
    """Return the medians of ours and of theirs, and of theirs / ours."""
    ours(), theirs()  # what is only done once is not timed
    gc.disable()
    try:
        pairs = [(ours(), theirs()) for _ in range(count)]
    finally:
        gc.enable()
    ratios = [peer / own for own, peer in pairs]
    return median(own for own, _ in pairs), median(peer for _, peer in pairs), median(ratios)


def cpu(work: Callable[[], object], samples: int) -> float:
    """Return the processor time that `work` takes for each of its samples."""
    start = process_time()
    work()
    return (process_time() - start) / samples * 1e6


def until_ready(
    forecast: Callable[[float], object], rest: Callable[[], object], values: Iterable[float]
) -> float:
    """Return the median time from a value to its forecast; `rest` follows it and does not count.

    By the clock, as a processor's time cannot be read so often. What reading the clock takes
    counts as well.
    """
    took = []
    for value in values:
        start = perf_counter()
        forecast(value)
        took.append(perf_counter() - start)
        rest()
    return median(took) * 1e6


def nothing() -> None:
    """Have nothing left to do after a forecast."""
