"""What a network is shown of a stream, and how its answers become forecasts.

Inputs are standardised by the training part. The outputs, one for each horizon, are the *change*
from the newest value, in deviations of the changes over the training part: so a network that says
nothing says persistence, and a change of level costs nobody more than it must.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.article_needs import Tensor, nn, torch
from benchmarks.article_streams import Changing, Split
from benchmarks.common import Array

HORIZONS = (1, 12)
PIECES = 8
WARM = 50
"""Steps that only warm the state at the head of each piece."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Location, scale, and the deviation of the changes (horizons,), of the training part."""

    mean: float
    size: float
    changes: Array

    @classmethod
    def of(cls, known: Array, horizons: Sequence[int]) -> Scaled:
        """Return the scales of a training part (n,)."""
        changes = [np.std(known[h:] - known[:-h]) for h in horizons]
        return cls(float(known.mean()), float(known.std()), np.array(changes))

    def inputs(self, y: Array) -> Tensor:
        """Return what networks see of y (n,): (n, 1)."""
        return torch.tensor((y - self.mean) / self.size, dtype=torch.float32)[:, None]

    def targets(self, y: Array, horizons: Sequence[int]) -> Tensor:
        """Return what is to be said at each step, (n, horizons); NaN where it never comes."""
        moves = np.full((y.size, len(horizons)), np.nan)
        for k, h in enumerate(horizons):
            moves[:-h, k] = y[h:] - y[:-h]
        return torch.tensor(moves / self.changes, dtype=torch.float32)

    def forecasts(self, y: Array, said: Tensor) -> Array:
        """Return forecasts (n, horizons) from what was said (n, horizons) at each of y (n,)."""
        return np.asarray(y[:, None] + said.double().numpy() * self.changes)


@dataclass(frozen=True, slots=True)
class Lessons:
    """Pieces to learn from and to validate with, (pieces, steps, 1) and (pieces, steps, outputs).

    The first `WARM` steps of every piece only warm the state.
    """

    x: Tensor
    y: Tensor
    valid_x: Tensor
    valid_y: Tensor


def lessons(x: Tensor, y: Tensor, split: Split, furthest: int) -> Lessons:
    """Return the lessons from inputs (n, 1) and targets (n, outputs).

    No target of the training pieces is of the validation part, and none of that of a later one.
    """
    learned = _pieces(0, split.train - furthest)
    checked = _pieces(split.train, split.known - furthest, WARM)
    return Lessons(x[learned], y[learned], x[checked], y[checked])


def _pieces(first: int, end: int, ahead: int = 0) -> Array:
    """Return the indices of pieces of equal length, each with `ahead` steps before it."""
    steps = (end - first) // PIECES
    heads = first - ahead + steps * np.arange(PIECES)
    return np.asarray(heads[:, None] + np.arange(ahead + steps))


@dataclass(frozen=True, slots=True)
class Task:
    """A stream as networks see it: inputs (n, 1), targets (n, outputs) and the lessons."""

    stream: Changing
    scaled: Scaled
    x: Tensor
    y: Tensor
    lessons: Lessons

    @classmethod
    def of(cls, stream: Changing) -> Task:
        """Return the task of a stream."""
        scaled = Scaled.of(stream.y[: stream.split.train], HORIZONS)
        x, y = scaled.inputs(stream.y), scaled.targets(stream.y, HORIZONS)
        return cls(stream, scaled, x, y, lessons(x, y, stream.split, max(HORIZONS)))

    def forecasts(self, said: Tensor) -> Array:
        """Return forecasts (n, horizons), NaN in the training part."""
        yhat = self.scaled.forecasts(self.stream.y, said)
        yhat[: self.stream.split.train] = np.nan
        return yhat


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model said of a stream, (n, horizons), NaN in the training part, and what it took.

    seconds: of the processor, for training, every setting that was tried included. weights: how
    many there are; trained: how many of them move. one: forecasts from one more sample, and learns
    from it where learning goes on.
    """

    yhat: Array
    seconds: float = 0.0
    weights: int = 0
    trained: int = 0
    ended: str = "-"
    one: Callable[[], object] | None = None


def counted(net: nn.Module) -> tuple[int, int]:
    """Return how many weights a network has, and how many of them are trained.

    What says which units are connected is no weight: ncps keeps that as parameters, too.
    """
    weights = {k: w for k, w in net.named_parameters() if not k.endswith("sparsity_mask")}
    fixed = {k: b for k, b in net.named_buffers() if k != "taps"}
    learned = sum(w.numel() for w in weights.values() if w.requires_grad)
    return sum(w.numel() for w in (*weights.values(), *fixed.values())), learned
