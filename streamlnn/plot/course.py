"""How well a stream was forecast, over time: always beside persistence."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import Played
from streamlnn.plot.drawing import LOOKS, sheet, stack
from streamlnn.plot.painter import Painter


def scores(played: Played, m: int = 0, found: Sequence[Episode] = ()) -> Figure:
    """Return a picture of how well target m was forecast, over time.

    Shown are the mean absolute error of each horizon beside that of persistence, the skill and the
    coverage, all running, and above them the series with its events `found`.
    """
    painter = Painter(played, m, found)
    courses = [painter.course(k) for k in painter.shown]
    figure = sheet(f"{painter.title}: scores")
    panels = figure.subplots(len(courses) + 3, 1)
    painter.whole(panels[0])
    for axes, k, went, look in zip(panels[1:], painter.shown, courses, LOOKS, strict=False):
        painter.error(axes, went, look[0], f", {painter.ahead(k)} ahead")
    painter.skill(panels[-2], courses)
    painter.coverage(panels[-1], courses)
    stack(panels)
    return figure
