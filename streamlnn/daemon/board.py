"""The newest forecast of every stream as a table, and as plain lines where there is no terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from rich.console import Group
from rich.table import Table
from rich.text import Text

from streamlnn.model.units import ahead
from streamlnn.pipeline.messages import (
    EventMessage,
    ForecastMessage,
    HorizonForecast,
    TargetForecast,
)

COLUMNS = ("stream", "value", "in", "forecast", "band", "coverage", "skill", "status")
WIDE = 100
"""Columns of a terminal from which on nothing is left out."""

MOST_DIGITS = 12
STYLES = {"warming": "dim", "ok": "green", "drifting": "yellow"}


def screen(
    forecasts: Iterable[ForecastMessage], events: Sequence[EventMessage], width: int, height: int
) -> Group:
    """Return the table and, below it, as many of the latest events as the terminal has room for."""
    shown = table(forecasts, width)
    room = max(0, height - shown.row_count - 2)  # its heads, and the line of the cursor
    lines = [event_line(event) for event in events[len(events) - min(room, len(events)) :]]
    return Group(shown, *(Text(line, no_wrap=True, overflow="ellipsis") for line in lines))


def table(forecasts: Iterable[ForecastMessage], width: int = WIDE) -> Table:
    """Return a table with one line per stream, target and horizon; it fits into 80 columns.

    `coverage` is the recent share of values inside the band, `skill` is 1 - MAE / MAE of
    persistence. Where the terminal is narrow, the coverage and a second word of status are left
    out.
    """
    narrow = width < WIDE
    shown = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 1, 0, not narrow))
    for column in COLUMNS:
        if not (narrow and column == "coverage"):
            side: Literal["left", "right"] = "left" if column in ("stream", "status") else "right"
            shown.add_column(column, justify=side, no_wrap=True)
    for forecast in forecasts:
        for name, target in forecast.targets.items():
            for row in _rows(forecast, name, target, narrow):
                shown.add_row(*row)
        shown.add_section()
    return shown


def event_line(event: EventMessage) -> str:
    """Return one line of plain text about an event."""
    target = "" if event.target in (None, "value") else f" {event.target}"
    return f"{event.time or '-'}  {event.stream}{target}: {event.text}"


def line(forecast: ForecastMessage) -> str:
    """Return one line of plain text: the first target's value and every horizon's band."""
    name, target = next(iter(forecast.targets.items()))
    horizons = "  ".join(
        f"+{ahead(item.h, forecast.clock)} {number(item.yhat, _width(item))} {_band(item)}"
        for item in target.forecast
    )
    y = number(target.y, _width(target.forecast[0]))
    return f"{_label(forecast, name)} = {y}  {horizons}  {_state(forecast, target)}"


def number(value: float | None, band: float | None = None) -> str:
    """Return four significant digits, more where a band is narrow, or a dash for no number.

    `band` is the width of what surrounds the value, in its unit. Whole numbers stay whole.

    >>> number(100.5872), number(1234.567), number(1234.567, 0.02), number(123456.7), number(None)
    ('100.6', '1235', '1234.567', '123457', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    size = math.log10(abs(value)) if value else 0.0
    closer = size - math.log10(band) if band and math.isfinite(band) and band > 0.0 else 0.0
    digits = max(4, math.floor(size) + 1 if size < MOST_DIGITS else 4, math.ceil(closer) + 2)
    return f"{value:.{min(digits, MOST_DIGITS)}g}"


def _rows(
    forecast: ForecastMessage, name: str, target: TargetForecast, narrow: bool
) -> Iterator[list[Text]]:
    left = [Text(_label(forecast, name)), Text(number(target.y, _width(target.forecast[0])))]
    right = _badge(forecast, target, narrow)
    for item in target.forecast:
        yield [*left, *map(Text, _cells(forecast, item, narrow)), right]
        left, right = [Text(), Text()], Text()


def _cells(forecast: ForecastMessage, item: HorizonForecast, narrow: bool) -> list[str]:
    coverage = "-" if item.coverage is None else f"{item.coverage:.0%}"
    return [
        ahead(item.h, forecast.clock),
        number(item.yhat, _width(item)),
        _band(item),
        *([] if narrow else [coverage]),
        "-" if item.skill is None else f"{item.skill:+.2f}",
    ]


def _label(forecast: ForecastMessage, target: str) -> str:
    several = len(forecast.targets) > 1 or target != "value"
    return f"{forecast.stream} {target}" if several else forecast.stream


def _band(item: HorizonForecast) -> str:
    width = _width(item)
    return f"[{number(item.yhat_lower, width)}, {number(item.yhat_upper, width)}]"


def _width(item: HorizonForecast) -> float | None:
    if item.yhat_lower is None or item.yhat_upper is None:
        return None
    return item.yhat_upper - item.yhat_lower


def _state(forecast: ForecastMessage, target: TargetForecast) -> str:
    return f"{forecast.status}, ANOMALY" if target.anomaly.active else forecast.status


def _badge(forecast: ForecastMessage, target: TargetForecast, narrow: bool) -> Text:
    if target.anomaly.active:
        return Text("ANOMALY" if narrow else _state(forecast, target), style="bold red")
    return Text(forecast.status, style=STYLES[forecast.status])
