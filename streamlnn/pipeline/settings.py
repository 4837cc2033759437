"""The `[[stream]]` table of the configuration: what to follow, how to read it, what to forecast."""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from streamlnn.model.settings import MOST_SAMPLES
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.contract import Duration, Settings
from streamlnn.pipeline.timestamps import NAMED_FORMATS

MAX_STREAMS = 2_000
"""Each takes some 400 KB at three horizons: whoever can publish must not fill our memory."""
MAX_FIELDS = 32
VARIABLE = re.compile(r"\{([^{}]+)\}")

FURTHEST = "5200w"
"""The longest horizon: a hundred years. Beyond the year 9999 there is no time to write down."""

_FORMATS = {
    **dict.fromkeys(("s", "sec", "seconds", "epoch", "unixtime", "timestamp", "posix"), "unix"),
    **dict.fromkeys(("ms", "msec", "millis", "milliseconds", "epochms", "javascript"), "unix_ms"),
    **dict.fromkeys(("us", "micros", "microseconds"), "unix_us"),
    **dict.fromkeys(("ns", "nanos", "nanoseconds"), "unix_ns"),
    **dict.fromkeys(("iso", "iso8601", "isoformat", "datetime", "rfc"), "rfc3339"),
}
"""What others call our time formats."""

Horizon = Annotated[int, Field(ge=1, le=MOST_SAMPLES, strict=True)] | str


class TimeSettings(Settings):
    """Where a record's time stands and how it is written."""

    path: str
    format: str = "auto"
    zone: str = "UTC"
    max_skew: Duration | None = None

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value not in NAMED_FORMATS and "%" not in value:
            plain = value.lower().replace("_", "").replace("-", "")
            near = _FORMATS.get(plain) or next(iter(get_close_matches(value, NAMED_FORMATS, 1)), "")
            hint = f"did you mean {near!r}? " if near else ""
            raise ValueError(
                f"{value!r} is no time format; {hint}"
                f"take one of {', '.join(NAMED_FORMATS)} or a pattern such as %Y-%m-%d %H:%M:%S"
            )
        if "%" in value:
            _check_pattern(value)
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(
                f"{value!r} is no time zone; write UTC or a name such as Europe/Berlin"
            ) from None
        return value


class StreamSettings(Settings):
    """One `[[stream]]` table: what to follow, how to read it, and what to forecast."""

    from_: str | None = Field(default=None, alias="from")
    topic: str | None = None
    id: str | None = None
    fields: dict[str, str] | None = Field(default=None, examples=[{"temperature": "values.temp"}])
    targets: Annotated[list[str], Field(min_length=1)] | None = Field(
        default=None, examples=[["temperature"]]
    )
    time: TimeSettings | None = Field(default=None, examples=[{"path": "ts", "format": "unix_ms"}])
    every: Annotated[Duration, Field(gt=0.0)] | None = None
    horizons: list[Horizon] = Field(
        default=[1, 12, 48], min_length=1, max_length=64, examples=[["10s", "1m"], [1, 12]]
    )
    seasons: list[Horizon] = Field(default=[], max_length=8, examples=[["1d"]])
    level: float = Field(default=0.9, ge=0.01, le=0.9999, examples=[0.9])
    limits: dict[str, tuple[float | None, float | None]] = Field(
        default={}, examples=[{"temperature": [-20, 85]}]
    )
    units: dict[str, str] = Field(default={}, examples=[{"temperature": "°C"}])

    @field_validator("horizons", "seasons")
    @classmethod
    def _one_kind_and_rising(cls, value: list[int | str]) -> list[int | str]:
        if len({isinstance(item, str) for item in value}) > 1:
            raise ValueError('write all as samples (1, 12) or all as durations ("10s", "1m")')
        sizes = [parse_duration(item) if isinstance(item, str) else item for item in value]
        if any(size <= 0 for size in sizes):
            raise ValueError("each must be greater than zero")
        if any(later <= sooner for sooner, later in itertools.pairwise(sizes)):
            raise ValueError("write them in rising order, each once")
        if value and isinstance(value[-1], str) and sizes[-1] > parse_duration(FURTHEST):
            raise ValueError(f"{value[-1]!r} is too long: at most {FURTHEST}, a hundred years")
        return value

    @field_validator("targets")
    @classmethod
    def _each_once(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) < len(value):
            raise ValueError("write each target once")
        return value

    @field_validator("fields")
    @classmethod
    def _few_fields(cls, value: dict[str, str] | None) -> dict[str, str] | None:
        if value is not None and not 1 <= len(value) <= MAX_FIELDS:
            raise ValueError(f"a stream has 1 to {MAX_FIELDS} fields, not {len(value)}")
        return value

    @property
    def clock(self) -> str:
        """`time` when the horizons are durations, else `samples`."""
        return "time" if isinstance(self.horizons[0], str) else "samples"

    @property
    def names(self) -> list[str]:
        """The variables of the topic template: `sensors/{site}/{device}` has site and device."""
        return [name.removesuffix("...") for name in VARIABLE.findall(self.topic or "")]

    @property
    def filter(self) -> str | None:
        """The MQTT filter to subscribe to, or None without a topic.

        >>> StreamSettings(topic="tele/sensor_{name}/{rest...}").filter
        'tele/+/#'
        """
        if self.topic is None:
            return None
        return "/".join(_level_filter(level) for level in self.topic.split("/"))


def _check_pattern(pattern: str) -> None:
    try:
        datetime.strptime("", pattern)
    except ValueError as error:
        # Only these two are about the pattern; the empty text matches none, and that is right.
        if "bad directive" in str(error) or "stray %" in str(error):
            raise ValueError(
                f"{error}; take a pattern of strptime, such as %Y-%m-%d %H:%M:%S"
            ) from None
    except (re.error, IndexError):
        raise ValueError(f"{pattern!r} is no pattern: it names something twice") from None


def _level_filter(level: str) -> str:
    # A wildcard takes a whole level: what does not match the rest of it is passed over later.
    if not VARIABLE.search(level):
        return level
    return "#" if level.endswith("...}") else "+"
