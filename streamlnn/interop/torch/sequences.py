"""What a network is given: checked, and laid out step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def as_steps(x: Any, inputs: int) -> Tensor:
    """Return inputs (batch, time, inputs), or (time, inputs), as (time, batch, inputs)."""
    need_tensor("x", x)
    if x.dim() not in (2, 3) or x.shape[-1] != inputs:
        wanted = f"(batch, time, {inputs}) or (time, {inputs})"
        raise ValueError(f"x has shape {tuple(x.shape)}; {wanted} is wanted")
    if x.shape[-2] == 0:
        raise ValueError("x holds no step")
    steps: Tensor = (x if x.dim() == 3 else x[None]).transpose(0, 1)
    return steps


def elapsed(dt: Any, u: Tensor) -> Tensor:
    """Return the time before each step of u (time, batch, inputs), as (time, batch).

    dt is a number, (time,), (batch, time), or None for 1.
    """
    time, batch = u.shape[:2]
    if dt is None:
        return u.new_ones(time, batch)
    given = torch.as_tensor(dt, dtype=u.dtype, device=u.device)
    if given.shape not in ((), (time,), (batch, time)):
        raise ValueError(
            f"dt has shape {tuple(given.shape)}; a number, ({time},) or ({batch}, {time}) is wanted"
        )
    if not torch.compiler.is_compiling() and not bool((given >= 0).all()):
        raise ValueError(f"dt holds {float(given.detach().min()):g}; 0 or more is wanted")
    return (given if given.dim() else given.expand(time)).expand(batch, time).T


def begun(state: Any, u: Tensor, units: int, *, batched: bool) -> Tensor:
    """Return where u (time, batch, inputs) begins, (batch, units): zeros unless given."""
    if state is None:
        return u.new_zeros(u.shape[1], units)
    need_tensor("state", state)
    wanted = (u.shape[1], units) if batched else (units,)
    if state.shape != wanted:
        raise ValueError(f"state has shape {tuple(state.shape)}; {wanted} is wanted")
    need_dtype("state", state, u.dtype)
    begin: Tensor = state if batched else state[None]
    return begin


def need_tensor(name: str, given: Any) -> None:
    """Raise `TypeError`, with the way out, for what is no tensor."""
    if not isinstance(given, Tensor):
        kind = f"{type(given).__module__}.{type(given).__qualname__}"
        raise TypeError(f"{name} is a {kind}; pass a tensor: torch.as_tensor({name})")


def need_dtype(name: str, given: Tensor, dtype: torch.dtype) -> None:
    """Raise `TypeError`, with the way out, for another dtype than the network's."""
    if given.dtype != dtype:
        raise TypeError(f"{name} is {given.dtype}, the network {dtype}; pass {name}.to({dtype})")
