"""A recording and its forecasts as a picture: one page for each target, to look at and to print.

Colours are those of Okabe and Ito, which people who confuse red and green can tell apart; lines
and marks differ in form as well, for print without colour. Needs the extra `plot`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from numpy.typing import NDArray

from streamlnn.daemon.board import ahead
from streamlnn.daemon.eval_course import Course, course, moments
from streamlnn.daemon.eval_events import Episode
from streamlnn.daemon.eval_play import LOWER, UPPER, YHAT, Played
from streamlnn.errors import InputUnavailable

Array = NDArray[Any]

A4 = (11.69, 8.27)
MOST_PICTURES = 32
MOST_HORIZONS = 4
"""Horizons in one picture; of more, so many from the shortest to the longest."""
LATEST = (150, 400)
"""Records in the panels of the latest part, at least and at most; else 4 of the longest horizon."""
POINTS = 1000
"""Points that a curve over the whole recording is drawn with."""

_LOOKS = (("#0072B2", "-"), ("#D55E00", "--"), ("#009E73", "-."), ("#CC79A7", ":"))
_DATA, _NAIVE = "#000000", "#777777"
_MARKS = {
    "anomaly": ("#D55E00", "v", 0.95),
    "drift": ("#CC79A7", "D", 0.95),
    "stuck": ("#56B4E9", "s", 0.87),
    "crossing": ("#E69F00", "^", 0.05),
    "gap": ("#777777", "|", 0.05),
    "clock": ("#000000", "x", 0.05),
}
_LASTING = ("anomaly", "drift", "stuck")


class Album:
    """Writes one picture for each target: to `path`, or to numbered files beside it for several.

    `OUT.png` becomes `OUT-1.png`, `OUT-2.png` and so on; what each shows is told on stderr.
    """

    def __init__(self, path: Path, targets: int) -> None:
        self._path, self._targets, self._drawn = path, targets, 0

    def add(self, plays: Sequence[Played], found: Sequence[Episode]) -> None:
        """Draw all targets of one stream, whose events are `found`. Raises as `draw`."""
        for played in plays:
            for m, name in enumerate(played.words.targets):
                self._drawn += 1
                if self._drawn <= MOST_PICTURES:
                    draw(self._numbered(), played, m, found)
                    click.echo(f"{self._numbered()}: {played.words.stream} {name}", err=True)

    def close(self) -> None:
        """Tell how many targets were left out."""
        if self._drawn > MOST_PICTURES:
            more = self._drawn - MOST_PICTURES
            click.echo(f"{more} more targets have no picture: name some with --target", err=True)

    def _numbered(self) -> Path:
        if self._targets == 1:
            return self._path
        return self._path.with_name(f"{self._path.stem}-{self._drawn}{self._path.suffix}")


def draw(path: Path, played: Played, m: int, found: Sequence[Episode]) -> None:
    """Draw target m and write the picture to `path`, in the format that its ending names.

    Shown are the whole series with its events `found`, its latest part with the forecasts of each
    horizon as they were made so far ahead, and over time the mean absolute error beside that of
    persistence, the skill and the coverage. Raises `InputUnavailable` for a file that cannot be
    written.
    """
    try:
        Picture(played, m, found).figure.savefig(path, dpi=150)
    except OSError as error:
        problem = f"cannot write {path}: {error.strerror}; name another file for --plot"
        raise InputUnavailable(problem) from None


class Picture:
    """One target's page; `figure` is what matplotlib writes to a file."""

    def __init__(self, played: Played, m: int, found: Sequence[Episode]) -> None:
        self.figure = Figure(figsize=A4, layout="constrained")
        self._played, self._m = played, m
        self._name = played.words.targets[m]
        self._found = [one for one in found if one.target in (None, self._name)]
        self._x = self._along(moments(played, played.at))
        self._y = played.y[:, m]
        self._compose(chosen(len(played.words.horizons)))

    def _compose(self, horizons: list[int]) -> None:
        self.figure.suptitle(self._title(len(horizons)), fontsize=11)
        grid = self.figure.add_gridspec(len(horizons) + 2, 2, width_ratios=[2, 1])
        self._draw_whole(self.figure.add_subplot(grid[0, :]))
        skill = self.figure.add_subplot(grid[-1, 0])
        coverage = self.figure.add_subplot(grid[-1, 1])
        for row, k in enumerate(horizons):
            went, look = course(self._played, k, self._m), _LOOKS[row]
            self._draw_latest(self.figure.add_subplot(grid[1 + row, 0]), k, went, look[0])
            self._draw_error(self.figure.add_subplot(grid[1 + row, 1]), went, look[0])
            self._draw_over_time(skill, went, went.skill, self._ahead(k), look)
            self._draw_over_time(coverage, went, went.mean(went.inside), self._ahead(k), look)
        self._finish_skill(skill)
        self._finish_coverage(coverage)

    def _draw_whole(self, axes: Axes) -> None:
        at, y = envelope(self._y)
        axes.plot(*broken(self._x[at], y), color=_DATA, linewidth=0.8)
        _between(axes, self._x.min(), self._x.max())
        self._mark(axes)
        _legend(axes)
        self._dress(axes, "the whole recording, and its events", self._unit())

    def _draw_latest(self, axes: Axes, k: int, went: Course, colour: str) -> None:
        first, end = self._latest()
        measured, due = self._x[first:], self._along(went.moment)
        here = (due >= measured.min()) & (due <= end)
        here[: max(0, 2 * first - len(due))] = False  # before the clock was set back
        x, band = broken(due[here], went.band[here])
        axes.plot(*broken(measured, self._y[first:]), color=_DATA, linewidth=0.8)
        axes.fill_between(x, band[:, LOWER], band[:, UPPER], color=colour, alpha=0.25, linewidth=0)
        axes.plot(x, band[:, YHAT], color=colour, linewidth=1.2)
        _between(axes, measured.min(), max(measured.max(), end))
        self._mark(axes)
        level = f"{100 * self._played.words.level:.4g} %"
        title = f"latest part: measured (black), forecast {self._ahead(k)} before, {level} band"
        self._dress(axes, title, self._unit())

    def _draw_error(self, axes: Axes, went: Course, colour: str) -> None:
        self._draw_over_time(axes, went, went.mean(went.naive), "persistence", (_NAIVE, ":"))
        self._draw_over_time(axes, went, went.mean(went.error), "ours", (colour, "-"))
        axes.set_ylim(bottom=0.0)
        _legend(axes)
        self._dress(axes, f"running MAE of {went.window} forecasts")

    def _draw_over_time(
        self, axes: Axes, went: Course, values: Array, label: str, look: tuple[str, str]
    ) -> None:
        at = np.unique(np.linspace(0, max(len(values) - 1, 0), POINTS).astype(int))[: len(values)]
        x, y = broken(self._along(went.ends)[at], values[at])
        _between(axes, self._x.min(), self._x.max())
        axes.plot(x, y, color=look[0], linestyle=look[1], linewidth=1.2, label=label)

    def _finish_skill(self, axes: Axes) -> None:
        axes.axhline(0.0, color=_NAIVE, linewidth=0.8)
        low, high = axes.get_ylim()
        axes.set_ylim(max(-1.0, low), min(max(0.25, high), 1.0))
        _legend(axes)
        self._dress(axes, "skill: 1 - error / error of persistence, at each horizon")

    def _finish_coverage(self, axes: Axes) -> None:
        level = self._played.words.level
        axes.axhline(level, color=_NAIVE, linewidth=0.8)
        axes.set_ylim(min(axes.get_ylim()[0], max(0.0, 2.0 * level - 1.0)), 1.0)
        self._dress(axes, f"share of values in the band, to be {100 * level:.4g} %")

    def _mark(self, axes: Axes) -> None:
        """Mark the events where they began, each kind by its own sign, and how long they lasted."""
        limits, across = axes.get_xlim(), axes.get_xaxis_transform()
        self._make_room(axes)
        for kind, (colour, sign, height) in _MARKS.items():
            spans = [self._span(one) for one in self._found if one.type == kind]
            for span in spans if kind in _LASTING else ():
                axes.axvspan(*span, color=colour, alpha=0.2, linewidth=0)
            if spans:
                x, y = [first for first, _ in spans], [height] * len(spans)
                axes.plot(x, y, sign, color=colour, markersize=4, transform=across, label=kind)
        axes.set_xlim(*limits)

    def _make_room(self, axes: Axes) -> None:
        """Let no curve run where the marks are: above it, below it, or both."""
        heights = [_MARKS[one.type][2] for one in self._found if one.type in _MARKS]
        low, high = axes.get_ylim()
        above, below = any(h > 0.5 for h in heights), any(h < 0.5 for h in heights)
        axes.set_ylim(low - 0.12 * below * (high - low), high + 0.2 * above * (high - low))

    def _span(self, one: Episode) -> tuple[Any, Any]:
        last = len(self._x) - 1
        return self._x[min(one.start, last)], self._x[last if one.end is None else one.end]

    def _latest(self) -> tuple[int, Any]:
        """Return the first record of the latest part, and the moment at which it ends."""
        least, most = LATEST
        furthest, every = self._played.words.horizons[-1], self._played.every
        records = int(min(max(4 * furthest / every, least), most))
        beyond = min(furthest, records * every / 4)
        end = moments(self._played, self._played.at[-1:] + beyond)
        return max(0, len(self._x) - records), self._along(end)[0]

    def _along(self, at: Array) -> Array:
        """Return moments as matplotlib takes them: dates where there is a clock."""
        if self._played.times is None:
            return at
        return np.round(at * 1e6).astype("datetime64[us]")

    def _dress(self, axes: Axes, title: str, unit: str = "") -> None:
        axes.set_title(title, fontsize=8, loc="left", pad=3)
        axes.set_ylabel(unit, fontsize=8)
        axes.tick_params(labelsize=7)
        axes.margins(x=0)
        axes.ticklabel_format(axis="y", useOffset=False)
        axes.spines[["top", "right"]].set_visible(False)
        if self._played.times is not None:
            locator = AutoDateLocator(minticks=3)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
            axes.xaxis.get_offset_text().set_fontsize(7)

    def _title(self, shown: int) -> str:
        words = self._played.words
        several = len(words.horizons)
        part = f", {shown} of {several} horizons" if shown < several else ""
        return f"{words.stream}: {self._name}{part}"

    def _unit(self) -> str:
        return self._played.words.units[self._m]

    def _ahead(self, k: int) -> str:
        h, clock = self._played.words.horizons[k], self._played.words.clock
        return "1 sample" if (h, clock) == (1, "samples") else ahead(h, clock)


def _between(axes: Axes, first: Any, last: Any) -> None:
    """Show what lies between two moments; a single one is no range to show."""
    if first < last:
        axes.set_xlim(first, last)


def _legend(axes: Axes) -> None:
    """Explain the lines, where there are any, in the row of the title: it must hide nothing."""
    lines, labels = axes.get_legend_handles_labels()
    if lines:
        place: dict[str, Any] = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.98)}
        axes.legend(lines, labels, fontsize=7, ncols=len(lines), frameon=False, **place)


def chosen(horizons: int) -> list[int]:
    """Return which horizons are drawn: all, or some from the first to the last.

    >>> chosen(3), chosen(9)
    ([0, 1, 2], [0, 2, 5, 8])
    """
    shown = np.linspace(0, horizons - 1, min(horizons, MOST_HORIZONS))
    return [int(k) for k in shown]


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
