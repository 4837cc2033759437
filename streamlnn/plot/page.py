"""A recording and its forecasts on one page: to look at and to print."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.plot.drawing import LOOKS, sheet
from streamlnn.plot.painter import Painter


def page(played: Played, m: int = 0, found: Sequence[Episode] = ()) -> Figure:
    """Return a page about target m.

    Shown are the whole series with its events `found`, its latest part with the forecasts of each
    horizon as they were made so far ahead, and over time the mean absolute error beside that of
    persistence, the skill and the coverage.
    """
    painter = Painter(played, m, found)
    courses = [painter.course(k) for k in painter.shown]
    figure = sheet(painter.title)
    grid = figure.add_gridspec(len(courses) + 2, 2, width_ratios=[2, 1])
    painter.whole(figure.add_subplot(grid[0, :]))
    painter.skill(figure.add_subplot(grid[-1, 0]), courses)
    painter.coverage(figure.add_subplot(grid[-1, 1]), courses)
    for row, (k, went) in enumerate(zip(painter.shown, courses, strict=True), 1):
        colour = LOOKS[row - 1][0]
        painter.forecasts(figure.add_subplot(grid[row, 0]), k, went, colour)
        painter.error(figure.add_subplot(grid[row, 1]), went, colour)
    return figure
