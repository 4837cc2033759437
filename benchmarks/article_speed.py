"""Whole sequences: the article's loop beside ours, by units, by sequences at once, and by threads.

Both are called without gradients on float32 sequences of 100 steps and answer from the last state.
By the clock, medians of interleaved rounds; above 1 ours is faster. The article's loop is dense,
ours hears 10 units in each.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")  # before numpy comes

from collections.abc import Callable, Iterator, Sequence
from time import perf_counter

import click

from benchmarks.article_models import ArticleESN
from benchmarks.article_needs import torch
from benchmarks.article_training import threads
from benchmarks.common import figure, geometric_mean, markdown, quick_option
from benchmarks.speed_timing import rounds
from streamlnn.interop.torch import ESN

UNITS, BATCHES = (10, 30, 100, 300, 1_000), (1, 16, 64, 256)
THREADS, STEPS, ROUNDS = (1, 2), 100, 9
"""Threads of torch: one, and as many as it takes by default on a machine of two cores."""
GOALS = {100: 3.0}
"""How many times as fast ours is meant to be, by units; as fast, at least, at all others."""
LEAST = 0.02
"""Seconds that a round takes at least."""


def clock(work: Callable[[], object], times: int) -> float:
    """Return the microseconds that `work` takes."""
    start = perf_counter()
    for _ in range(times):
        work()
    return (perf_counter() - start) / times * 1e6


def compared(units: int, batch: int, count: int) -> tuple[float, float, float]:
    """Return the medians of ours and of the article's, microseconds a call, and theirs / ours."""
    x = torch.randn(batch, STEPS, 1, generator=torch.Generator().manual_seed(0))
    ours, theirs = ESN(1, units, 1), ArticleESN(units, 1)

    def own() -> object:
        return ours(x)

    def peer() -> object:
        return theirs.last(x)

    with torch.no_grad():
        times = [max(1, round(LEAST * 1e6 / min(clock(w, 1), clock(w, 1)))) for w in (own, peer)]
        return rounds(lambda: clock(own, times[0]), lambda: clock(peer, times[1]), count)


def rows(
    all_units: Sequence[int], batches: Sequence[int], count: int
) -> Iterator[tuple[float, list[str]]]:
    """Yield the ratio at every size, and the row that tells it, for the threads that torch has."""
    for units in all_units:
        for batch in batches:
            ours, theirs, ratio = compared(units, batch, count)
            goal = GOALS.get(units, 1.0)
            told = f"{figure(ratio)}x"
            reached = f"**{told}**" if ratio >= goal else told
            cells = [f"{figure(ours)} us", f"{figure(theirs)} us", reached, f"{goal:g}x or more"]
            yield ratio, [str(units), str(batch), *cells]


def table(all_units: Sequence[int], batches: Sequence[int], count: int) -> str:
    """Return the table for the threads that torch has now, and what it comes to."""
    found = list(rows(all_units, batches, count))
    ratios = [ratio for ratio, _ in found]
    header = ["units", "sequences", "ours, a call", "the article's", "ratio", "goal"]
    mean, least = figure(geometric_mean(ratios)), figure(min(ratios))
    return (
        f"{markdown(header, [row for _, row in found])}\n\n"
        f"Geometric mean {mean}x, lowest {least}x; the goal is reached where it is bold."
    )


@click.command(help=__doc__)
@quick_option
def main(quick: bool) -> None:
    """Print a table for each number of threads."""
    sizes = ((10, 100), (1, 16), 3) if quick else (UNITS, BATCHES, ROUNDS)
    for count in THREADS:
        threads(count)
        click.echo(f"torch has {count} thread{'s' * (count > 1)}\n\n{table(*sizes)}\n")


if __name__ == "__main__":
    main()
