"""What an `ESN` learns with: ridge regression at once, recursive least squares step by step.

Both minimise the same sum: of squared errors, and of `ridge` times the squared weights, of
[1 | state]. With a forgetting factor of 1 they find the same weights (Jaeger 2001; Haykin 2002).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from streamlnn.model.readout import Readout

Array = NDArray[Any]

CHUNK = 4096
"""Rows whose features are held in float64 at once."""


def aligned(states: Tensor, y: Tensor, outputs: int, washout: int) -> tuple[Tensor, Tensor]:
    """Return states (steps, batch, units) and float64 targets (steps, batch, outputs), checked.

    states (batch, time, units) with y (batch, time, outputs) for every step, those of the washout
    without a target, or (batch, outputs) for the last; or both without a batch. Raises `ValueError`
    for a y of another shape, and for what is not finite.
    """
    every, last = (*states.shape[:-1], outputs), (*states.shape[:-2], outputs)
    if y.shape not in (every, last):
        raise ValueError(
            f"y has shape {tuple(y.shape)}; {every} is wanted, for every step, or {last}, for the "
            "last state"
        )
    if y.isinf().any():
        raise ValueError("y holds infinite values; NaN stands for a missing one")
    if not states.isfinite().all():
        raise ValueError("x holds values that are not finite; fill them, or leave the steps out")
    targets = y.detach().double().clone()
    if y.shape == last:
        states, targets, washout = states[..., -1:, :], targets.unsqueeze(-2), 0
    targets[..., :washout, :] = torch.nan
    if states.dim() == 2:
        states, targets = states[None], targets[None]
    return states.transpose(0, 1), targets.transpose(0, 1)


def least_squares(
    pairs: Iterable[tuple[Tensor, Tensor]], features: int, ridge: float
) -> tuple[Array, Array]:
    """Return the weights (outputs, features) and the precision F'F + ridge I they come from.

    pairs: what `aligned` returns; steps with a missing target are left out. Raises `ValueError`
    where no step is left.
    """
    precision: Any = ridge * np.eye(features)
    answers: Any = 0.0
    learned = 0
    for states, targets in pairs:
        known = ~targets.isnan().any(dim=-1)
        rows = torch.split(states[known], CHUNK)
        for part, wanted in zip(rows, torch.split(targets[known], CHUNK), strict=True):
            F = _features(part)
            precision = precision + (F.T @ F).cpu().numpy()
            answers = answers + (F.T @ wanted).cpu().numpy()
            learned += len(part)
    if not learned:
        raise ValueError("nothing to learn from: no step behind the washout has a target")
    return np.linalg.solve(precision, answers).T, precision


def learn(readout: Readout, states: Tensor, targets: Tensor) -> Tensor:
    """Learn from what `aligned` returns, step by step; return what was said before each."""
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


def _features(states: Tensor) -> Tensor:
    return nn.functional.pad(states.double(), (1, 0), value=1.0)
