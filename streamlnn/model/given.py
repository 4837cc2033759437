"""The arrays of a reservoir that somebody else drew: checked, and as they are stepped."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

Array = NDArray[Any]

SHORTEST_TAU = 1e-30
"""Stands for a time constant of 0: any step covers all of the way, in float32, too."""


def square(name: str, given: Any, dtype: DTypeLike) -> Array:
    """Return what each unit hears of each, dense or sparse, as a finite matrix (units, units)."""
    have = _array(name, given, dtype)
    if have.ndim != 2 or have.shape[0] != have.shape[1] or not have.size:
        raise ValueError(f"{name} has shape {have.shape}; it must be (units, units)")
    return have


def per_input(name: str, given: Any, units: int, dtype: DTypeLike) -> Array:
    """Return what each unit hears of the inputs as a finite matrix (units, inputs)."""
    have = _array(name, given, dtype)
    if have.ndim != 2 or have.shape[0] != units or not have.size:
        raise ValueError(f"{name} has shape {have.shape}; it must be ({units}, inputs)")
    return have


def per_unit(name: str, given: Any, units: int, dtype: DTypeLike) -> Array:
    """Return a number, or one of each unit, (units,) or a column, as finite numbers (units,)."""
    have = _array(name, given, dtype)
    if have.shape not in ((), (units,), (units, 1)):
        raise ValueError(f"{name} has shape {have.shape}; it must be a number or ({units},)")
    return np.full(units, have.ravel(), dtype)


def time_constants(
    tau: ArrayLike | None, leak: ArrayLike | None, units: int, dtype: DTypeLike
) -> Array:
    """Return the time constants (units,) in usual steps, given as such or as leaks.

    A leak is the share of the way that is covered in one step, 1 - exp(-1 / tau).
    """
    if tau is not None and leak is not None:
        raise ValueError("give tau or leak, not both: leak is 1 - exp(-1 / tau)")
    if tau is not None:
        slow = per_unit("tau", tau, units, dtype)
        return np.clip(_within("tau", slow, slow > 0.0, "positive"), SHORTEST_TAU, None)
    share = per_unit("leak", 1.0 if leak is None else leak, units, "float64")
    _within("leak", share, (share > 0.0) & (share <= 1.0), "in (0, 1]")
    with np.errstate(divide="ignore"):
        return np.maximum(-1.0 / np.log1p(-share), SHORTEST_TAU).astype(dtype)


def gates(
    gate: tuple[Any, Any, ArrayLike],
    W: Array,
    W_in: Array,
) -> tuple[Array, Array, Array]:
    """Return what the gate of each unit hears, in the shapes of what the unit itself hears."""
    heard = square("W_gate", gate[0], W.dtype)
    inputs = per_input("gate_in", gate[1], len(W), W.dtype)
    if (heard.shape, inputs.shape) != (W.shape, W_in.shape):
        raise ValueError(
            f"W_gate has shape {heard.shape}, gate_in {inputs.shape}; "
            f"they must be as W, {W.shape}, and W_in, {W_in.shape}"
        )
    return heard, inputs, per_unit("gate_bias", gate[2], len(W), W.dtype)


def connections(*weights: Array) -> Array:
    """Return whom each unit hears by any of `weights` (units, units), as indices (units, fan_in).

    `fan_in` is the most that any hears, 1 at least; who hears fewer gets units of weight 0 besides.
    """
    heard = np.any([each != 0 for each in weights], axis=0)
    fan_in = max(1, int(heard.sum(axis=1).max()))
    first = np.argsort(~heard, axis=1, kind="stable")[:, :fan_in]
    return np.ascontiguousarray(first, np.int64)


def _array(name: str, given: Any, dtype: DTypeLike) -> Array:
    with np.errstate(over="ignore"):  # told below, with its place
        have = np.array(given.toarray() if hasattr(given, "toarray") else given, dtype, order="C")
    if not np.isfinite(have).all():
        place = tuple(np.argwhere(~np.isfinite(have))[0].tolist())
        where = ", ".join(f"{axis} {k}" for axis, k in zip(("row", "column"), place, strict=False))
        raise ValueError(f"{name} must be finite in {np.dtype(dtype)}: {have[place]}{_at(where)}")
    return have


def _at(where: str) -> str:
    return f" in {where}" if where else ""


def _within(name: str, have: Array, sound: Array, rule: str) -> Array:
    if not sound.all():
        k = int(np.argmin(sound))
        raise ValueError(f"{name} must be {rule}, not {have[k]:g} (unit {k})")
    return have
