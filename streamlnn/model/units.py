"""Durations with units: "250ms", "10s", "1m", "24h", "7d"."""

from __future__ import annotations

import re

_SECONDS = {
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "min": 60.0,
    "h": 3600.0,
    "d": 86400.0,
    "w": 604800.0,
}
_WORDS = {
    **{unit: unit for unit in _SECONDS},
    **dict.fromkeys(("", "sec", "second"), "s"),
    **dict.fromkeys(("minute",), "m"),
    **dict.fromkeys(("hr", "hour"), "h"),
    **dict.fromkeys(("day",), "d"),
    **dict.fromkeys(("wk", "week"), "w"),
    **dict.fromkeys(("msec", "milli", "millisecond"), "ms"),
}
_WORDED = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\.?\s*")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")


def parse_duration(text: str) -> float:
    """Return the seconds that `text` stands for.

    Raises `ValueError` when the number or the unit is missing or unknown.

    >>> parse_duration("10s"), parse_duration("1.5h"), parse_duration("250ms")
    (10.0, 5400.0, 0.25)
    """
    match = _DURATION.fullmatch(text)
    if match is None or match[2] not in _SECONDS:
        units = ", ".join(_SECONDS)
        raise ValueError(
            f"{text!r} is not a duration: write a number and a unit ({units}){_meant(text)}"
        )
    return float(match[1]) * _SECONDS[match[2]]


def _meant(text: str) -> str:
    """Return what a duration with its unit in a word was meant to be, in words, or nothing."""
    match = _WORDED.fullmatch(text)
    word = match[2].lower() if match else ""
    unit = _WORDS.get(word.removesuffix("s") if len(word) > 2 else word) if match else None
    return f"; did you mean {f'{match[1]}{unit}'!r}?" if match and unit else ""


def spoken(secs: float, digits: int = 6) -> str:
    """Return seconds with so many digits; below a millisecond, which floats of times blur, in us.

    >>> spoken(0.17), spoken(1.192e-06, 4), spoken(1234.5678)
    ('0.17 s', '1 us', '1234.57 s')
    """
    return f"{secs * 1e6:.0f} us" if 0.0 < secs < 1e-3 else f"{secs:.{digits}g} s"


def ahead(h: float, clock: str) -> str:
    """Return a horizon in words.

    >>> ahead(21600, "time"), ahead(90, "time"), ahead(12, "samples")
    ('6 h', '1.5 min', '12 samples')
    """
    if clock == "samples":
        return "1 sample" if h == 1 else f"{h:g} samples"
    unit = next((unit for unit in ("d", "h", "min") if h >= _SECONDS[unit]), "s")
    return f"{h / _SECONDS[unit]:g} {unit}"
