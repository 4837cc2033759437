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
from streamlnn.evaluation.played import YHAT, Played
from streamlnn.plot.drawing import LOOKS, NAIVE, between, dress, legend, sheet, stack
from streamlnn.plot.painter import Painter

Array = NDArray[Any]

EARLIER = 4
"""Earlier fans that are shown against what came, at most."""


def fan(played: Played, m: int = 0, found: Sequence[Episode] = ()) -> Figure:
    """Return a picture of target m and its newest forecast at all horizons, with the band.

    In it are some earlier forecasts against what came; below it is the latest part, with what had
    been said of each record at every horizon shown. `found` are the events.
    """
    painter = Painter(played, m, found)
    figure = sheet(f"{painter.title}: forecast")
    ratios = [2] + [1] * len(painter.shown)
    top, *panels = figure.subplots(len(ratios), 1, height_ratios=ratios)
    _draw_fan(top, painter)
    for k, axes, look in zip(painter.shown, panels, LOOKS, strict=False):
        painter.forecasts(axes, k, painter.course(k), look[0])
    stack(panels)
    return figure


def _draw_fan(axes: Axes, painter: Painter) -> None:
    first, end = painter.latest()
    asked = np.flatnonzero(np.isfinite(painter.played.bands[:, YHAT, :, painter.m]).all(axis=1))
    painter.measured(axes, first)
    for i in _earlier(painter, first, asked):
        _draw_one(axes, painter, int(i), NAIVE, "earlier forecast", "--")
    if asked.size:
        end = max(end, _draw_one(axes, painter, int(asked[-1]), LOOKS[0][0], "forecast", "-"))
        axes.axvline(painter.x[-1], color=NAIVE, linewidth=0.8, linestyle=":", label="now")
    between(axes, painter.x[first:].min(), max(painter.x[first:].max(), end))
    painter.mark(axes, first)
    legend(axes)
    head = "forecast of all horizons, and earlier ones against what came"
    dress(axes, head, painter.label, painter.axis)


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


def _draw_one(axes: Axes, painter: Painter, i: int, colour: str, label: str, line: str) -> Any:
    """Draw what was said when record i had come, and return how far; it opens at its value."""
    played, m = painter.played, painter.m
    at = played.at[i] + np.array([0.0, *played.words.horizons])
    x = painter.along(moments(played, at))
    band = np.concatenate([np.full((3, 1), painter.y[i]), played.bands[i, :, :, m]], axis=1)
    look: dict[str, Any] = {"linestyle": line, "marker": "o", "markersize": 2.5, "clip_on": False}
    painter.band(axes, x, band, colour, label, **look)
    return x[-1]
