"""How well a recording is forecast, beside the simple methods: what `streamlnn eval` prints.

Prequential: one pass in order, every forecast is made before its target is learned from. Horizons
are in samples. A cell is one target value with index >= `skip`; every method is scored on the
same cells, those where the target is known and every method has an answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlnn.daemon import baselines
from streamlnn.model.forecaster import Forecaster

Array = NDArray[Any]
Bands = tuple[Array, Array, Array]
"""yhat, yhat_lower and yhat_upper of one target, each (n, horizons)."""

_ROOM = 10_000


@dataclass(frozen=True, slots=True)
class Row:
    """The scores of one target of one stream at one horizon `h`, over `n` cells.

    `mase` is our mean absolute error over that of persistence at the same horizon; `coverage` is
    the share of values inside the band, which is to hold `level` of them, and `width` the band's
    mean width, in the target's unit. What does not apply is NaN.
    """

    stream: str
    target: str
    h: int
    n: int
    mae: float
    rmse: float
    mase: float
    coverage: float
    width: float
    mae_persistence: float
    mae_seasonal: float
    mae_ar: float
    level: float = 0.9


def evaluate(
    times: Array | None,
    values: Array,
    names: Sequence[str],
    *,
    stream: str,
    horizons: Sequence[int] = (1, 12, 48),
    targets: Sequence[str] | None = None,
    inputs: Sequence[str] | None = None,
    seasons: Sequence[int] = (),
    level: float = 0.9,
    model: Mapping[str, Any] = MappingProxyType({}),
    skip: int = 500,
) -> list[Row]:
    """Score our forecaster and the simple methods on one recorded stream.

    `times` (n,) are seconds or None; `values` (n, fields), NaN where missing, with `names` for
    the fields. Without `targets` all fields are forecast together, from one another; each of
    `targets` is forecast from itself, and from the fields named in `inputs`. `seasons`, in samples,
    are told to our forecaster, and the first of them to the seasonal naive method, which says what
    persistence says until it has seen a season. `level` and `model` (`units`, `every`, ...) are
    further arguments of `Forecaster`. Raises `ValueError` for a name that is no field, with the
    nearest.
    """
    lengths, season = sorted(set(horizons)), next(iter(seasons), None)
    told = {**model, "horizons": lengths, "seasons": list(seasons), "level": level}
    rows = []
    for name, bands in _forecasts(times, values, list(names), targets, inputs, told):
        y = values[:, list(names).index(name)]
        rows += _rows(stream, name, y, lengths, bands, season, skip)
    return [replace(row, level=level) for row in rows]


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table to print: the best mean absolute error of each row stands out."""
    made = Table(title="Mean absolute error; the best of each row is marked with *")
    made.add_column("stream")
    made.add_column("target")
    for column in ("h", "cells", "ours", "persistence", "seasonal", "AR(24)"):
        made.add_column(column, justify="right")
    for column in ("RMSE", "MASE", "coverage", "width"):
        made.add_column(column, justify="right")
    for row in rows:
        made.add_row(*_cells(row))
    return made


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the table of `rows` to stdout, or to `console`.

    In a box where a terminal has the room for it, else as plain columns. No figure is ever cut.
    """
    console, made = console or Console(), table(rows)
    if not console.is_terminal or _width(console, made) > console.width:
        made.box, made.pad_edge, made.title_justify = None, False, "left"
        console.width = _width(console, made)
    console.print(made)


def _width(console: Console, made: Table) -> int:
    """Return the columns that the table takes where there is room for it."""
    return console.measure(made, options=console.options.update(max_width=_ROOM)).maximum


def _forecasts(
    times: Array | None,
    values: Array,
    names: list[str],
    targets: Sequence[str] | None,
    inputs: Sequence[str] | None,
    told: Mapping[str, Any],
) -> list[tuple[str, Bands]]:
    """Return every target's name with our forecasts of it."""
    if targets is None:
        bands = _replayed(times, values, None, told)
        return [(name, _of_target(bands, k)) for k, name in enumerate(names)]
    found = []
    for name in targets:
        others = [other for other in inputs or () if other != name]
        columns = [_index(names, column) for column in (name, *others)]
        bands = _replayed(times, values[:, columns], [0], told)
        found.append((name, _of_target(bands, 0)))
    return found


def _replayed(
    times: Array | None, values: Array, targets: list[int] | None, told: Mapping[str, Any]
) -> Bands:
    model = Forecaster(**told, fields=values.shape[1], targets=targets)
    replay = model.replay(times, values)
    return replay.yhat, replay.yhat_lower, replay.yhat_upper


def _of_target(bands: Bands, k: int) -> Bands:
    yhat, lower, upper = (band if band.ndim == 2 else band[:, :, k] for band in bands)
    return yhat, lower, upper


def _index(names: list[str], name: str) -> int:
    if name in names:
        return names.index(name)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"no field is called {name!r}{hint} (fields: {', '.join(names)})")


def _rows(
    stream: str,
    name: str,
    y: Array,
    horizons: list[int],
    bands: Bands,
    season: int | None,
    skip: int,
) -> list[Row]:
    answers = [
        bands[0],
        baselines.persistence(y, horizons),
        baselines.seasonal_naive(y, horizons, season),
        baselines.autoregression(y, horizons),
    ]
    return [
        _row(stream, name, h, y, [a[:, k] for a in (*answers, bands[1], bands[2])], season, skip)
        for k, h in enumerate(horizons)
    ]


def _row(
    stream: str,
    name: str,
    h: int,
    y: Array,
    answers: list[Array],
    season: int | None,
    skip: int,
) -> Row:
    """Score one horizon; `answers` are ours, persistence, seasonal, AR, lower and upper, (n,)."""
    due = np.arange(max(skip, h), y.size)
    issued = np.stack([answer[due - h] for answer in answers])
    cells = np.isfinite(y[due]) & np.isfinite(issued).all(axis=0)
    actual, (ours, last, seasonal, ar, lower, upper) = y[due][cells], issued[:, cells]
    mae, naive = _mean(np.abs(actual - ours)), _mean(np.abs(actual - last))
    return Row(
        stream,
        name,
        h,
        n=int(cells.sum()),
        mae=mae,
        rmse=float(np.sqrt(_mean((actual - ours) ** 2))),
        mase=mae / naive if naive > 0.0 else float("nan"),
        coverage=_mean((lower <= actual) & (actual <= upper)),
        width=_mean(upper - lower),
        mae_persistence=naive,
        mae_seasonal=float("nan") if season is None else _mean(np.abs(actual - seasonal)),
        mae_ar=_mean(np.abs(actual - ar)),
    )


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def _cells(row: Row) -> list[Text]:
    errors = [row.mae, row.mae_persistence, row.mae_seasonal, row.mae_ar]
    best = min((e for e in errors if e == e), default=float("nan"))
    marked = [Text(f"{_number(e)} *", "bold green") if e == best else _text(e) for e in errors]
    held = Text(f"{row.coverage:.1%} of {100 * row.level:.4g}%")
    rest = [_text(row.rmse), _text(row.mase), held, _text(row.width)]
    names = [Text(row.stream), Text(row.target), Text(str(row.h)), Text(str(row.n))]
    return [*names, *marked, *rest]


def _text(number: float) -> Text:
    return Text(f"{_number(number)}  " if number == number else "-  ")


def _number(number: float) -> str:
    return f"{number:.4g}"
