"""The newest forecast of every stream as a table, and as plain lines where there is no terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from rich.table import Table
from rich.text import Text

from streamlnn.pipeline.messages import (
    EventMessage,
    ForecastMessage,
    HorizonForecast,
    TargetForecast,
)

COLUMNS = ("stream", "value", "in", "forecast", "band", "coverage", "skill", "status")
_UNITS = (("d", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0))
_STYLES = {"warming": "dim", "ok": "green", "drifting": "yellow"}


def table(forecasts: Iterable[ForecastMessage]) -> Table:
    """Return a table with one line per stream, target and horizon.

    `coverage` is the recent share of values inside the band, `skill` is 1 - MAE / MAE of
    persistence.
    """
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in ("stream", "status") else "right")
    for forecast in forecasts:
        for name, target in forecast.targets.items():
            for row in _rows(forecast, name, target):
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
        f"+{ahead(item.h, forecast.clock)} {number(item.yhat)} {_band(item)}"
        for item in target.forecast
    )
    return f"{_label(forecast, name)} = {number(target.y)}  {horizons}  {_state(forecast, target)}"


def ahead(h: float, clock: str) -> str:
    """Return a horizon in words.

    >>> ahead(21600, "time"), ahead(90, "time"), ahead(12, "samples")
    ('6 h', '1.5 min', '12 samples')
    """
    if clock == "samples":
        return f"{h:g} samples"
    unit, size = next(((unit, size) for unit, size in _UNITS if h >= size), ("s", 1.0))
    return f"{h / size:g} {unit}"


def number(value: float | None) -> str:
    """Return four significant digits, or a dash where there is no number.

    >>> number(100.5872), number(None)
    ('100.6', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:.4g}"


def _rows(forecast: ForecastMessage, name: str, target: TargetForecast) -> Iterator[list[Text]]:
    left = [Text(_label(forecast, name)), Text(number(target.y))]
    right = _badge(forecast, target)
    for item in target.forecast:
        yield [*left, *map(Text, _cells(forecast, item)), right]
        left, right = [Text(), Text()], Text()


def _cells(forecast: ForecastMessage, item: HorizonForecast) -> list[str]:
    return [
        ahead(item.h, forecast.clock),
        number(item.yhat),
        _band(item),
        "-" if item.coverage is None else f"{item.coverage:.0%}",
        "-" if item.skill is None else f"{item.skill:+.2f}",
    ]


def _label(forecast: ForecastMessage, target: str) -> str:
    several = len(forecast.targets) > 1 or target != "value"
    return f"{forecast.stream} {target}" if several else forecast.stream


def _band(item: HorizonForecast) -> str:
    return f"[{number(item.yhat_lower)}, {number(item.yhat_upper)}]"


def _state(forecast: ForecastMessage, target: TargetForecast) -> str:
    return f"{forecast.status}, ANOMALY" if target.anomaly.active else forecast.status


def _badge(forecast: ForecastMessage, target: TargetForecast) -> Text:
    style = "bold red" if target.anomaly.active else _STYLES[forecast.status]
    return Text(_state(forecast, target), style=style)
