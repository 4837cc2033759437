"""What a stuck, broken or endless sensor does to the model: errors after it, and its cost.

`python -m benchmarks.robustness` prints one table; `--long` adds ten million samples.
The signal is Mackey-Glass with 10 % noise, the horizon 1; an error is a mean absolute one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import numpy as np

from benchmarks import signals
from benchmarks.claims_streams import section
from benchmarks.common import Array, figure, markdown, quick_option
from streamlnn import Forecaster

NOISE = 0.1
BEFORE = 10_000
SCORED = 5_000
BLOCK = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was done to the model: a figure without it, with it, and their ratio's bound.

    A bound of infinity asks for finite numbers only; the figures then say nothing.
    """

    what: str
    without: float
    after: float
    bound: float
    finite: bool

    @property
    def cells(self) -> list[str]:
        """The row as it is printed."""
        ratio = self.after / self.without
        held = "yes" if ratio <= self.bound and self.finite else "**no**"
        finite = "yes" if self.finite else "**no**"
        figures = [figure(self.without), figure(self.after), figure(ratio, 4), figure(self.bound)]
        figures = ["-"] * 4 if self.bound == np.inf else figures
        return [self.what, *figures, finite, held]


class Signal:
    """A clean signal that goes round, with noise that does not."""

    def __init__(self, period: int = 20_000) -> None:
        self._clean = section(signals.mackey_glass, period, 0)
        self._random, self._at = np.random.default_rng(1), 0
        self.deviation = float(self._clean.std())

    def next(self, n: int) -> Array:
        """Return the next n samples."""
        at = np.arange(self._at, self._at + n) % self._clean.size
        self._at += n
        return self._clean[at] + NOISE * self.deviation * self._random.standard_normal(n)


class Watched:
    """A model that is fed in blocks, and whether all it ever said was finite."""

    def __init__(self) -> None:
        self.model, self.finite = Forecaster([1]), True

    def feed(self, y: Array) -> float:
        """Step through y; return the mean absolute error of the second half."""
        said = [self._block(part) for part in np.split(y, range(BLOCK, y.size, BLOCK))]
        e = np.abs(y[1:] - np.concatenate(said)[:-1])
        return float(e[e.size // 2 :].mean())

    def sound(self) -> bool:
        """Whether all forecasts and all that was learned are finite."""
        arrays = self.model.state().items()
        learned = [a for name, a in arrays if "weights" in name or name.split("_")[0] in "UD"]
        return self.finite and all(np.isfinite(a).all() for a in learned)

    def _block(self, y: Array) -> Array:
        said = self.model.replay(None, y)
        bands = np.concatenate([said.yhat, said.yhat_lower, said.yhat_upper])
        self.finite &= bool(np.isfinite(bands).all())
        return said.yhat[:, 0]


def interrupted(what: str, spell: Array, bound: float = 1.05, move: float = 0.0) -> Row:
    """Measure signal, `spell`, signal moved by `move` deviations: the error at the end of it.

    It is set beside that of a model that saw the same signal without the spell and the move.
    """
    watched, spared, signal = Watched(), Watched(), Signal()
    first, last = signal.next(BEFORE), signal.next(BEFORE)
    spared.feed(first)
    watched.feed(np.concatenate([first, spell]))
    without, after = spared.feed(last), watched.feed(last + move * signal.deviation)
    return Row(what, without, after, bound, watched.sound())


def in_unit(unit: float) -> Row:
    """Measure the signal in another unit: its error, told in the old one."""
    watched, usual, y = Watched(), Watched(), Signal().next(BEFORE)
    error = watched.feed(unit * y) / unit
    return Row(f"the signal in a unit of {unit:.0e}", usual.feed(y), error, 1.05, watched.sound())


def endless(samples: int) -> Row:
    """Measure the signal for very long: the error of the first and of the last tenth."""
    watched, signal = Watched(), Signal()
    watched.feed(signal.next(BEFORE))
    found = [watched.feed(signal.next(samples // 10)) for _ in range(10)]
    what = f"{samples:,} samples: the last tenth"
    return Row(what, found[0], found[-1], 1.02, watched.sound())


def cost(what: str, make: Callable[[int], Array], blocks: int) -> Row:
    """Take the median seconds of a block of such samples, in turn with blocks of the signal."""
    watched, normal, signal = Watched(), Watched(), Signal()
    normal.feed(signal.next(BLOCK))
    watched.feed(signal.next(BLOCK))
    usual = [(_seconds(normal, signal.next(BLOCK)), _seconds(watched, make(BLOCK)))
             for _ in range(blocks)]  # fmt: skip
    without, after = np.median(usual, axis=0)
    return Row(f"seconds a block, {what}", without, after, 1.2, watched.sound())


def _seconds(watched: Watched, y: Array) -> float:
    start = time.process_time()
    watched.model.replay(None, y)
    return time.process_time() - start


def magnitudes(n: int) -> Array:
    """Return values of every size that a float can have, 1e-300 to 1e300, of both signs."""
    random = np.random.default_rng(2)
    return random.choice([-1.0, 1.0], n) * 10.0 ** random.uniform(-300.0, 300.0, n)


def rows(stuck: int, blocks: int, long: int) -> Iterator[Row]:
    """Do everything and yield one row after the other."""
    yield interrupted(f"{stuck:,} constant samples", np.full(stuck, 1.0))
    yield interrupted(f"{stuck:,} missing samples", np.full(stuck, np.nan))
    yield interrupted("one sample of 3.4e38", np.array([3.4e38]))
    yield interrupted("a spike of a million deviations", np.array([2.3e5]))
    yield interrupted("a step of a million deviations", np.empty(0), move=1e6)
    yield interrupted("10,000 samples at 1e-300", 1e-300 * Signal().next(BLOCK))
    yield interrupted("1,000 samples from 1e-300 to 1e300", magnitudes(1000), np.inf)
    for unit in (1e-300, 1e-30, 1e30, 1e299):
        yield in_unit(unit)
    yield cost("of denormals", lambda n: np.full(n, 5e-324), blocks)
    yield cost("of the signal at 1e-310", lambda n: 1e-310 * Signal().next(n), blocks)
    yield cost("of zeros", np.zeros, blocks)
    if long:
        yield endless(long)


HEADER = ["what", "without it", "with it", "ratio", "at most", "all finite", "holds"]


@click.command(help=__doc__)
@click.option("--long", "long", is_flag=True, help="Ten million samples as well: six minutes.")
@quick_option
def main(long: bool, quick: bool) -> None:
    """Print the table."""
    stuck, blocks, samples = (20_000, 3, 100_000) if quick else (1_000_000, 15, 10_000_000)
    done = rows(stuck, blocks, samples if long else 0)
    click.echo(markdown(HEADER, [row.cells for row in done]))


if __name__ == "__main__":
    main()
