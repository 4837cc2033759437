"""Pictures of a reservoir and of its forecasts, for matplotlib: the extra `plot`.

Each function returns a `matplotlib.figure.Figure`, to be saved as PNG, SVG or PDF; pyplot is not
touched. The reservoir's take plain arrays, so that they show any echo state network, and its
matrix and spectrum a `Forecaster`, too; the forecasts' take what `play` returns, because a
forecaster keeps no past.

>>> import numpy as np
>>> from streamlnn import Forecaster, plot
>>> model = Forecaster([1, 12])
>>> played = plot.play(model, np.sin(np.arange(300) / 5))
>>> picture = plot.states(played.states, values=played.y[:, 0])
>>> picture = plot.connectivity(model)
>>> picture = plot.spectrum(model)
>>> picture = plot.weights(model.readout_weights(), [1, 12])
>>> picture = plot.forecast(played)
>>> picture = plot.scores(played)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from streamlnn.evaluation.episodes import episodes
from streamlnn.evaluation.played import Played, walk
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.messages import Speaker
from streamlnn.plot import course, fan, reservoir
from streamlnn.plot.activity import states
from streamlnn.plot.reservoir import weights

__all__ = ["connectivity", "forecast", "play", "scores", "spectrum", "states", "weights"]


def connectivity(W: ArrayLike | Forecaster, *, title: str = "connectivity matrix") -> Figure:  # noqa: N803
    """Return a picture of a forecaster's connections, or of any: see `reservoir.connectivity`."""
    return reservoir.connectivity(_links(W), title=title)


def spectrum(W: ArrayLike | Forecaster, *, title: str = "spectrum") -> Figure:  # noqa: N803
    """Return a picture of the eigenvalues of a forecaster, or of any: see `reservoir.spectrum`."""
    return reservoir.spectrum(_links(W), title=title)


def play(
    model: Forecaster,
    values: ArrayLike,
    times: ArrayLike | None = None,
    *,
    name: str = "stream",
    targets: Sequence[str] = (),
) -> Played:
    """Step `model` through a recording, and return all that the pictures show of it.

    `values` (n,) or (n, fields) with NaN where missing, `times` (n,) float seconds or None; `name`
    and `targets` are what the pictures call the stream and its targets. The model learns from it as
    from `step`, and costs the same. Raises `ValueError` and `TypeError` as that does.
    """
    told = model.settings
    rows = np.asarray(values, float)
    rows = np.where(np.isfinite(rows), rows, np.nan)  # as the model takes them
    rows = rows[:, None] if rows.ndim == 1 else rows
    columns = list(range(told["fields"])) if told["targets"] is None else told["targets"]
    horizons, seasons = told["horizons"], told["seasons"]
    words = Speaker(
        instance="",
        stream=name,
        epoch=0,
        clock="time" if isinstance(horizons[0], str) else "samples",
        horizons=[_length(h) for h in horizons],
        targets=list(targets) or _names(columns),
        units=[""] * len(columns),
        level=told["level"],
    )
    return walk(
        model,
        words,
        None if times is None else np.asarray(times, float),
        rows,
        columns=columns,
        every=told["every"],
        season=_length(seasons[0]) if seasons else None,
        states=True,
    )


def forecast(played: Played, target: int | str = 0) -> Figure:
    """Return a picture of the newest forecast at all horizons, and of earlier ones: see `fan`.

    `target` is its number or its name. Raises `ValueError` for one that there is not, and
    `TypeError` for anything but what `play` returns.
    """
    return fan.fan(played, _target(played, target), episodes([played]))


def scores(played: Played, target: int | str = 0) -> Figure:
    """Return a picture of how well one target was forecast over time, beside persistence.

    Takes and raises the same as `forecast`.
    """
    return course.scores(played, _target(played, target), episodes([played]))


def _links(W: ArrayLike | Forecaster) -> ArrayLike:  # noqa: N803
    return W.connectivity if isinstance(W, Forecaster) else W


def _target(played: Played, target: int | str) -> int:
    """Return a target's number."""
    if not isinstance(played, Played):
        raise TypeError(
            f"a {type(played).__name__} keeps no past to be drawn: pass what "
            "plot.play(model, values) returns"
        )
    known = list(played.words.targets)
    if isinstance(target, str) and target in known:
        return known.index(target)
    if not isinstance(target, str) and 0 <= target < len(known):
        return target
    listed = ", ".join(f"{m} ({name})" for m, name in enumerate(known))
    raise ValueError(f"there is no target {target!r}; there are {listed}")


def _length(value: int | str) -> float:
    return parse_duration(value) if isinstance(value, str) else float(value)


def _names(columns: Sequence[int]) -> list[str]:
    return ["value"] if len(columns) == 1 else [f"field {column}" for column in columns]
