"""The reservoir's states over time: every unit as a row of colours, and a few as lines.

Takes plain arrays, so that it shows any echo state network, whoever made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from streamlnn.plot.drawing import (
    BOTH_WAYS,
    DATA,
    LOOKS,
    RECORD,
    TIME,
    between,
    broken,
    dates,
    dress,
    explain,
    legend,
    sheet,
    stack,
)

Array = NDArray[Any]

LINES = 3
"""Units that are also drawn as lines: a fast one, a slow one, and one between."""
SET_BACK = 0.1
"""Share of the records that a colour map may leave out, because the clock was set back."""


def states(
    states: ArrayLike,
    x: ArrayLike | None = None,
    *,
    values: ArrayLike | None = None,
    time_constants: ArrayLike | None = None,
    title: str = "reservoir state over time",
    label: str = "",
    along: str = "",
) -> Figure:
    """Return a picture of the reservoir's `states` (n, units) over time.

    Every row of the colour maps is a unit, from fast to slow where `time_constants` (units,) tell
    it: its state, and how that moves. A few units are drawn as lines below, and what the reservoir
    heard, `values` (n,), above. `x` (n,) are moments, as numbers or as dates in UTC; without them
    records are counted, and likewise where the clock was set back for many of them. Of a few, and
    of those at one moment, the colour maps show the first. `label` and `along` tell what `values`
    and `x` are. Raises `ValueError` for arrays that do not fit together, or fewer than two records.
    """
    rows, x, along = _checked(states, x, along)
    heard = None if values is None else _one_each("values", values, len(rows), "states")
    told = "unit"
    if time_constants is not None:
        tau = _one_each("time_constants", time_constants, rows.shape[1], "units")
        rows, told = rows[:, np.argsort(tau)], "unit, from fast to slow"
    x, along, rising = _orderly(x, along)
    figure = sheet(title)
    panels = figure.subplots(4, 1, height_ratios=[1.2, 2.4, 2.4, 1.2])
    if heard is None:
        panels[0].remove()
    else:
        panels[0].plot(*broken(x, heard), color=DATA, linewidth=0.8)
        dress(panels[0], "what the reservoir hears", label, along)
    moved = rows - np.ma.masked_invalid(rows).mean(axis=0).filled(0.0)
    _colour_map(figure, panels[1], x[rising], rows[rising], "state")
    dress(panels[1], "state of every unit", told, along)
    _colour_map(figure, panels[2], x[rising], moved[rising], "state less its mean")
    dress(panels[2], "how the states move: each unit less its mean over this time", told, along)
    _lines(panels[3], x, rows, along)
    between(panels[3], x.min(), x.max())
    stack(panels if heard is not None else panels[1:])
    return figure


def _checked(states: ArrayLike, x: ArrayLike | None, along: str) -> tuple[Array, Array, str]:
    if hasattr(states, "reservoir_state"):
        raise TypeError(
            f"a {type(states).__name__} keeps its newest state alone: pass plot.play(model, values)"
            ".states"
        )
    rows = np.asarray(states, float)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"states have shape {rows.shape}; (n, units) are wanted")
    if len(rows) < 2:
        raise ValueError("there is 1 state; over time at least 2 are shown")
    if x is None:
        return rows, np.arange(len(rows)), along or RECORD
    moments = _moments(x)
    if moments.shape != (len(rows),):
        raise ValueError(f"x has shape {moments.shape}; there are {len(rows)} states")
    if not np.isfinite(moments).all():
        raise ValueError(f"x tells no moment of record {np.argmin(np.isfinite(moments))}")
    return rows, moments, along or (TIME if moments.dtype.kind == "M" else "")


def _moments(x: ArrayLike) -> Array:
    """Return numbers, or dates of numpy where there are dates of any kind."""
    moments = np.asarray(x)
    if moments.dtype.kind == "O":
        try:
            return dates(np.asarray(date2num(moments), float) * 86400.0)
        except (AttributeError, TypeError, ValueError):
            raise ValueError("x holds what is neither numbers nor dates") from None
    if moments.dtype.kind not in "iufM":
        raise ValueError(f"x is of type {moments.dtype}; numbers or dates are wanted")
    return moments


def _one_each(name: str, values: ArrayLike, many: int, of: str) -> Array:
    given = np.asarray(values, float)
    if given.shape != (many,):
        raise ValueError(f"{name} have shape {given.shape}; there are {many} {of}")
    return given


def _orderly(x: Array, along: str) -> tuple[Array, str, Array]:
    """Return what stands along the panels, and which records a colour map can show there."""
    latest = np.maximum.accumulate(x)
    rising = np.r_[True, x[1:] > latest[:-1]]
    if rising.sum() < 2 or np.mean(x < latest) > SET_BACK:
        return np.arange(len(x)), RECORD, np.ones(len(x), bool)
    return x, along, rising


def _colour_map(figure: Figure, axes: Axes, x: Array, rows: Array, of: str) -> None:
    most = min(1.0, float(np.nanmax(np.abs(rows), initial=0.0)) or 1.0)
    looks: dict[str, Any] = {"cmap": BOTH_WAYS, "vmin": -most, "vmax": most, "rasterized": True}
    image = axes.pcolormesh(x, np.arange(rows.shape[1]), rows.T, shading="nearest", **looks)
    explain(figure, axes, image, of)


def _lines(axes: Axes, x: Array, rows: Array, along: str) -> None:
    units = np.unique(np.linspace(0, rows.shape[1] - 1, LINES).astype(int))
    for unit, (colour, form) in zip(units, LOOKS, strict=False):
        look: dict[str, Any] = {"color": colour, "linestyle": form, "linewidth": 1.0}
        axes.plot(*broken(x, rows[:, unit]), label=f"unit {unit}", **look)
    legend(axes)
    dress(axes, "some of them", "state", along)
