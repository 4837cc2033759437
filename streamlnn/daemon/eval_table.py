"""The scores as a table for people: in a box where there is room, else as plain columns."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlnn.evaluation.scores import Row
from streamlnn.model.units import ahead

_ROOM = 10_000


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table to print: the best mean absolute error of each row stands out."""
    made = Table(title="Mean absolute error; the best of each row is marked with *")
    made.add_column("stream")
    made.add_column("target")
    for column in ("h", "cells", "ours", "persistence", "seasonal", "AR(24)"):
        made.add_column(column, justify="right")
    for column in ("RMSE", "MASE", "coverage", "width", "Winkler"):
        made.add_column(column, justify="right")
    for row in rows:
        made.add_row(*_cells(row))
    return made


def print_table(rows: Sequence[Row], console: Console | None = None) -> None:
    """Print the table of `rows` to stdout, or to `console`.

    In a box where a terminal has the room for it, else as plain columns. No figure is ever cut.
    """
    print_whole(table(rows), console or Console())


def print_whole(made: Table, console: Console) -> None:
    """Print a table without ever cutting a cell; plain columns where there is no room for a box."""
    if not console.is_terminal or _width(console, made) > console.width:
        made.box, made.pad_edge, made.title_justify = None, False, "left"
        console.width = max(console.width, _width(console, made))
    if console.is_terminal:
        console.print(made)
    else:
        console.print(_plain(made), highlight=False, markup=False, soft_wrap=True)


def _plain(made: Table) -> str:
    """Return the table as text, without the blanks that fill its lines up."""
    paper = Console(file=io.StringIO(), width=_ROOM)
    with paper.capture() as captured:
        paper.print(made)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _width(console: Console, made: Table) -> int:
    """Return the columns that the table takes where there is room for it."""
    return console.measure(made, options=console.options.update(max_width=_ROOM)).maximum


def _cells(row: Row) -> list[Text]:
    errors = [row.mae, row.mae_persistence, row.mae_seasonal, row.mae_ar]
    best = min((e for e in errors if e == e), default=float("nan"))
    marked = [Text(f"{_number(e)} *", "bold green") if e == best else _text(e) for e in errors]
    held = Text(f"{row.coverage:.1%} of {100 * row.level:.4g}%")
    rest = [_text(row.rmse), _text(row.mase), held, _text(row.width), _text(row.winkler)]
    names = [Text(row.stream), Text(row.target), Text(_horizon(row)), Text(str(row.n))]
    return [*names, *marked, *rest]


def _horizon(row: Row) -> str:
    return ahead(row.h, row.clock) if row.clock == "time" else f"{row.h:g}"


def _text(number: float) -> Text:
    return Text(f"{_number(number)}  " if number == number else "-  ")


def _number(number: float) -> str:
    return f"{number:.4g}"
