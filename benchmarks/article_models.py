"""The networks that are trained by back-propagation: the article's, and three of others.

Each has about 10,500 weights, those that are never trained included: as many as the article's has
at 100 units. Each is trained on the training part once, and frozen.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.article_lessons import HORIZONS, Answer, Task, counted
from benchmarks.article_needs import LTC, CfC, Tensor, nn, torch
from benchmarks.article_ours import UNITS
from benchmarks.article_training import Budget, train


class ArticleESN(nn.Module):
    """The article's network: dense, unscaled, all of it trained or, with `fixed`, W_out alone.

    Its own call begins at rest and answers once. Here the state can be handed on, and every step
    is answered, which makes it cheaper to train and to run than it is as printed.
    """

    def __init__(self, units: int, outputs: int, fixed: bool = False) -> None:
        super().__init__()
        self.W_in, self.W_res = nn.Linear(1, units), nn.Linear(units, units)
        self.W_out = nn.Linear(units, outputs)
        for layer in (self.W_in, self.W_res):
            layer.requires_grad_(not fixed)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what is said at every step, (batch, steps, outputs), and the last state."""
        visited, reservoir = [], self._rest(x) if state is None else state
        for u in x.unbind(1):
            reservoir = self._next(u, reservoir)
            visited.append(reservoir)
        return self.W_out(torch.stack(visited, 1)), reservoir

    def last(self, x: Tensor) -> Tensor:
        """Return what is said at the last step, (batch, outputs), from rest: the printed call."""
        reservoir = self._rest(x)
        for u in x.unbind(1):
            reservoir = self._next(u, reservoir)
        said: Tensor = self.W_out(reservoir)
        return said

    def _rest(self, x: Tensor) -> Tensor:
        return x.new_zeros(len(x), self.W_res.in_features)

    def _next(self, u: Tensor, reservoir: Tensor) -> Tensor:
        return torch.tanh(self.W_in(u) + self.W_res(reservoir))


class Recurrent(nn.Module):
    """A recurrent layer of others', of so many units, with a linear readout."""

    def __init__(self, body: nn.Module, units: int, outputs: int) -> None:
        super().__init__()
        self.body, self.head = body, nn.Linear(units, outputs)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return what is said at every step, (batch, steps, outputs), and the last state."""
        visited, state = self.body(x, state)
        return self.head(visited), state


def gru(outputs: int) -> Recurrent:
    """Return an `nn.GRU`."""
    return Recurrent(nn.GRU(1, 57, batch_first=True), 57, outputs)


def ltc(outputs: int) -> Recurrent:
    """Return a liquid time-constant network (Hasani et al. 2021), fully connected."""
    return Recurrent(LTC(1, 50), 50, outputs)


def cfc(outputs: int) -> Recurrent:
    """Return a closed-form continuous-time network (Hasani et al. 2022)."""
    return Recurrent(CfC(1, 45, backbone_units=45), 45, outputs)


TRAINED: dict[str, Callable[[int], nn.Module]] = {
    "article's, all trained": partial(ArticleESN, UNITS),
    "article's, W_out trained": partial(ArticleESN, UNITS, fixed=True),
    "GRU": gru,
    "LTC": ltc,
    "CfC": cfc,
}


def trained(task: Task, make: Callable[[int], nn.Module], budget: Budget, seed: int) -> Answer:
    """Return what a network says that is trained once, and then frozen."""
    done = train(partial(make, len(HORIZONS)), task.lessons, budget, seed)
    with torch.no_grad():
        said, state = done.net(task.x[None])
    one = partial(_one, done.net, task.x[None, -1:], state)
    return Answer(task.forecasts(said[0]), done.seconds, *counted(done.net), done.ended, one)


@torch.no_grad()
def _one(net: nn.Module, x: Tensor, state: Tensor) -> Any:
    return net(x, state)


@torch.no_grad()
def as_printed(net: ArticleESN, x: Tensor) -> Tensor:
    """Return what the article's network says of a window (1, steps, 1), which it begins at rest."""
    return net.last(x)
