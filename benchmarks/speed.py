"""Speed beside ReservoirPy: microseconds a sample, one thread, both in the same run.

Medians of interleaved rounds, of processor time; of the clock where it is how long a forecast takes
to be there. Ours is as installed. ReservoirPy learns in one piece, so its forecast that knows all
that came is there when all is done; in brackets, how long it takes to forecast before it learns,
from weights that are a sample older. Below the times stand the errors that both make.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy comes

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np

from benchmarks import speed_errors
from benchmarks.common import Array, data_option, figure, markdown, quick_option
from benchmarks.esn import UNTUNED
from benchmarks.speed_errors import HORIZONS, STREAM
from benchmarks.speed_kernel import over_floor
from benchmarks.speed_peers import Peer
from benchmarks.speed_timing import Candidate, cpu, nothing, rounds, until_ready
from streamlnn import Bank, Forecaster, OnlineESN
from streamlnn.model.state import block_size

UNITS = 200
"""Of the peer that the default forecaster is set beside."""
STREAMS, GATHERED = 2_000, 8
FEW = 20
"""So many peers stand for as many as there are streams; their states stay in the cache."""

Row = tuple[str, str, str, str, str]


def timed(quick: bool, ours: Candidate, theirs: Candidate) -> tuple[float, float, float]:
    """Return the medians of ours and of theirs, and of theirs / ours."""
    return rounds(ours, theirs, 3 if quick else 9)


def row(what: str, ours: float, theirs: float, ratio: float, goal: float) -> Row:
    """Return a line of the table; the ratio is bold where it reaches the goal."""
    told = f"{figure(ratio)}x"
    reached = f"**{told}**" if ratio >= goal else told
    return what, f"{figure(ours)} us", f"{figure(theirs)} us", reached, f"{goal:g}x or more"


def values(units: int, quick: bool) -> list[float]:
    """Return as many samples as make a round of some 0.1 s for a peer of so many units."""
    n = max(60, (10_000 if quick else 60_000) // units)
    noise = np.random.default_rng(0).standard_normal(n)
    return (np.sin(np.arange(n) / 9.0) + 0.1 * noise).tolist()


def _each(step: Callable[[float], object], samples: list[float]) -> Candidate:
    def work() -> None:
        for value in samples:
            step(value)

    return lambda: cpu(work, len(samples))


def warm() -> Forecaster:
    """Return a default forecaster that has learned for a while."""
    model = Forecaster(STREAM)
    model.replay(None, values(UNITS, False))
    return model


def steps(quick: bool) -> Iterator[Row]:
    """Yield what a sample costs, learning and forecasting, called from Python."""
    for units, goal in ((100, 25), (300, 20), (1_000, 30)):
        samples, peer = values(units, quick), Peer(HORIZONS, units, UNTUNED)
        esn = OnlineESN(HORIZONS, units=units)
        times = timed(quick, _each(esn.step, samples), _each(peer.step, samples))
        yield row(f"a sample, {units} units, 12 horizons", *times, goal)
    samples, peer, model = values(UNITS, quick), Peer(STREAM, UNITS, UNTUNED), warm()
    times = timed(quick, _each(partial(model.step, None), samples), _each(peer.step, samples))
    yield row(f"a sample, the default forecaster over {UNITS} units", *times, 8)


def waits(quick: bool) -> Iterator[Row]:
    """Yield how long it takes until the forecast is there."""
    for units, goal in ((100, 80), (300, 120), (1_000, 500)):
        ours = OnlineESN(HORIZONS, units=units)
        peer = Peer(HORIZONS, units, UNTUNED)
        yield _wait(quick, f"{units} units", ours.observe, ours.absorb, peer, units, goal)
    model, peer = warm(), Peer(STREAM, UNITS, UNTUNED)
    what = f"the default forecaster over {UNITS} units"
    observe = partial(model.observe, None)
    yield _wait(quick, what, observe, model.absorb, peer, UNITS, 60)


def _wait(
    quick: bool,
    what: str,
    observe: Callable[[float], object],
    absorb: Callable[[], object],
    peer: Peer,
    units: int,
    goal: float,
) -> Row:
    samples = values(units, quick)
    ours, theirs, ratio = timed(
        quick,
        lambda: until_ready(observe, absorb, samples),
        lambda: until_ready(peer.step, nothing, samples),
    )
    early = until_ready(peer.forecast, nothing, samples)
    told, us, its, *rest = row(f"until the forecast is there, {what}", ours, theirs, ratio, goal)
    return (told, us, f"{its} ({figure(early)})", *rest)  # type: ignore[return-value]


def replay(quick: bool) -> Iterator[Row]:
    """Yield a recording in one call, beside the peer's own block call, which does not forecast."""
    samples = np.array(values(300, quick) * 4)
    ours, peer = OnlineESN(HORIZONS, units=300), Peer(HORIZONS, 300, UNTUNED)
    times = timed(
        quick,
        lambda: cpu(lambda: ours.replay(samples), samples.size),
        lambda: cpu(lambda: peer.replay(samples), samples.size),
    )
    yield row("a sample of a recording in one call, 300 units", *times, 25)


def bank(quick: bool) -> Iterator[Row]:
    """Yield many streams with several samples each waiting, beside a loop over peers."""
    n = STREAMS // 10 if quick else STREAMS
    ours, peers = Bank(n, STREAM), [Peer(STREAM, UNITS, UNTUNED) for _ in range(FEW)]
    random = np.random.default_rng(0)
    index, waiting = random.permutation(np.repeat(np.arange(n), GATHERED)), GATHERED * n
    samples = random.standard_normal(waiting)
    for peer in peers:  # until they learn
        _each(peer.step, values(UNITS, True))()
    times = timed(
        quick,
        lambda: cpu(lambda: ours.step(index, None, samples), waiting),
        lambda: cpu(lambda: _all_peers(peers, samples), GATHERED * FEW),
    )
    yield row(f"a sample, {n:,} streams with {GATHERED} waiting", *times, 8)


def _all_peers(peers: list[Peer], samples: Array) -> None:
    for peer in peers:
        for value in samples[:GATHERED]:
            peer.step(value)


def floors(quick: bool) -> Iterator[Row]:
    """Yield how many times the floor of memory the update of the covariance takes."""
    for units, most in ((300, 5), (1_000, 3)):
        samples = max(60, (10**6 if quick else 10**7) // units**2)
        floor, update, ratio = over_floor(units, samples, 3 if quick else 9)
        told = f"{figure(ratio)}x"
        reached = f"**{told}**" if ratio <= most else told
        what = f"the covariance of {units} features over half of it read and written"
        yield what, f"{figure(update)} us", f"{figure(floor)} us", reached, f"{most}x or less"


def size() -> Row:
    """Return how much memory a stream takes."""
    own = block_size(Forecaster(STREAM)._state)
    told = f"{own / 1000:.0f} KB"
    return "state of a stream, horizons to 48", told, "-", "-", "400 KB or less"


@click.command(help=__doc__)
@data_option
@quick_option
@click.option("--errors/--no-errors", default=True, help="The errors too (some 15 minutes).")
def main(data: Path, quick: bool, errors: bool) -> None:
    """Print the tables."""
    parts = (steps, waits, replay, bank, floors)
    rows = [*(one for part in parts for one in part(quick)), size()]
    click.echo(markdown(["", "ours", "ReservoirPy", "ratio", "goal"], rows))
    if errors:
        sizes = {100: 2_000} if quick else {100: 8_000, 300: 8_000, 1_000: 3_000}
        click.echo(f"\n{speed_errors.networks(sizes)}")
        click.echo(f"\n{speed_errors.streams(data, 2_500 if quick else speed_errors.MOST)}")


if __name__ == "__main__":
    main()
