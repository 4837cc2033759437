"""What all tables share: recordings as arrays, the scoring protocol, Markdown, options.

The protocol is prequential: one pass in order, and a forecast of h samples ahead that was issued
at t is scored against y[t + h], never learned from before t + h. Forecasts have the shape
(n, horizons): row t is what was believed at t.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SKIP = 500
"""Targets with a lower index are learned from, not scored."""

_TIMES = ("date", "datetime", "time", "timestamp")
_AMERICAN = "%m/%d/%Y %H:%M"
_TRUTH = {"TRUE": 1.0, "FALSE": 0.0}


@dataclass(frozen=True, slots=True)
class Recording:
    """One recorded stream: `time` (n,) seconds, or None, and `values` (n, fields), NaN missing."""

    time: Array | None
    values: Array
    names: tuple[str, ...]

    def column(self, name: str) -> Array:
        """Return one field, (n,). Raises `ValueError` for a name that is none.

        >>> Recording(None, np.array([[1.0, 2.0], [3.0, 4.0]]), ("a", "b")).column("b")
        array([2., 4.])
        """
        return np.ascontiguousarray(self.values[:, self.names.index(name)])

    def head(self, n: int | None) -> Recording:
        """Return the first `n` records; all of them for None."""
        time = None if self.time is None else self.time[:n]
        return Recording(time, self.values[:n], self.names)

    def where(self, kept: Array) -> Recording:
        """Return the records that `kept` (n,) says yes to."""
        time = None if self.time is None else self.time[kept]
        return Recording(time, self.values[kept], self.names)


def read(name: str, folder: Path) -> Recording:
    """Return the recording `name` (as in the folder's README, without .gz) of `folder`.

    Every column of numbers is a field. Raises `OSError` when there is no such file.
    """
    with gzip.open(folder / f"{name}.gz", "rt", encoding="utf-8") as file:
        text = file.read()
    if name.endswith(".ndjson"):
        return _messages(text)
    if name == "well_log.txt":
        return Recording(None, np.array(text.split(), np.float64)[:, None], ("value",))
    return _table(text)


def joined(recordings: Sequence[Recording]) -> Recording:
    """Return recordings of the same fields, one after the other, as one."""
    times = [one.time for one in recordings if one.time is not None]
    time = np.concatenate(times) if len(times) == len(recordings) else None
    values = np.concatenate([one.values for one in recordings])
    return Recording(time, values, recordings[0].names)


def without_repeats(recording: Recording, name: str) -> Recording:
    """Return the recording without records whose field `name` is that of the record before."""
    column = recording.column(name)
    return recording.where(np.append(True, column[1:] != column[:-1]))


def _table(text: str) -> Recording:
    header, *rows = csv.reader(StringIO(text), delimiter=";" if ";" in text[:200] else ",")
    # A file that was cut in the middle of a row ends in a row that never came; rows may begin
    # with a number of their own that the header does not name.
    whole = [row[len(row) - len(header) :] for row in rows if len(row) >= len(header)]
    time_at = next(i for i, name in enumerate(header) if name.lower() in _TIMES)
    time = np.array([_seconds(row[time_at]) for row in whole])
    columns = [_numbers([row[i] for row in whole]) for i in range(len(header))]
    kept = [i for i, column in enumerate(columns) if i != time_at and column is not None]
    values = np.stack([columns[i] for i in kept], axis=1)  # type: ignore[misc]
    return Recording(time, values, tuple(header[i] for i in kept))


def _numbers(cells: list[str]) -> Array | None:
    try:
        return np.array([_TRUTH[c] if c in _TRUTH else float(c) for c in cells])
    except ValueError:
        return None


def _seconds(text: str) -> float:
    american = "/" in text
    when = datetime.strptime(text, _AMERICAN) if american else datetime.fromisoformat(text)
    return when.replace(tzinfo=UTC).timestamp()


def _messages(text: str) -> Recording:
    """Return the LoRaWAN uplinks: when the network heard them, their counter, their payload."""
    heard = [json.loads(line) for line in text.splitlines()]
    payloads = [((one.get("decoded") or {}).get("payload") or {}) for one in heard]
    names = tuple(key for key, value in payloads[0].items() if isinstance(value, int | float))
    values = [
        [one["fcnt"], *(_number(payload.get(name)) for name in names)]
        for one, payload in zip(heard, payloads, strict=True)
    ]
    time = np.array([one["reported_at"] for one in heard]) / 1000.0
    return Recording(time, np.array(values, np.float64), ("fcnt", *names))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def paired(y: Array, answers: Sequence[Array], h: int, skip: int = SKIP) -> tuple[Array, Array]:
    """Return what came, (cells,), and what each of `answers` had said of it, (answers, cells).

    `answers` are (n,) each: element t is the forecast issued at t of y[t + h]. A cell is a target
    with index >= `skip` that is known and that every one of the answers had a number for.

    >>> y = np.arange(5.0)
    >>> paired(y, [y, np.array([np.nan, 9.0, 9.0, 9.0, 9.0])], h=2, skip=0)
    (array([3., 4.]), array([[1., 2.],
           [9., 9.]]))
    """
    due = np.arange(max(skip, h), y.size)
    issued = np.stack([answer[due - h] for answer in answers])
    cells = np.isfinite(y[due]) & np.isfinite(issued).all(axis=0)
    return y[due][cells], issued[:, cells]


def mae(actual: Array, issued: Array) -> Array:
    """Return the mean absolute errors, one for each row of `issued` (answers, cells)."""
    return np.asarray(np.abs(issued - actual).mean(axis=-1))


def mse(actual: Array, issued: Array) -> Array:
    """Return the mean squared errors; of a 0/1 target and probabilities, the Brier score."""
    return np.asarray(((issued - actual) ** 2).mean(axis=-1))


def rmse(actual: Array, issued: Array) -> Array:
    """Return the root mean squared errors."""
    return np.sqrt(mse(actual, issued))


def nrmse(actual: Array, issued: Array) -> Array:
    """Return the root mean squared errors in standard deviations of what came."""
    return np.asarray(rmse(actual, issued) / actual.std())


def geometric_mean(numbers: Iterable[float]) -> float:
    """Return the geometric mean of the positive finite ones among `numbers`.

    >>> round(geometric_mean([1.0, 4.0, float("nan")]), 6)
    2.0
    """
    array = np.array(list(numbers))
    usable = array[np.isfinite(array) & (array > 0.0)]
    return float(np.exp(np.log(usable).mean())) if usable.size else float("nan")


def figure(number: float, digits: int = 3) -> str:
    """Return a number to so many significant digits; a dash for none.

    >>> figure(0.012345), figure(12345.6), figure(float("nan"))
    ('0.0123', '12346', '-')
    """
    if not np.isfinite(number):
        return "-" if np.isnan(number) else str(number)
    if number and abs(number) >= 10.0**digits:
        return f"{number:.0f}"
    return f"{number:#.{digits}g}".rstrip(".")


def best_in_bold(numbers: Sequence[float], digits: int = 3) -> list[str]:
    """Return the figures, the lowest of them in bold.

    >>> best_in_bold([2.0, 1.5, float("nan")])
    ['2.00', '**1.50**', '-']
    """
    finite = [n for n in numbers if np.isfinite(n)]
    lowest = figure(min(finite), digits) if finite else None
    told = [figure(n, digits) for n in numbers]
    return [f"**{one}**" if one == lowest else one for one in told]


def markdown(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table, its columns aligned; all but the first are set to the right.

    >>> print(markdown(["series", "h"], [["a", 1], ["bc", 12]]))
    | series |  h |
    |--------|---:|
    | a      |  1 |
    | bc     | 12 |
    """
    cells = [list(map(str, header)), *(list(map(str, row)) for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    rule = ["-" * (width + 2 - (i > 0)) + ":" * (i > 0) for i, width in enumerate(widths)]
    return "\n".join([lines[0], f"|{'|'.join(rule)}|", *lines[1:]])


def _line(row: list[str], widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"


def _folder(_context: click.Context, _option: click.Parameter, given: Path | None) -> Path:
    folder = given or os.environ.get("STREAMLNN_DATA")
    if folder is None:
        raise click.UsageError(
            "where are the recordings? Give their folder as --data, or as STREAMLNN_DATA"
        )
    return Path(folder)


data_option: Callable[[Any], Any] = click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    callback=_folder,
    help="Folder of the recordings; else the environment variable STREAMLNN_DATA names it.",
)
"""The option `--data`, given as a `Path` that is there."""

quick_option: Callable[[Any], Any] = click.option(
    "--quick", is_flag=True, help="Take a short prefix of everything: a look, no result."
)
"""The option `--quick`."""
