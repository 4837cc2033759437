"""Our network beside those that are trained: in closed form, frozen or learning on, and online."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from time import process_time
from typing import Any, NamedTuple

from benchmarks.article_lessons import HORIZONS, WARM, Answer, Lessons, Task, counted
from benchmarks.article_needs import Tensor, torch
from benchmarks.article_streams import Changing
from benchmarks.article_training import absolute_error
from streamlnn import Forecaster
from streamlnn.interop.torch import ESN

UNITS, MANY = 100, 700
"""The article's units, and as many of ours as have the same number of weights as its network."""


class Settings(NamedTuple):
    """What of ours is chosen by the validation part: time constants, input scale, ridge."""

    tau: float | tuple[float, float]
    input_scale: float
    ridge: float


TAUS: tuple[float | tuple[float, float], ...] = (1.0, (1.0, 10.0))
GRID = [Settings(*s) for s in product(TAUS, (0.3, 1.0), (1e-4, 1e-2, 1.0))]
"""Twelve, from which the validation part chooses."""


def ours(
    task: Task, units: int, seed: int, grid: Sequence[Settings]
) -> Iterator[tuple[str, Answer]]:
    """Yield our network frozen, and the same with `partial_fit` going on."""
    start = process_time()
    model = chosen(task, units, seed, grid)
    seconds, told = process_time() - start, f"{units} units"
    said = model(task.x, every_step=True).detach()
    one, more = _ones(task, model)
    yield (
        f"ours, {told}, frozen",
        Answer(task.forecasts(said), seconds, *counted(model), "closed form", one),
    )
    said = going_on(model, task)
    yield (
        f"ours, {told}, going on",
        Answer(task.forecasts(said), seconds, *counted(model), "never", more),
    )


def chosen(task: Task, units: int, seed: int, grid: Sequence[Settings]) -> ESN:
    """Return our network at those of the settings that do best in the validation part."""
    models = (_fitted(task, units, settings, seed) for settings in grid)
    return min(models, key=lambda model: _validation(model, task.lessons))


def _fitted(task: Task, units: int, settings: Settings, seed: int) -> ESN:
    known = task.stream.split.train - max(HORIZONS)
    model = ESN(1, units, len(HORIZONS), **settings._asdict(), washout=WARM, seed=seed + 1)
    return model.fit(task.x[:known], task.y[:known])


@torch.no_grad()
def _validation(model: ESN, data: Lessons) -> float:
    return absolute_error(model(data.valid_x, every_step=True), data.valid_y)


def going_on(model: ESN, task: Task) -> Tensor:
    """Return what our network says, (n, horizons), while it goes on to learn from every sample.

    Rows are learned from in order, each with its targets at all horizons, which come at different
    times. What is said at t of t + h therefore takes the weights of that horizon as they were
    behind row t - h: no target of theirs is later than t.
    """
    first = task.stream.split.train - max(HORIZONS)
    visited = model.states(task.x)
    said = torch.full_like(task.y, torch.nan)
    for row in range(first, len(task.x)):
        model.partial_fit(task.x[row : row + 1], task.y[row : row + 1], visited[row - 1])
        for k, h in enumerate(HORIZONS):
            if row + h < len(task.x):
                weights, bias = model.W_out.weight[k], model.W_out.bias[k]
                said[row + h, k] = (visited[row + h] @ weights + bias).detach()
    return said


def _ones(task: Task, model: ESN) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return what forecasts from one more sample, and what learns from one as well."""
    x, y, state = task.x[-1:], torch.zeros(1, len(HORIZONS)), model.states(task.x)[-1].detach()
    one = partial(_forecast, model, x, state)

    def more() -> object:
        model.partial_fit(x, y, state)
        return one()

    return one, more


@torch.no_grad()
def _forecast(model: ESN, x: Tensor, state: Tensor) -> Any:
    return model(x, state, return_state=True)


def online(stream: Changing) -> Answer:
    """Return what our streaming forecaster says at its defaults, which learns from the start."""
    model = Forecaster(list(HORIZONS))
    yhat = model.replay(None, stream.y).yhat
    step = partial(model.step, None, float(stream.y[-1]))
    return Answer(yhat, ended="never", one=step)
