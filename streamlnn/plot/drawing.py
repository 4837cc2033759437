"""What all pictures share: paper, colours, lines with gaps in them, heads and legends.

Colours are those of Okabe and Ito, which people who confuse red and green can tell apart; lines
and marks differ in form as well, for print without colour.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[Any]

A4 = (11.69, 8.27)
POINTS = 1000
"""Points that a curve over a whole recording is drawn with."""
LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))
DATA, NAIVE = "#000000", "#777777"
BOTH_WAYS = "RdBu_r"
"""Colours of what can be negative: white is 0."""


def sheet(title: str, size: tuple[float, float] = A4) -> Figure:
    """Return an empty page, in inches, with its title."""
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure


def dress(axes: Axes, title: str, unit: str = "", *, dated: bool = False) -> None:
    """Give a panel its head, its unit, and dates along it where it is `dated`."""
    axes.set_title(title, fontsize=8, loc="left", pad=3)
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=7)
    axes.margins(x=0)
    axes.spines[["top", "right"]].set_visible(False)
    if dated:
        locator = AutoDateLocator(minticks=3)
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
        axes.xaxis.get_offset_text().set_fontsize(7)


def between(axes: Axes, first: Any, last: Any) -> None:
    """Show what lies between two moments; a single one is no range to show."""
    if first < last:
        axes.set_xlim(first, last)


def legend(axes: Axes) -> None:
    """Explain the lines, where there are any, in the row of the title: it must hide nothing."""
    lines, labels = axes.get_legend_handles_labels()
    if lines:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98)}
        axes.legend(lines, labels, fontsize=7, ncols=len(lines), frameon=False, **place)


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
