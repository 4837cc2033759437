"""Pictures of a reservoir: its states over time, its connections, its spectrum, its readout.

They take plain arrays, so that they show any echo state network, whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import SymLogNorm
from matplotlib.dates import date2num
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from streamlnn.plot.drawing import (
    BOTH_WAYS,
    DATA,
    HATCHES,
    LOOKS,
    NAIVE,
    RECORD,
    TIME,
    between,
    broken,
    chosen,
    dates,
    dress,
    legend,
    sheet,
    stack,
)

Array = NDArray[Any]

SQUARE = (8.27, 7.5)
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


def connectivity(W: ArrayLike, *, title: str = "connectivity matrix") -> Figure:  # noqa: N803
    """Return a picture of the connections `W` (units, units): row i is what unit i hears.

    White is no connection. Raises `ValueError` for what is no square matrix.
    """
    links = _square(W)
    units, used = len(links), np.count_nonzero(links)
    figure = sheet(title, SQUARE)
    axes = figure.add_subplot()
    most = float(np.abs(links).max()) or 1.0
    image = axes.imshow(links, cmap=BOTH_WAYS, vmin=-most, vmax=most, interpolation="nearest")
    _explain(figure, axes, image, "weight", shrink=0.8)
    share = used / max(1, units * units)
    said = f"{units} units, {used} connections ({share:.0%}), spectral radius {_radius(links):.3g}"
    dress(axes, said, "to unit", "from unit")
    axes.spines[["top", "right"]].set_visible(True)
    return figure


def spectrum(W: ArrayLike, *, title: str = "spectrum") -> Figure:  # noqa: N803
    """Return a picture of the eigenvalues of `W` (units, units) in the unit circle.

    The largest distance from 0 is the spectral radius; below 1 the state forgets where it started
    (echo state property: Jaeger 2001). Raises `ValueError` for what is no square matrix.
    """
    links = _square(W)
    values, radius = np.linalg.eigvals(links), _radius(links)
    figure = sheet(title, SQUARE)
    axes = figure.add_subplot()
    axes.add_patch(Circle((0, 0), 1.0, fill=False, color=NAIVE, linewidth=1.0))
    axes.add_patch(
        Circle((0, 0), radius, fill=False, color=LOOKS[1][0], linewidth=1.0, linestyle="--")
    )
    axes.plot(values.real, values.imag, "o", color=LOOKS[0][0], markersize=3.5)
    for line in (axes.axhline, axes.axvline):
        line(0.0, color=NAIVE, linewidth=0.4)
    said = f"eigenvalues of {len(links)} units; spectral radius {radius:.3g} (dashed), 1 (grey)"
    dress(axes, said, "imaginary part", "real part")
    reach = 1.1 * max(1.0, radius)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    return figure


def weights(
    groups: Mapping[str, ArrayLike],
    horizons: Sequence[object],
    *,
    title: str = "readout weights",
) -> Figure:
    """Return a picture of readout weights by group of features, each (horizons, size).

    Above every weight as a colour, below how large those of a group are, as a root mean square, at
    a few horizons where there are many. `horizons` name the rows. Takes what
    `Forecaster.readout_weights` returns, one target's. Raises `ValueError` for groups that do not
    have a row for each horizon.
    """
    if not isinstance(groups, Mapping):
        raise TypeError(
            f"groups are a {type(groups).__name__}; pass model.readout_weights(), or a mapping "
            "from names to arrays"
        )
    rows = [str(h) for h in horizons]
    parts = {name: _group(name, part, len(rows)) for name, part in groups.items()}
    parts = {name: part for name, part in parts.items() if part.size}
    if not parts:
        raise ValueError("there are no weights to show")
    figure = sheet(title)
    above, below = figure.subplots(2, 1, height_ratios=[3, 2])
    _weight_map(figure, above, parts, rows)
    _group_sizes(below, parts, rows)
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


def _square(W: ArrayLike) -> Array:  # noqa: N803
    links = np.asarray(W, float)
    if links.ndim != 2 or links.shape[0] != links.shape[1] or not links.size:
        raise ValueError(f"the matrix has shape {links.shape}; (units, units) is wanted")
    if not np.isfinite(links).all():
        to, of = np.argwhere(~np.isfinite(links))[0]
        raise ValueError(f"the matrix holds {links[to, of]} in row {to}, column {of}")
    return links


def _group(name: str, part: ArrayLike, horizons: int) -> Array:
    weights = np.asarray(part, float)
    if weights.ndim != 2 or len(weights) != horizons:
        several = "; of several targets take one: part[:, target]" if weights.ndim == 3 else ""
        raise ValueError(
            f"group {name!r} has shape {weights.shape}; ({horizons}, size) is wanted, a row for "
            f"each of the horizons{several}"
        )
    return weights


def _radius(links: Array) -> float:
    return float(np.abs(np.linalg.eigvals(links)).max())


def _colour_map(figure: Figure, axes: Axes, x: Array, rows: Array, of: str) -> None:
    most = min(1.0, float(np.nanmax(np.abs(rows), initial=0.0)) or 1.0)
    looks: dict[str, Any] = {"cmap": BOTH_WAYS, "vmin": -most, "vmax": most, "rasterized": True}
    image = axes.pcolormesh(x, np.arange(rows.shape[1]), rows.T, shading="nearest", **looks)
    _explain(figure, axes, image, of)


def _explain(
    figure: Figure, axes: Axes, image: QuadMesh | AxesImage, of: str, shrink: float = 1.0
) -> None:
    """Put beside a panel which number a colour stands for, and of what."""
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30, shrink=shrink)
    bar.set_label(of, fontsize=8)
    bar.ax.tick_params(which="both", labelsize=7)


def _lines(axes: Axes, x: Array, rows: Array, along: str) -> None:
    units = np.unique(np.linspace(0, rows.shape[1] - 1, LINES).astype(int))
    for unit, (colour, form) in zip(units, LOOKS, strict=False):
        look: dict[str, Any] = {"color": colour, "linestyle": form, "linewidth": 1.0}
        axes.plot(*broken(x, rows[:, unit]), label=f"unit {unit}", **look)
    legend(axes)
    dress(axes, "some of them", "state", along)


def _weight_map(figure: Figure, axes: Axes, parts: dict[str, Array], horizons: list[str]) -> None:
    whole = np.concatenate(list(parts.values()), axis=1)
    most = float(np.abs(whole).max()) or 1.0
    scale = SymLogNorm(linthresh=most / 100, vmin=-most, vmax=most)
    image = axes.imshow(whole, cmap=BOTH_WAYS, norm=scale, aspect="auto", interpolation="nearest")
    _explain(figure, axes, image, "weight")
    ends = np.cumsum([part.shape[1] for part in parts.values()])
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color=DATA, linewidth=0.8)
    dress(axes, "every weight, by group of features", "horizon")
    slanted: dict[str, Any] = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks((np.r_[0, ends[:-1]] + ends) / 2 - 0.5, list(parts), **slanted)
    axes.set_yticks(range(len(horizons)), horizons)


def _group_sizes(axes: Axes, parts: dict[str, Array], horizons: list[str]) -> None:
    rows = chosen(len(horizons))
    width = 0.8 / len(rows)
    for place, row in enumerate(rows):
        sizes = [float(np.sqrt(np.mean(part[row] ** 2))) for part in parts.values()]
        at = np.arange(len(parts)) + (place - (len(rows) - 1) / 2) * width
        look: dict[str, Any] = {"color": LOOKS[place][0], "hatch": HATCHES[place]}
        axes.bar(at, sizes, width, label=horizons[row], edgecolor="white", **look)
    dress(axes, "how large they are, root mean square of each group", "size of the weights")
    axes.set_xticks(range(len(parts)), list(parts))
    if any(part.any() for part in parts.values()):
        axes.set_yscale("log")
    axes.margins(x=0.01)
    legend(axes)
