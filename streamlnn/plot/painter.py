"""The panels that a stream's pictures consist of: its values, its forecasts, its scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from streamlnn.evaluation.course import Course, course, moments
from streamlnn.evaluation.episodes import Episode
from streamlnn.evaluation.played import LOWER, UPPER, YHAT, Played
from streamlnn.model.units import ahead
from streamlnn.plot.drawing import (
    DATA,
    LOOKS,
    NAIVE,
    POINTS,
    RECORD,
    TIME,
    between,
    broken,
    chosen,
    dates,
    dress,
    envelope,
    legend,
    shorter,
)

Array = NDArray[Any]

LATEST = (150, 400)
"""Records in the panels of the latest part, at least and at most; else 4 of the longest horizon."""

_MARKS = {
    "anomaly": ("#D55E00", "v", 0.95),
    "drift": ("#CC79A7", "D", 0.95),
    "stuck": ("#56B4E9", "s", 0.87),
    "crossing": ("#E69F00", "^", 0.05),
    "gap": ("#777777", "|", 0.05),
    "clock": ("#000000", "x", 0.05),
}
_LASTING = ("anomaly", "drift", "stuck")


class Painter:
    """Draws panels of one target, number m of a stream; `found` are the stream's events.

    `x` (n,) is where its records stand along the panels, `y` (n,) their values, `shown` the
    numbers of the horizons that are drawn.
    """

    def __init__(self, played: Played, m: int, found: Sequence[Episode]) -> None:
        self.played, self.m = played, m
        self.name = played.words.targets[m]
        self.x = self.along(moments(played, played.at))
        self.y = played.y[:, m]
        self.shown = chosen(len(played.words.horizons))
        self._found = [one for one in found if one.target in (None, self.name)]

    @property
    def title(self) -> str:
        """Whose picture it is, and what is left out of it."""
        several = len(self.played.words.horizons)
        part = f" ({len(self.shown)} of {several} horizons)" if len(self.shown) < several else ""
        return f"{self.played.words.stream}, {self.name}{part}"

    @property
    def label(self) -> str:
        """What the values are: the target's name, and its unit."""
        return shorter(self.name) + self._unit

    @property
    def axis(self) -> str:
        """What `x` is."""
        return RECORD if self.played.times is None else TIME

    @property
    def _unit(self) -> str:
        unit = self.played.words.units[self.m]
        return f" ({unit})" if unit else ""

    def course(self, k: int) -> Course:
        """Return how horizon k went."""
        return course(self.played, k, self.m)

    def ahead(self, k: int) -> str:
        """Return horizon k in words."""
        return ahead(self.played.words.horizons[k], self.played.words.clock)

    def along(self, at: Array) -> Array:
        """Return moments as matplotlib takes them: dates where there is a clock."""
        return at if self.played.times is None else dates(at)

    def latest(self) -> tuple[int, Any]:
        """Return the first record of the latest part, and the moment at which it ends."""
        least, most = LATEST
        furthest, every = self.played.words.horizons[-1], self.played.every
        records = int(min(max(4 * furthest / every, least), most))
        beyond = min(furthest, records * every / 4)
        end = moments(self.played, self.played.at[-1:] + beyond)
        return max(0, len(self.x) - records), self.along(end)[0]

    # Panels

    def whole(self, axes: Axes) -> None:
        """Draw the whole series with its events."""
        at, y = envelope(self.y)
        axes.plot(*broken(self.x[at], y), color=DATA, linewidth=0.8)
        between(axes, self.x.min(), self.x.max())
        self.mark(axes)
        legend(axes)
        dress(axes, "the whole recording, and its events", self.label, self.axis)

    def forecasts(self, axes: Axes, k: int, went: Course, colour: str) -> None:
        """Draw the latest part with the forecasts of horizon k, each where it was due."""
        first, end = self.latest()
        measured, due = self.x[first:], self.along(went.moment)
        here = (due >= measured.min()) & (due <= end)
        here[: max(0, 2 * first - len(due))] = False  # before the clock was set back
        x, band = broken(due[here], went.band[here])
        self.measured(axes, first)
        self.band(axes, x, band.T, colour, f"forecast {self.ahead(k)} before", linestyle="--")
        between(axes, measured.min(), max(measured.max(), end))
        self.mark(axes, first)
        legend(axes)
        dress(axes, "latest part", self.label, self.axis)

    def measured(self, axes: Axes, first: int) -> None:
        """Draw the values from record `first` on."""
        x, y = broken(self.x[first:], self.y[first:])
        axes.plot(x, y, color=DATA, linewidth=0.8, label="measured")

    def band(self, axes: Axes, x: Array, band: Array, colour: str, label: str, **look: Any) -> None:
        """Draw forecasts and their band, yhat, yhat_lower and yhat_upper (3, n), at `x` (n,)."""
        axes.plot(x, band[YHAT], color=colour, linewidth=1.2, label=label, **look)
        level = f"{100 * self.played.words.level:.4g} % band"
        shade: dict[str, Any] = {"color": colour, "alpha": 0.25, "linewidth": 0}
        axes.fill_between(x, band[LOWER], band[UPPER], label=level, **shade)

    def error(self, axes: Axes, went: Course, colour: str, of: str = "") -> None:
        """Draw the running mean absolute error of one horizon beside that of persistence."""
        self.over_time(axes, went, went.mean(went.naive), "persistence", (NAIVE, ":"))
        self.over_time(axes, went, went.mean(went.error), "ours", (colour, "-"))
        axes.set_ylim(bottom=0.0)
        legend(axes)
        dress(axes, f"MAE over {went.window} forecasts{of}", f"MAE{self._unit}", self.axis)

    def skill(self, axes: Axes, courses: Sequence[Course]) -> None:
        """Draw the skill of every horizon shown over time."""
        for k, went, look in zip(self.shown, courses, LOOKS, strict=False):
            self.over_time(axes, went, went.skill, self.ahead(k), look)
        axes.axhline(0.0, color=NAIVE, linewidth=0.8)
        low, high = axes.get_ylim()
        axes.set_ylim(max(-1.0, low), min(max(0.25, high), 1.0))
        legend(axes)
        dress(axes, "skill: 1 - MAE / MAE of persistence, at each horizon", "skill", self.axis)

    def coverage(self, axes: Axes, courses: Sequence[Course]) -> None:
        """Draw, over time, which share of the values lay in the band of every horizon shown."""
        for k, went, look in zip(self.shown, courses, LOOKS, strict=False):
            self.over_time(axes, went, went.mean(went.inside), self.ahead(k), look)
        level = self.played.words.level
        axes.axhline(level, color=NAIVE, linewidth=0.8)
        axes.set_ylim(min(axes.get_ylim()[0], max(0.0, 2.0 * level - 1.0)), 1.0)
        dress(axes, f"share of values in the band, to be {level:.4g}", "coverage", self.axis)

    def over_time(
        self, axes: Axes, went: Course, values: Array, label: str, look: tuple[str, str]
    ) -> None:
        """Draw a running mean over the whole recording."""
        at = np.unique(np.linspace(0, max(len(values) - 1, 0), POINTS).astype(int))[: len(values)]
        x, y = broken(self.along(went.ends)[at], values[at])
        between(axes, self.x.min(), self.x.max())
        axes.plot(x, y, color=look[0], linestyle=look[1], linewidth=1.2, label=label)

    def mark(self, axes: Axes, first: int = 0) -> None:
        """Mark the events where they began, each kind by its own sign, and how long they lasted.

        Those that were over before record `first` are left out.
        """
        limits, across = axes.get_xlim(), axes.get_xaxis_transform()
        found = [one for one in self._found if one.type in _MARKS and self._last(one) >= first]
        _make_room(axes, [_MARKS[one.type][2] for one in found])
        for kind, (colour, sign, height) in _MARKS.items():
            spans = [self._span(one) for one in found if one.type == kind]
            for span in spans if kind in _LASTING else ():
                axes.axvspan(*span, color=colour, alpha=0.2, linewidth=0, label=kind)
            if spans:
                x, y = [since for since, _ in spans], [height] * len(spans)
                axes.plot(x, y, sign, color=colour, markersize=4, transform=across, label=kind)
        axes.set_xlim(*limits)

    def _last(self, one: Episode) -> int:
        last = len(self.x) - 1
        if one.type not in _LASTING:
            return min(one.start, last)
        return last if one.end is None else one.end

    def _span(self, one: Episode) -> tuple[Any, Any]:
        return self.x[min(one.start, len(self.x) - 1)], self.x[self._last(one)]


def _make_room(axes: Axes, heights: Sequence[float]) -> None:
    """Let no curve run where the marks are: above it, below it, or both."""
    low, high = axes.get_ylim()
    above, below = any(h > 0.5 for h in heights), any(h < 0.5 for h in heights)
    axes.set_ylim(low - 0.12 * below * (high - low), high + 0.2 * above * (high - low))
