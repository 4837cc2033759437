"""A reservoir through sequences of tensors: compiled loops where they fit, torch's own elsewhere.

On a CPU, in float32 and float64, sparse reservoirs go through the daemon's own loops
(`model.sequence`). What is on another device, dense, of another type, or has to be differentiated
with respect to its inputs goes step by step in torch. Both give the same states to 1e-6 in float32
and to 1e-7 in float64, since the daemon's tanh is good to 6e-9.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd import forward_ad

from streamlnn.model.reservoir import LEAST_RATE, RATE_SPAN, by_inputs
from streamlnn.model.sequence import FEWEST_BESIDE, MOST_BESIDE, Weights, run_sequences

Array = NDArray[np.floating]

WORTH_A_THREAD = 1 << 20
"""Products of weight and state that are worth to be done elsewhere."""


class Units(NamedTuple):
    """The fixed weights of N units of K connections and d inputs, as tensors; no gate: None."""

    taps: Tensor  # (N, K) int64: which unit each connection comes from
    links: Tensor  # (N, K)
    W_in: Tensor  # (N, d)
    bias: Tensor  # (N,)
    tau: Tensor  # (N,)
    gate: tuple[Tensor, Tensor, Tensor] | None  # links, W_in and bias likewise


def dense(taps: Tensor, links: Tensor) -> Tensor:
    """Return connections (N, K) as a matrix (N, N)."""
    return links.new_zeros(len(taps), len(taps)).scatter_add(1, taps, links)


def states(u: Tensor, dt: Tensor, x: Tensor, units: Units, *, last: int | None = None) -> Tensor:
    """Return every state (T, B, N) from `x` (B, N) on, through u (T, B, d) and dt (T, B).

    Of the last steps only, where it is said how many.
    """
    kept = len(u) if last is None else last
    if any(map(_is_differentiated, (u, dt, x))):
        return _in_torch(u, dt, x, units, kept)
    made: Tensor = torch.ops.streamlnn.reservoir_states(u, dt, x, kept, *_flat(units))
    return made


def _is_differentiated(given: Tensor) -> bool:
    """Say whether a gradient has to come back to it, or a tangent goes on from it."""
    if given.requires_grad and torch.is_grad_enabled():
        return True
    return not torch.compiler.is_compiling() and forward_ad.unpack_dual(given).tangent is not None


def _undifferentiated(u: Tensor, dt: Tensor, x: Tensor, units: Units, kept: int) -> Tensor:
    if _fits_compiled(u, units):
        inputs, times, begin = (each.detach().contiguous().numpy() for each in (u, dt, x))
        if np.isfinite(inputs).all():
            return _in_compiled(inputs, times, begin, units, kept)
    with torch.no_grad():
        return _in_torch(u, dt, x, units, kept)


# ------------------------------------------------------------- one operator to torch's transforms


def _flat(units: Units) -> tuple[Tensor | None, ...]:
    return (*units[:5], *(units.gate or (None, None, None)))


def _from_flat(u: Tensor, dt: Tensor, x: Tensor, kept: int, *weights: Any) -> Tensor:
    taps, links, W_in, bias, tau, *gate = weights
    units = Units(taps, links, W_in, bias, tau, None if gate[0] is None else tuple(gate))
    return _undifferentiated(u, dt, x, units, kept)


def _form(u: Tensor, dt: Tensor, x: Tensor, kept: int, *weights: Any) -> Tensor:  # noqa: ARG001
    return u.new_empty(kept, u.shape[1], x.shape[1])


# `custom_op` would do this in one call, and take 50 us longer over every sequence
torch.library.define(
    "streamlnn::reservoir_states",
    "(Tensor u, Tensor dt, Tensor x, SymInt kept, Tensor taps, Tensor links, Tensor W_in, "
    "Tensor bias, Tensor tau, Tensor? gate_links, Tensor? gate_in, Tensor? gate_bias) -> Tensor",
)
torch.library.impl("streamlnn::reservoir_states", "default", _from_flat)
torch.library.register_fake("streamlnn::reservoir_states", _form)


# ---------------------------------------------------------------------------------------- in torch


def _in_torch(u: Tensor, dt: Tensor, x: Tensor, units: Units, kept: int) -> Tensor:
    with torch.autocast(u.device.type, enabled=False):
        return torch.stack(_step_by_step(u, dt, x, units)[-kept:])


def _step_by_step(u: Tensor, dt: Tensor, x: Tensor, units: Units) -> list[Tensor]:
    W, heard = dense(units.taps, units.links).T, u @ units.W_in.T + units.bias
    rates = _rates(u, units)
    made = []
    for t in range(len(u)):
        drive = torch.tanh(torch.addmm(heard[t], x, W))
        x = torch.lerp(x, drive, _share(rates, t, x, dt[t], units.tau))
        made.append(x)
    return made


def _rates(u: Tensor, units: Units) -> tuple[Tensor, Tensor] | None:
    """Return what the gates hear of the inputs (T, B, N), and their matrix; None without gates."""
    if units.gate is None:
        return None
    links, gate_in, bias = units.gate
    return u @ gate_in.T + bias, dense(units.taps, links).T


def _share(
    rates: tuple[Tensor, Tensor] | None, t: int, x: Tensor, dt: Tensor, tau: Tensor
) -> Tensor:
    """Return which share of the way to its drive each unit covers, (B, N)."""
    elapsed = dt[:, None] / tau.clamp(min=torch.finfo(tau.dtype).tiny)  # 0 in float16
    if rates is None:
        return -torch.expm1(-elapsed)
    heard, W = rates
    rate = LEAST_RATE + RATE_SPAN * torch.sigmoid(2.0 * torch.addmm(heard[t], x, W))
    return -torch.expm1(-elapsed * rate)


# ---------------------------------------------------------------------------------------- compiled


def _fits_compiled(u: Tensor, units: Units) -> bool:
    on_cpu = u.device.type == "cpu" and u.dtype in (torch.float32, torch.float64)
    return on_cpu and units.taps.shape[1] <= max(64, len(units.taps) // 8)


def _in_compiled(u: Array, dt: Array, x: Array, units: Units, kept: int) -> Tensor:
    weights, made = _as_arrays(units), np.empty((kept, *x.shape), u.dtype)

    def run(streams: tuple[int, int]) -> None:
        run_sequences(weights, u, dt, x, made, *streams)

    parts = _parts(len(u), x, units.taps.shape[1])
    apply = _pool(torch.get_num_threads()).map if len(parts) > 1 else map
    list(apply(run, parts))
    return torch.from_numpy(made)


def _as_arrays(units: Units) -> Weights:
    taps, links, W_in, bias, tau = (each.detach().numpy() for each in units[:5])
    if units.gate is None:
        none = np.empty((0, 0), tau.dtype)
        return Weights(taps, links, by_inputs(W_in), bias, tau, none, none, none.ravel())
    gate_links, gate_in, gate_bias = (each.detach().numpy() for each in units.gate)
    return Weights(
        taps, links, by_inputs(W_in), bias, tau, gate_links, by_inputs(gate_in), gate_bias
    )


def _parts(steps: int, x: Array, fan_in: int) -> list[tuple[int, int]]:
    """Return ranges of streams, cut where the loops cut them, so that no number depends on it."""
    streams = len(x)
    if steps * x.size * fan_in < WORTH_A_THREAD or torch.get_num_threads() == 1:
        return [(0, streams)]
    step = MOST_BESIDE if streams >= FEWEST_BESIDE else 1
    return [(first, min(first + step, streams)) for first in range(0, streams, step)]


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "streamlnn-reservoir")


os.register_at_fork(after_in_child=_pool.cache_clear)  # no thread lives on in a child
