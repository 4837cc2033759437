"""Pictures of a reservoir: its states over time, its connections, its spectrum, its readout.

They take plain arrays, so that they show any echo state network, whoever made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from numpy.typing import ArrayLike, NDArray

from streamlnn.plot.drawing import BOTH_WAYS, DATA, LOOKS, NAIVE, broken, dress, sheet

Array = NDArray[Any]

SQUARE = (8.27, 7.5)
LINES = 3
"""Units that are also drawn as lines: a fast one, a slow one, and one between."""


def states(
    states: ArrayLike,
    x: ArrayLike | None = None,
    *,
    values: ArrayLike | None = None,
    time_constants: ArrayLike | None = None,
    title: str = "reservoir state over time",
    unit: str = "",
) -> Figure:
    """Return a picture of the reservoir's `states` (n, units) over time.

    Every row of the colour maps is a unit, from fast to slow where `time_constants` (units,) tell
    it: its state, and how that moves. A few units are drawn as lines below, and what the reservoir
    heard, `values` (n,), above. `x` (n,) are moments, as numbers or numpy dates; without them
    records are counted. Raises `ValueError` for arrays that do not fit together.
    """
    rows, x = _checked(states, x)
    order = None if time_constants is None else np.argsort(np.asarray(time_constants))
    rows = rows if order is None else rows[:, order]
    figure, dated = sheet(title), x.dtype.kind == "M"
    grid = figure.add_gridspec(4, 1, height_ratios=[1.2, 2.4, 2.4, 1.2])
    if values is not None:
        axes = figure.add_subplot(grid[0])
        axes.plot(*broken(x, np.asarray(values, float)), color=DATA, linewidth=0.8)
        dress(axes, "what the reservoir hears", unit, dated=dated)
    told = "unit" if order is None else "unit, from fast to slow"
    moved = rows - rows.mean(axis=0)
    for panel, shown, head in (
        (grid[1], rows, "state of every unit"),
        (grid[2], moved, "how the states move: each unit less its mean over this time"),
    ):
        axes = figure.add_subplot(panel)
        _colour_map(figure, axes, x, shown)
        dress(axes, head, told, dated=dated)
    _lines(figure.add_subplot(grid[3]), x, rows, dated)
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
    figure.colorbar(image, ax=axes, shrink=0.8, label="weight").ax.tick_params(labelsize=7)
    share = used / max(1, units * units)
    said = f"{units} units, {used} connections ({share:.0%}), spectral radius {_radius(links):.3g}"
    dress(axes, said, "to unit")
    axes.set_xlabel("from unit", fontsize=8)
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
    dress(axes, said, "imaginary part")
    reach = 1.1 * max(1.0, radius)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set_xlabel("real part", fontsize=8)
    return figure


def weights(
    groups: Mapping[str, ArrayLike],
    horizons: Sequence[object],
    *,
    title: str = "readout weights",
) -> Figure:
    """Return a picture of readout weights by group of features, each (horizons, size).

    Above every weight as a colour, below how large those of a group are, as a root mean square.
    `horizons` name the rows. Takes what `Forecaster.readout_weights` returns, one target's.
    """
    parts = {name: np.asarray(part, float) for name, part in groups.items()}
    parts = {name: part for name, part in parts.items() if part.shape[1]}
    figure = sheet(title)
    above, below = figure.subplots(2, 1, height_ratios=[3, 2])
    _weight_map(figure, above, parts, [str(h) for h in horizons])
    _group_sizes(below, parts, [str(h) for h in horizons])
    return figure


def _checked(states: ArrayLike, x: ArrayLike | None) -> tuple[Array, Array]:
    rows = np.asarray(states, float)
    if rows.ndim != 2 or not rows.size:
        raise ValueError(f"states have shape {rows.shape}; (n, units) are wanted")
    along = np.arange(len(rows)) if x is None else np.asarray(x)
    if along.shape != (len(rows),):
        raise ValueError(f"x has shape {along.shape}; there are {len(rows)} states")
    return rows, along


def _square(W: ArrayLike) -> Array:  # noqa: N803
    links = np.asarray(W, float)
    if links.ndim != 2 or links.shape[0] != links.shape[1] or not links.size:
        raise ValueError(f"the matrix has shape {links.shape}; (units, units) is wanted")
    return links


def _radius(links: Array) -> float:
    return float(np.abs(np.linalg.eigvals(links)).max())


def _colour_map(figure: Figure, axes: Axes, x: Array, rows: Array) -> None:
    most = min(1.0, float(np.nanmax(np.abs(rows), initial=0.0)) or 1.0)
    image = axes.pcolormesh(
        *_cells(x, rows), cmap=BOTH_WAYS, vmin=-most, vmax=most, shading="auto", rasterized=True
    )
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30)
    bar.ax.tick_params(labelsize=7)


def _cells(x: Array, rows: Array) -> tuple[Array, Array, Array]:
    """Return edges and colours; a clock that was set back is counted in records instead."""
    if len(x) < 2 or not (np.diff(x) > np.zeros(1, np.diff(x).dtype)).all():
        x = np.arange(len(rows), dtype=float)
    return x, np.arange(rows.shape[1]), rows.T


def _lines(axes: Axes, x: Array, rows: Array, dated: bool) -> None:
    units = np.unique(np.linspace(0, rows.shape[1] - 1, LINES).astype(int))
    for unit, (colour, form) in zip(units, LOOKS, strict=False):
        axes.plot(
            *broken(x, rows[:, unit]),
            color=colour,
            linestyle=form,
            linewidth=1.0,
            label=f"unit {unit}",
        )
    axes.legend(fontsize=7, ncols=LINES, frameon=False, loc="lower right", bbox_to_anchor=(1, 0.98))
    dress(axes, "some of them", "state", dated=dated)


def _weight_map(figure: Figure, axes: Axes, parts: dict[str, Array], horizons: list[str]) -> None:
    whole = np.concatenate(list(parts.values()), axis=1)
    most = float(np.abs(whole).max()) or 1.0
    scale = SymLogNorm(linthresh=most / 100, vmin=-most, vmax=most)
    image = axes.imshow(whole, cmap=BOTH_WAYS, norm=scale, aspect="auto", interpolation="nearest")
    figure.colorbar(image, ax=axes, pad=0.01).ax.tick_params(labelsize=7)
    ends = np.cumsum([part.shape[1] for part in parts.values()])
    for end in ends[:-1]:
        axes.axvline(end - 0.5, color=DATA, linewidth=0.8)
    dress(axes, "every weight, by group of features", "horizon")
    axes.set_xticks((np.r_[0, ends[:-1]] + ends) / 2 - 0.5, list(parts), rotation=20, ha="right")
    axes.set_yticks(range(len(horizons)), horizons)


def _group_sizes(axes: Axes, parts: dict[str, Array], horizons: list[str]) -> None:
    width = 0.8 / max(1, len(horizons))
    for row, horizon in enumerate(horizons):
        colour = LOOKS[row % len(LOOKS)][0]
        sizes = [float(np.sqrt(np.mean(part[row] ** 2))) for part in parts.values()]
        at = np.arange(len(parts)) + (row - (len(horizons) - 1) / 2) * width
        axes.bar(at, sizes, width, color=colour, label=horizon, edgecolor="white")
    axes.set_xticks(range(len(parts)), list(parts))
    if any(part.any() for part in parts.values()):
        axes.set_yscale("log")
    axes.margins(x=0.01)
    place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98)}
    axes.legend(fontsize=7, ncols=len(horizons), frameon=False, **place)
    dress(axes, "how large they are, root mean square of each group", "usual changes")
