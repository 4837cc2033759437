"""The forecast fan: what was measured, and right of now what is believed of every horizon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamlnn.evaluation.course import moments
from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import LOWER, UPPER, YHAT, Played
from streamlnn.plot.drawing import DATA, LOOKS, NAIVE, broken, dress, sheet
from streamlnn.plot.painter import Painter

Array = NDArray[Any]

EARLIER = 4
"""Earlier fans that are shown against what came, at most."""


def fan(played: Played, m: int = 0, found: Sequence[Episode] = ()) -> Figure:
    """Return a picture of target m and its newest forecast at all horizons, with the band.

    Below it are some earlier forecasts against what came, and the latest part with what had been
    said of each record at the shortest and at the longest horizon. `found` are the events.
    """
    painter = Painter(played, m, found)
    figure = sheet(f"{painter.title}: forecast")
    grid = figure.add_gridspec(3, 1, height_ratios=[2, 1, 1])
    _draw_fan(figure.add_subplot(grid[0]), painter)
    for row, k in enumerate((painter.shown[0], painter.shown[-1]), 1):
        axes = figure.add_subplot(grid[row])
        painter.forecasts(axes, k, painter.course(k), LOOKS[row - 1][0])
    return figure


def _draw_fan(axes: Axes, painter: Painter) -> None:
    first, _ = painter.latest()
    asked = np.flatnonzero(np.isfinite(painter.played.bands[:, YHAT, :, painter.m]).all(axis=1))
    axes.plot(*broken(painter.x[first:], painter.y[first:]), color=DATA, linewidth=0.8)
    earlier = _earlier(painter, first, asked)
    for i in earlier:
        _draw_one(axes, painter, int(i), NAIVE, 0.15)
    if asked.size:
        _draw_one(axes, painter, int(asked[-1]), LOOKS[0][0], 0.3)
        axes.axvline(painter.x[-1], color=NAIVE, linewidth=0.8, linestyle=":")
    painter.mark(axes)
    level = f"{100 * painter.played.words.level:.4g} %"
    title = f"measured (black), now (dotted), forecast of all horizons with its {level} band (blue)"
    more = "; earlier ones in grey" if earlier.size else ""
    dress(axes, title + more, painter.unit, dated=painter.played.times is not None)


def _earlier(painter: Painter, first: int, asked: Array) -> Array:
    """Return from which records earlier forecasts are shown: so that they do not overlap."""
    h = painter.played.words.horizons[-1]
    there = asked[(asked >= first) & (asked < len(painter.x) - 1)]
    at = painter.played.at
    chosen: list[int] = []
    for i in there[::-1]:
        due = at[chosen[-1]] if chosen else at[-1]
        if at[i] + h <= due and len(chosen) < EARLIER:
            chosen.append(int(i))
    return np.array(chosen, int)


def _draw_one(axes: Axes, painter: Painter, i: int, colour: str, alpha: float) -> None:
    """Draw what was said when record i had come; the fan opens at its value."""
    played, m = painter.played, painter.m
    at = played.at[i] + np.array([0.0, *played.words.horizons])
    x = painter.along(moments(played, at))
    band = np.concatenate([np.full((3, 1), painter.y[i]), played.bands[i, :, :, m]], axis=1)
    axes.fill_between(x, band[LOWER], band[UPPER], color=colour, alpha=alpha, linewidth=0)
    axes.plot(x, band[YHAT], color=colour, linewidth=1.4, marker="o", markersize=2.5)
