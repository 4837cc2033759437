"""Training by truncated back-propagation through time, with a budget that is the same for all.

The training part is cut into `PIECES` that are learned from side by side. Their states are carried
from each 50 steps to the next, detached; the first 50 only warm them. Adam, squared error, norm of
the gradient at most 1. Every learning rate is tried for a while; the one with the lowest error on
the validation part goes on, is halved where that no longer falls, and what was best there counts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

from benchmarks.article_lessons import WARM, Lessons
from benchmarks.article_needs import Tensor, nn, torch

STEPS = 50
"""How far back a gradient goes."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What a network may take: learning rates, epochs, and seconds of the processor in all.

    Each rate is tried for `look` epochs and a tenth of the seconds at most.
    """

    rates: Sequence[float] = (1e-2, 3e-3, 1e-3)
    look: int = 5
    epochs: int = 250
    patience: int = 20
    seconds: float = 80.0


QUICK = Budget(rates=(1e-2,), look=1, epochs=2, seconds=10.0)


@dataclass(frozen=True, slots=True)
class Trained:
    """A network, the processor's seconds that went into it, and what ended its training."""

    net: nn.Module
    seconds: float
    ended: str


def threads(count: int) -> None:
    """Let torch take so many threads."""
    torch.set_num_threads(count)


def train(make: Callable[[], nn.Module], data: Lessons, budget: Budget, seed: int) -> Trained:
    """Return the network that `make` returns, trained at the best of the learning rates."""
    start = process_time()
    tried = []
    for rate in budget.rates:
        torch.manual_seed(seed)
        tried.append(_Training(make(), rate))
        tried[-1].go_on(data, budget, budget.look, process_time() + budget.seconds / 10)
    best = min(tried, key=lambda one: one.lowest)
    ended = best.go_on(data, budget, budget.epochs, start + budget.seconds)
    best.net.load_state_dict(best.kept)
    return Trained(best.net, process_time() - start, ended)


class _Training:
    """One network in training, and the best it has been."""

    def __init__(self, net: nn.Module, rate: float) -> None:
        self.net = net
        self.weights = [w for w in net.parameters() if w.requires_grad]
        self.optimizer = torch.optim.Adam(self.weights, rate)
        self.halving = torch.optim.lr_scheduler.ReduceLROnPlateau(self.optimizer, "min", 0.5, 8)
        self.kept: dict[str, Any] = copy.deepcopy(net.state_dict())
        self.lowest, self.since, self.epochs = float("inf"), 0, 0

    def go_on(self, data: Lessons, budget: Budget, epochs: int, until: float) -> str:
        """Train until `epochs` or the processor's second `until`; return what ended it."""
        while self.epochs < epochs and self.since < budget.patience:
            if process_time() > until:
                return "time"
            self._epoch(data)
            self._validated(validation(self.net, data))
        return "validation" if self.since >= budget.patience else "epochs"

    def _epoch(self, data: Lessons) -> None:
        parts = zip(torch.split(data.x, STEPS, 1), torch.split(data.y, STEPS, 1), strict=True)
        with torch.no_grad():
            _, state = self.net(next(parts)[0])
        for x, y in parts:
            said, state = self.net(x, state.detach())
            self._step(nn.functional.mse_loss(said, y))
        self.epochs += 1

    def _step(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()

    def _validated(self, error: float) -> None:
        self.halving.step(error)
        self.since += 1
        if error < self.lowest:
            self.lowest, self.since = error, 0
            self.kept = copy.deepcopy(self.net.state_dict())


@torch.no_grad()
def validation(net: nn.Module, data: Lessons) -> float:
    """Return the mean absolute error on the validation part, in deviations of the changes."""
    said, _ = net(data.valid_x)
    return absolute_error(said, data.valid_y)


def absolute_error(said: Tensor, wanted: Tensor) -> float:
    """Return the mean absolute error behind the warming steps of (pieces, steps, outputs)."""
    return float((said - wanted)[:, WARM:].abs().mean())
