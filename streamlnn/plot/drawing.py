"""What all pictures share: paper, colours, lines with gaps in them, heads and legends.

Colours are those of Okabe and Ito, which people who confuse red and green can tell apart; lines,
marks and bars differ in form as well, for print without colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, num2date
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

Array = NDArray[Any]

A4 = (11.69, 8.27)
POINTS = 1000
"""Points that a curve over a whole recording is drawn with."""
LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))
HATCHES = ("", "///", "...", "xxx")
"""What bars are filled with, beside the colours of LOOKS."""
DATA, NAIVE = "#000000", "#777777"
BOTH_WAYS = "RdBu_r"
"""Colours of what can be negative: white is 0."""
MOST_HORIZONS = len(LOOKS)
"""Horizons in one picture; of more, so many from the shortest to the longest."""
RECORD, TIME = "record", "time (UTC)"
"""What is told of the axis along which records stand."""

_PLAIN = (-6, 9)
"""Powers of ten whose numbers stand in full at the ticks: a factor over a panel is overlooked."""


def sheet(title: str, size: tuple[float, float] = A4) -> Figure:
    """Return an empty page, in inches, with its title."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11, parse_math=False)
    return figure


def dress(axes: Axes, title: str, label: str = "", along: str = "") -> None:
    """Give a panel its head, and tell what is drawn upwards and `along` it: dates are TIME."""
    axes.set_title(title, fontsize=8, loc="left", pad=3, parse_math=False)
    axes.set_ylabel(label, fontsize=8, parse_math=False)
    axes.set_xlabel(along, fontsize=8, loc="left" if along == TIME else "center")
    axes.tick_params(which="both", labelsize=7)
    axes.ticklabel_format(axis="y", useOffset=False, scilimits=_PLAIN)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    if along == TIME:
        locator = AutoDateLocator(tz=UTC, minticks=3)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(_Dates(locator, tz=UTC))  # type: ignore[no-untyped-call]
    for axis in (axes.xaxis, axes.yaxis):
        axis.get_offset_text().set_fontsize(7)


class _Dates(ConciseDateFormatter):
    """Short dates at the ticks, and below them from when to when: a tick leaves out the year."""

    def get_offset(self) -> str:
        assert self.axis is not None
        first, last = (num2date(at, UTC) for at in sorted(self.axis.get_view_interval()))
        seconds = (last - first).total_seconds()
        if seconds > 3 * 86400:
            return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
        form = "minutes" if seconds > 600 else "seconds" if seconds > 10 else "milliseconds"
        since, until = (at.replace(tzinfo=None).isoformat(" ", form) for at in (first, last))
        same_day = first.date() == last.date()
        return f"{since} to {until.split()[-1] if same_day else until}"


def stack(panels: Sequence[Axes]) -> None:
    """Let panels above each other have one axis along the records, told below the lowest."""
    for axes in panels[:-1]:
        axes.sharex(panels[-1])
        axes.set_xlabel("")
        axes.tick_params(axis="x", labelbottom=False)
        axes.xaxis.get_offset_text().set_visible(False)


def shorter(name: str, most: int = 20) -> str:
    """Return the end of a name that is too long to stand beside a panel.

    >>> shorter("flow"), shorter("decoded.payload.temperature")
    ('flow', '…payload.temperature')
    """
    return name if len(name) <= most else "…" + name[1 - most :]


def chosen(horizons: int) -> list[int]:
    """Return which horizons are drawn: all, or some from the first to the last.

    >>> chosen(3), chosen(9)
    ([0, 1, 2], [0, 2, 5, 8])
    """
    shown = np.linspace(0, horizons - 1, min(horizons, MOST_HORIZONS))
    return [int(k) for k in shown]


def between(axes: Axes, first: Any, last: Any) -> None:
    """Show what lies between two moments; a single one is no range to show."""
    if first < last:
        axes.set_xlim(first, last)


def legend(axes: Axes) -> None:
    """Explain what is drawn, each once, in the row of the title: it must hide nothing.

    What is drawn as a mark and as a shade, by one name, is explained as both.
    """
    named: dict[str, dict[type, Any]] = {}
    for drawn, label in zip(*axes.get_legend_handles_labels(), strict=True):
        named.setdefault(label, {})[type(drawn)] = drawn
    if named:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98)}
        shown = [tuple(forms.values()) for forms in named.values()]
        axes.legend(shown, list(named), fontsize=7, ncols=len(named), frameon=False, **place)


def explain(
    figure: Figure, axes: Axes, image: QuadMesh | AxesImage, of: str, shrink: float = 1.0
) -> None:
    """Put beside a panel which number a colour stands for, and of what."""
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30, shrink=shrink)
    bar.set_label(of, fontsize=8)
    bar.ax.tick_params(which="both", labelsize=7)


def dates(seconds: Array) -> Array:
    """Return seconds since 1970 as matplotlib draws dates."""
    return np.round(seconds * 1e6).astype("datetime64[us]")


def envelope(y: Array) -> tuple[Array, Array]:
    """Return records and values that draw as all of `y` (n,) would: the extremes of each stretch.

    >>> at, drawn = envelope(np.arange(5000.0))
    >>> at[:4], drawn[:4]
    (array([0, 0, 5, 5]), array([0., 4., 5., 9.]))
    """
    at = np.arange(0, len(y), max(1, len(y) // POINTS))
    low = np.fmin.reduceat(y, at)
    return np.repeat(at, 2), np.stack([low, np.fmax.reduceat(y, at)], axis=1).ravel()


def broken(x: Array, y: Array) -> tuple[Array, Array]:
    """Return a curve that no line leads through where nothing came for long, or time went back.

    `x` (n,), `y` (n,) or (n, curves).

    >>> broken(np.array([0.0, 1.0, 2.0, 9.0]), np.ones(4))
    (array([0., 1., 2., 2., 9.]), array([ 1.,  1.,  1., nan,  1.]))
    """
    steps = np.diff(x)
    none = steps.dtype.type(0)
    if not (steps > none).any():
        return x, y
    usual, span = np.median(steps[steps > none]), x.max() - x.min()
    at = np.flatnonzero((steps < none) | ((steps > 3 * usual) & (steps > span / 50))) + 1
    return np.insert(x, at, x[at - 1]), np.insert(y, at, np.nan, axis=0)
