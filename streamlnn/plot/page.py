"""A recording and its forecasts on one page: to look at and to print."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.plot.drawing import LOOKS, sheet, stack
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
    latest, errors = (
        [figure.add_subplot(grid[row, column]) for row in range(1, len(courses) + 1)]
        for column in (0, 1)
    )
    coverage = figure.add_subplot(grid[-1, 1])
    painter.coverage(coverage, courses)
    for row, (k, went) in enumerate(zip(painter.shown, courses, strict=True)):
        painter.forecasts(latest[row], k, went, LOOKS[row][0])
        painter.error(errors[row], went, LOOKS[row][0])
    stack(latest)
    stack([*errors, coverage])
    return figure
