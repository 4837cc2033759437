"""Pictures of a reservoir as it stands: its connections, its spectrum, its readout.

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

from streamlnn.plot.drawing import (
    BOTH_WAYS,
    DATA,
    HATCHES,
    LOOKS,
    NAIVE,
    chosen,
    dress,
    explain,
    legend,
    sheet,
)

Array = NDArray[Any]

SQUARE = (8.27, 7.5)


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
    explain(figure, axes, image, "weight", shrink=0.8)
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


def _weight_map(figure: Figure, axes: Axes, parts: dict[str, Array], horizons: list[str]) -> None:
    whole = np.concatenate(list(parts.values()), axis=1)
    most = float(np.abs(whole).max()) or 1.0
    scale = SymLogNorm(linthresh=most / 100, vmin=-most, vmax=most)
    image = axes.imshow(whole, cmap=BOTH_WAYS, norm=scale, aspect="auto", interpolation="nearest")
    explain(figure, axes, image, "weight")
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
