"""A reservoir through whole sequences, of one stream or of many side by side.

`Reservoir.run` is the face; the PyTorch module calls `run_sequences` on its own arrays. Many
streams are stepped together, so that a weight, once read, serves all their states, which lie next
to one another: vector instructions where a single stream has to gather.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlnn.model.compiled import entry, exact, fused, inlined
from streamlnn.model.readout import add_scaled, copy, fill
from streamlnn.model.reservoir import (
    Reservoir,
    by_inputs,
    hear_inputs,
    hear_others,
    leak,
    open_gate,
)
from streamlnn.model.squash import squash

Array = NDArray[Any]

FEWEST_BESIDE, MOST_BESIDE = 16, 64
"""So many streams are stepped together; fewer one after the other, which is faster then."""


class Weights(NamedTuple):
    """The fixed weights of N units of K connections and d inputs, as they are stepped.

    Without a gate, its three arrays have no rows and no elements.
    """

    taps: Array  # (N, K) int64: which unit each connection comes from
    links: Array  # f (N, K)
    W_in: Array  # f (d, N)
    bias: Array  # f (N,)
    tau: Array  # f (N,) in usual steps
    gate_links: Array  # f (N, K) or (0, K)
    gate_in: Array  # f (d, N) or (0, N)
    gate_bias: Array  # f (N,) or (0,)


@inlined
def _same(a, b):
    differ = 0
    for i in range(a.size):
        differ += a[i] != b[i]
    return differ == 0


# -------------------------------------------------------------------------------------- one stream


@exact
def _advance(w, x, u, dt, drive, rate):
    hear_others(x, w.taps, w.links, w.bias, drive)
    hear_inputs(u, w.W_in, drive)
    squash(drive)
    hear_others(x, w.taps, w.gate_links, w.gate_bias, rate)
    hear_inputs(u, w.gate_in, rate)
    open_gate(rate)
    leak(x, drive, rate, w.tau, dt)


@inlined
def _shares_of(tau, dt, share):
    """Write which share of the way each unit covers in dt, made as `leak` makes it."""
    two = tau.dtype.type(2)
    for i in range(tau.size):
        share[i] = dt / (two * tau[i])
    _halves_to_shares(share)


@inlined
def _halves_to_shares(a):
    squash(a)
    one = a.dtype.type(1)
    for i in range(a.size):
        a[i] = (a[i] + a[i]) / (one + a[i])


@fused
def _cover(x, drive, share):
    for i in range(x.size):
        x[i] += share[i] * (drive[i] - x[i])


@exact
def _advance_plain(w, x, u, share, drive):
    hear_others(x, w.taps, w.links, w.bias, drive)
    hear_inputs(u, w.W_in, drive)
    squash(drive)
    _cover(x, drive, share)


@exact
def _run_one(w, u, dt, x, room, out):
    """Step x (N,) through u (T, d), dt (T,), and write the last states into out (K, N)."""
    drive, rate = room[0], room[1]
    untold = u.shape[0] - out.shape[0]
    for t in range(u.shape[0]):
        if w.gate_bias.size:
            _advance(w, x, u[t], dt[t], drive, rate)
        else:
            if t == 0 or dt[t] != dt[t - 1]:
                _shares_of(w.tau, dt[t], rate)
            _advance_plain(w, x, u[t], rate, drive)
        if t >= untold:
            copy(x, out[t - untold])


# ------------------------------------------------------------------------------------ side by side


@fused
def _add_four(y, a, b, c, d, p, q, r, s):
    for i in range(y.size):
        y[i] += a * p[i] + b * q[i] + c * r[i] + d * s[i]


@inlined
def _add_rows(heard, links, taps, x):
    """Add what one unit hears of x (N, S), four at a time: the sum is fetched less often."""
    fours = taps.size - taps.size % 4
    for k in range(0, fours, 4):
        a, b, c, d = x[taps[k]], x[taps[k + 1]], x[taps[k + 2]], x[taps[k + 3]]
        _add_four(heard, links[k], links[k + 1], links[k + 2], links[k + 3], a, b, c, d)
    for k in range(fours, taps.size):
        add_scaled(heard, links[k], x[taps[k]])


@inlined
def _hear_beside(x, u, taps, W, W_in, bias, out):
    """As `hear_others` and `hear_inputs`, of x (N, S) and u (d, S), into out (N, S)."""
    for i in range(x.shape[0]):
        fill(out[i], bias[i])
        _add_rows(out[i], W[i], taps[i], x)
        for j in range(u.shape[0]):
            add_scaled(out[i], W_in[j, i], u[j])


@inlined
def _half_leaks_beside(tau, dt, rate):
    half = tau.dtype.type(0.5)
    for i in range(rate.shape[0]):
        row, pace = rate[i], half / tau[i]
        for s in range(row.size):
            row[s] = row[s] * dt[s] * pace


@exact
def _advance_beside(w, x, u, dt, drive, rate, is_new):
    """Step x (N, S) under u (d, S); the shares in `rate` are made anew where the time is."""
    _hear_beside(x, u, w.taps, w.links, w.W_in, w.bias, drive)
    squash(drive.reshape(-1))
    if w.gate_bias.size:
        _hear_beside(x, u, w.taps, w.gate_links, w.gate_in, w.gate_bias, rate)
        open_gate(rate.reshape(-1))
    elif is_new:
        fill(rate.reshape(-1), 1)
    if is_new:
        _half_leaks_beside(w.tau, dt, rate)
        _halves_to_shares(rate.reshape(-1))
    _cover(x.reshape(-1), drive.reshape(-1), rate.reshape(-1))


@inlined
def _turn_in(u, turned):
    for s in range(u.shape[0]):
        for j in range(u.shape[1]):
            turned[j, s] = u[s, j]


@inlined
def _turn_out(x, out):
    for s in range(out.shape[0]):
        for i in range(out.shape[1]):
            out[s, i] = x[i, s]


@exact
def _run_beside(w, first, u, dt, x, turned, room, out):
    """Step x (N, S), the streams from `first` on, through u (T, B, d), dt (T, B)."""
    last, untold = first + x.shape[1], u.shape[0] - out.shape[0]
    for t in range(u.shape[0]):
        now = dt[t, first:last]
        is_new = w.gate_bias.size > 0 or t == 0 or not _same(now, dt[t - 1, first:last])
        _turn_in(u[t, first:last], turned)
        _advance_beside(w, x, turned, now, room[0], room[1], is_new)
        if t >= untold:
            _turn_out(x, out[t - untold, first:last])


# --------------------------------------------------------------------------------------- sequences


@entry
def _run_singly(w, first, u, dt, x, room, out):
    for s in range(first, first + x.shape[0]):
        _run_one(w, u[:, s], dt[:, s], x[s - first], room, out[:, s])


@entry
def _run_together(w, first, u, dt, x, turned, room, out):
    _run_beside(w, first, u, dt, x, turned, room, out)


def run_sequences(
    w: Weights, u: Array, dt: Array, x: Array, out: Array, first: int, last: int
) -> None:
    """Step the streams from `first` to `last` through their sequences.

    u (T, B, inputs), dt (T, B) in usual steps, x (B, units) where they begin; the last K states go
    into out (K, B, units). All are C-contiguous, of the weights' dtype. Costs
    O(units * (fan_in + inputs)) a step and stream. The interpreter's lock is not held: others may
    run other streams of the same arrays at the same time.
    """
    while last - first >= FEWEST_BESIDE:
        size = min(last - first, MOST_BESIDE)
        _run_together(w, first, u, dt, *_room_beside(x[first : first + size], u), out)
        first += size
    if last > first:
        room = np.empty((2, x.shape[1]), x.dtype)
        _run_singly(w, first, u, dt, x[first:last].copy(), room, out)


def _room_beside(x: Array, u: Array) -> tuple[Array, Array, Array]:
    """Return the states (S, N) as (N, S), and room for inputs and for what units hear."""
    streams, units = x.shape
    turned = np.empty((u.shape[2], streams), x.dtype)
    return np.array(x.T, order="C"), turned, np.empty((2, units, streams), x.dtype)


def run(
    reservoir: Reservoir, u: ArrayLike, dt: ArrayLike = 1.0, x: ArrayLike | None = None
) -> Array:
    """Return the state of a reservoir after every step of a sequence, (n, units).

    u (n, inputs), or (n,) for one input; dt the usual steps before each, a number or (n,); x
    (units,) the state to begin with, zeros unless given. The same as `step` by step, some twenty
    times as fast. Raises `ValueError` for shapes that do not fit. Costs
    O(units * (fan_in + inputs)) a step.

    >>> reservoir = Reservoir(units=50, inputs=1)
    >>> states = run(reservoir, np.sin(np.arange(200) / 5))
    >>> bool(np.allclose(states[1], reservoir.step(states[0], np.sin([0.2]), 1.0)))
    True
    """
    kind = reservoir.tau.dtype
    inputs = np.asarray(u, kind)
    inputs = inputs[:, None] if inputs.ndim == 1 else inputs
    if inputs.ndim != 2 or inputs.shape[1] != reservoir.inputs:
        raise ValueError(f"u has shape {np.shape(u)}; (n, {reservoir.inputs}) is wanted")
    elapsed = np.asarray(dt, kind)
    if elapsed.shape not in ((), (len(inputs),)) or not (elapsed >= 0.0).all():
        raise ValueError(
            f"dt has shape {elapsed.shape}, its least is {elapsed.min():g}; a number or "
            f"({len(inputs)},), 0 or more, is wanted"
        )
    elapsed = np.broadcast_to(elapsed, len(inputs))
    begin = np.zeros(reservoir.units, kind) if x is None else np.asarray(x, kind)
    if begin.shape != (reservoir.units,):
        raise ValueError(f"x has shape {begin.shape}; ({reservoir.units},) is wanted")
    out = np.empty((len(inputs), 1, reservoir.units), kind)
    given, times = np.ascontiguousarray(inputs[:, None]), np.ascontiguousarray(elapsed[:, None])
    run_sequences(_weights(reservoir), given, times, begin[None], out, first=0, last=1)
    return out[:, 0]


def _weights(reservoir: Reservoir) -> Weights:
    return Weights(
        np.ascontiguousarray(reservoir.taps, np.int64),
        reservoir.links,
        by_inputs(reservoir.W_in),
        reservoir.bias,
        reservoir.tau,
        reservoir.gate_links,
        by_inputs(reservoir.gate_in),
        reservoir.gate_bias,
    )
