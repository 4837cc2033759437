"""What an `ESN` learns with: ridge regression at once, recursive least squares step by step.

Both minimise the same sum: of squared errors, and of `ridge` times the squared weights, of
[1 | state]. From weights of 0 and with a forgetting factor of 1 both find the same (Jaeger 2001;
Haykin 2002).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamlnn.interop.torch.sequences import need_tensor
from streamlnn.model.readout import Readout

Array = NDArray[Any]

LEARNED = ("U", "D", "count")
"""What a readout that learns online knows beside its weights: saved with the network."""


def aligned(y: Any, every: tuple[int, ...]) -> Tensor:
    """Return targets in float64, (steps, batch, outputs), checked; one step for the last state.

    y has the shape `every`, (batch, time, outputs), for every step, or (batch, outputs) for the
    last state; or either without a batch. Raises `ValueError` for another shape and for infinite
    targets.
    """
    need_tensor("y", y)
    last = (*every[:-2], every[-1])
    if y.shape not in (every, last):
        raise ValueError(
            f"y has shape {tuple(y.shape)}; {every} is wanted, for every step, or {last}, for the "
            "last state"
        )
    if y.isinf().any():
        raise ValueError("y holds infinite values; NaN stands for a missing one")
    targets = y.detach().double().clone()
    if y.shape == last:
        targets = targets.unsqueeze(-2)
    steps: Tensor = (targets if targets.dim() == 3 else targets[None]).transpose(0, 1)
    return steps


def least_squares(
    pairs: Iterable[tuple[Tensor, Tensor]], features: int, ridge: float
) -> tuple[Array, Array]:
    """Return the weights (outputs, features) and the precision F'F + ridge I they come from.

    pairs: states (steps, batch, units) and targets (steps, batch, outputs); steps with a missing
    target are left out. Raises `ValueError` where no step is left, and where the features are so
    alike that the ridge does not tell them apart.
    """
    precision: Any = ridge * np.eye(features)
    answers: Any = 0.0
    learned = 0
    for states, targets in pairs:
        known = ~targets.isnan().any(dim=-1)
        F = _features(states[known])
        precision = precision + (F.T @ F).cpu().numpy()
        answers = answers + (F.T @ targets[known]).cpu().numpy()
        learned += len(F)
    if not learned:
        raise ValueError("nothing to learn from: no step behind the washout has a target")
    try:
        np.linalg.cholesky(precision)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"a ridge of {ridge:g} is too small for states that are so alike; take a larger one"
        ) from None
    return np.linalg.solve(precision, answers).T, precision


def learn(readout: Readout, states: Tensor, targets: Tensor) -> Tensor:
    """Learn from states and targets, step by step; return what was said before each."""
    rows = _features(states.flatten(0, 1)).cpu().numpy()
    wanted = targets.flatten(0, 1).cpu().numpy()
    said = np.empty_like(wanted)
    for i, (features, target) in enumerate(zip(rows, wanted, strict=True)):
        said[i] = readout.predict(features)
        if not np.isnan(target).all():
            readout.learn(features, target)
    return torch.from_numpy(said).reshape(targets.shape)


def weights_of(layer: nn.Linear) -> Array:
    """Return the weights of a layer as a readout has them, (outputs, 1 + units)."""
    both = torch.cat([layer.bias[:, None], layer.weight], dim=1)
    return both.detach().double().cpu().numpy()


def put_into(layer: nn.Linear, weights: Array) -> None:
    """Give a layer the weights of a readout, (outputs, 1 + units)."""
    given = torch.from_numpy(weights).to(layer.weight)
    with torch.no_grad():
        layer.bias.copy_(given[:, 0])
        layer.weight.copy_(given[:, 1:])


def restore(readout: Readout, kept: dict[str, Tensor]) -> list[str]:
    """Give a readout what was saved of one, by the names of `LEARNED`; return what does not fit."""
    wrong = []
    for name, value in kept.items():
        have = np.shape(getattr(readout, name))
        if tuple(value.shape) != have:
            wrong.append(
                f"size mismatch for online_{name}: {tuple(value.shape)} was saved, {have} is "
                "what this network wants."
            )
        elif name == "count":
            readout.count = int(value)
        else:
            getattr(readout, name)[...] = value.double().cpu().numpy()
    return wrong


def _features(states: Tensor) -> Tensor:
    return nn.functional.pad(states.double(), (1, 0), value=1.0)
