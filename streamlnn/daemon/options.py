"""What the values on the command line mean; a wrong one is a usage error with the way out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from streamlnn.errors import DecodeError
from streamlnn.model.units import parse_duration

if TYPE_CHECKING:
    from streamlnn.pipeline.streams import FoundTime

PICTURES = (".png", ".svg", ".pdf")
PLOTS = ("states", "connectivity", "spectrum", "weights", "forecast", "scores")


def read_by(read: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Return click's callback that turns a given value into `read(value)`."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: Any) -> Any:
        return None if value is None else read(value)

    return callback


def seconds(text: str) -> float:
    """Return float seconds.

    >>> seconds("10"), seconds("10s"), seconds("1.5h")
    (10.0, 10.0, 5400.0)
    """
    number = _positive(text)
    try:
        return number if number is not None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def speed(text: str) -> float | None:
    """Return how many times faster than recorded, or None for `max`."""
    factor = _positive(text)
    if factor is None and text != "max":
        raise click.BadParameter(f"{text!r} is no speed: give a number above 0, or max")
    return factor


def moment(text: str) -> int:
    """Return nanoseconds since 1970, UTC unless the moment tells its zone.

    >>> moment("2026-11-23T10:00:00Z")
    1795428000000000000
    """
    from streamlnn.pipeline.timestamps import parser

    try:
        return parser("auto")(text)
    except DecodeError:
        problem = f"{text!r} is no moment: write it as 2026-11-23T10:00:00Z"
        raise click.BadParameter(problem) from None


def horizons(text: str) -> list[int]:
    """Return horizons in samples, rising.

    >>> horizons("1,12,48")
    [1, 12, 48]
    """
    parts = [part.strip() for part in text.split(",")]
    found = [int(part) for part in parts if part.isdecimal()]
    if len(found) < len(parts) or found[0] < 1 or found != sorted(set(found)):
        problem = f"{text!r}: write whole numbers of samples, rising, such as 1,12,48"
        raise click.BadParameter(problem)
    return found


def names(given: tuple[str, ...]) -> list[str]:
    """Return the names in `a,b`, which may be given several times.

    >>> names(("a,b", "c"))
    ['a', 'b', 'c']
    """
    return [name.strip() for listed in given for name in listed.split(",")]


def picture(path: str) -> Path:
    """Return the file of a picture, of a kind that its name tells."""
    if Path(path).suffix not in PICTURES:
        raise click.BadParameter(f"{path!r}: give a name that ends in {', '.join(PICTURES)}")
    return Path(path)


def recording_format(name: str) -> str:
    """Return the kind of recording, known to the connector that plays recordings."""
    if name == "auto":
        return name
    from streamlnn.daemon.problems import nearest

    known = _formats()
    if name not in known:
        hint = nearest(name, known)
        raise click.BadParameter(f"{name!r} is none of {', '.join(known)}{hint}")
    return name


class FormatOption(click.Option):
    """`--format`, whose help names the kinds that the connector knows; loaded when it is asked."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help."""
        self.help = f"Kind of recording: {', '.join(_formats())}."
        return super().get_help_record(ctx)


def _formats() -> tuple[str, ...]:
    from streamlnn.pipeline import plugins

    settings = plugins.load("source", "replay").Settings
    return get_args(settings.model_fields["format"].annotation)


def time_options(*also: str) -> Callable[[Any], Any]:
    """Return the decorator for the options that name a recording's time; `also` are more names."""

    def decorate(command: Any) -> Any:
        column = click.option(
            *also,
            "--time-column",
            "time_column",
            metavar="COL",
            help="The column, or the dotted path, that holds the time; two as DATE+TIME.",
        )
        form = click.option(
            "--time-format",
            metavar="F",
            callback=read_by(time_format),
            help="How it is written: unix, unix_ms, rfc3339 or such as %d/%m/%Y %H:%M.",
        )
        return column(form(command))

    return decorate


def time_format(form: str) -> str:
    """Return the format of a time, one that is known or a pattern."""
    from pydantic import ValidationError

    from streamlnn.pipeline.settings import TimeSettings

    try:
        return TimeSettings(path="time", format=form).format
    except ValidationError as error:
        problem = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise click.BadParameter(problem) from None


def asked_time(column: str | None, form: str | None, *, configured: bool) -> FoundTime:
    """Return the time that is asked for; with a configuration that is told there."""
    from streamlnn.pipeline.streams import FoundTime

    if configured and (column or form):
        raise click.UsageError(
            "--time-column and --time-format go without --config: write "
            "time = { path = ..., format = ... } in its [[stream]] table."
        )
    return FoundTime(column, form or "auto")


def _positive(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and number > 0 else None
