"""All streams as one table that fits the terminal, with what is known of the daemon above it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamlnn.daemon import board
from streamlnn.daemon.logs import printable
from streamlnn.daemon.overview import LATEST, Facts, Overview, Standing

WITH_SKILL = 44
"""Columns of a terminal from which on scores and skills are shown."""
LEAST_SPARK, LEAST_NAME = 8, 8

Column = tuple[int, Literal["left", "right"]]
_GAP = 2
_BLOCKS = "▁▂▃▄▅▆▇█"
_STYLES = {"ANOMALY": "bold red", "stale": "magenta"} | board.STYLES


@dataclass(frozen=True, slots=True)
class Page:
    """What there is to draw on: columns and lines (None: no end), and whether blocks are known."""

    width: int
    height: int | None = None
    blocks: bool = True


def sheet(
    standings: Sequence[Standing], overview: Overview, facts: Facts, rate: float | None, page: Page
) -> Group:
    """Return as many of `standings` as there is room for, then as many of the latest events."""
    room = len(standings) if page.height is None else max(2, page.height - 3)
    shown, below = standings, [*_events(overview, room - len(standings))]
    if len(standings) > room:
        shown = standings[: room - 1]
        below = [_line(f"and {len(standings) - len(shown)} more", "dim")]
    return Group(*_head(standings, facts, rate), _table(shown, overview, page), *below)


def sparkline(values: Sequence[float | None], width: int) -> str:
    """Return the last `width` values as blocks, from the least to the most; a gap is blank.

    >>> sparkline([1.0, 2.0, None, 3.0], 8)
    '▁▄ █'
    """
    # Halves, because the largest number less the least may be more than a float holds.
    last = [math.nan if one is None else one / 2 for one in values][-width:]
    known = [one for one in last if math.isfinite(one)]
    low = min(known, default=0.0)
    span = max(known, default=0.0) - low
    return "".join(
        " " if not math.isfinite(one) else _BLOCKS[int(7 * ((one - low) / span)) if span else 3]
        for one in last
    )


def _head(
    standings: Sequence[Standing], facts: Facts, rate: float | None
) -> Iterator[RenderableType]:
    first = Text(f"streamlnn {facts.name}", style="bold", no_wrap=True, overflow="ellipsis")
    first.append(f"  {_counts(standings, rate)}  {facts.version}", style="not bold")
    yield first
    troubles = "; ".join(facts.troubles)
    yield _line(troubles, "yellow") if troubles else _line("ready", "green")


def _counts(standings: Sequence[Standing], rate: float | None) -> str:
    odd = sum(one.anomaly for one in standings)
    stale = sum(one.stale for one in standings)
    told = [f"{len(standings)} stream{'s' * (len(standings) != 1)}"]
    told += [f"{odd} odd"] * bool(odd) + [f"{stale} stale"] * bool(stale)
    told += [] if rate is None else [f"{rate:.4g} records/s"]
    return ", ".join(told)


def _table(shown: Sequence[Standing], overview: Overview, page: Page) -> Table:
    widths = _widths(shown, page)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for head, (width, side) in widths.items():
        table.add_column(head, width=width, justify=side, no_wrap=True)
    for one in shown:
        cells = {
            "stream": Text(_end(printable(one.stream), widths["stream"][0])),
            "value": Text(_value(one)),
            "score": Text(_signed(one.score, "")),
            "skill": Text(_signed(one.skill, "+")),
            "status": Text(one.badge, style=_STYLES.get(one.badge, "")),
        }
        if "latest" in widths:
            values = [*overview.values[one.stream]]
            cells["latest"] = Text(sparkline(values, widths["latest"][0]), style="cyan")
        table.add_row(*(cells[head] for head in widths))
    return table


def _widths(shown: Sequence[Standing], page: Page) -> dict[str, Column]:
    """Return width and side of every column there is room for; the name comes first of all."""
    value = max([5, *(len(_value(one)) for one in shown)])
    name = max([6, *(len(printable(one.stream)) for one in shown)])
    middle: dict[str, Column] = {"value": (value, "right")}
    right: dict[str, Column] = {"status": (8, "left")}
    if page.width >= WITH_SKILL:
        right = {"score": (5, "right"), "skill": (5, "right"), **right}
    room = page.width - _taken(right)
    if room - _taken(middle) < LEAST_NAME:
        middle = {}
    room -= _taken(middle)
    if middle and page.blocks and room >= LEAST_NAME + LEAST_SPARK + _GAP:
        name = min(name, room - LEAST_SPARK - _GAP)
        middle["latest"] = (min(LATEST, room - name - _GAP), "left")
    return {"stream": (max(1, min(name, room)), "left"), **middle, **right}


def _taken(columns: Mapping[str, Column]) -> int:
    return sum(width + _GAP for width, _ in columns.values())


def _value(one: Standing) -> str:
    told = (board.number(one.y, one.band), printable(one.unit), printable(one.field))
    return " ".join(part for part in told if part)


def _signed(number: float | None, sign: Literal["+", ""]) -> str:
    is_known = number is not None and math.isfinite(number)
    return f"{number:{sign}.2f}" if is_known else "-"


def _end(name: str, width: int) -> str:
    """Return the end of a name that is too long: there streams differ."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _events(overview: Overview, room: int) -> Iterator[Text]:
    for event in [*overview.events][-room:] if room > 0 else []:
        yield _line(printable(board.event_line(event)))


def _line(text: str, style: str = "") -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")
