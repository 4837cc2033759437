"""How well a stream was forecast, over time: always beside persistence."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.plot.drawing import LOOKS, sheet
from streamlnn.plot.painter import Painter


def scores(played: Played, m: int = 0, found: Sequence[Episode] = ()) -> Figure:
    """Return a picture of how well target m was forecast, over time.

    Shown are the mean absolute error of each horizon beside that of persistence, the skill and the
    coverage, all running, and above them the series with its events `found`.
    """
    painter = Painter(played, m, found)
    courses = [painter.course(k) for k in painter.shown]
    figure = sheet(f"{painter.title}: scores")
    grid = figure.add_gridspec(len(courses) + 3, 1)
    painter.whole(figure.add_subplot(grid[0]))
    for row, (k, went) in enumerate(zip(painter.shown, courses, strict=True), 1):
        of = f", {painter.ahead(k)} ahead"
        painter.error(figure.add_subplot(grid[row]), went, LOOKS[row - 1][0], of)
    painter.skill(figure.add_subplot(grid[-2]), courses)
    painter.coverage(figure.add_subplot(grid[-1]), courses)
    return figure
