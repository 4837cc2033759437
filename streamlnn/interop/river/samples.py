"""What River calls x, a dictionary of features, as numbers and a time."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np

Name = Hashable
Features = Mapping[Any, Any]


def names_in(x: Iterable[Any], time: Name | None) -> tuple[Any, ...]:
    """Return the names of all features but the time, in an order that is not that of `x`.

    >>> names_in({"wind": 3.0, "at": 17.0, "sun": 0.5}, time="at")
    ('sun', 'wind')
    """
    return tuple(sorted((name for name in x if name != time or time is None), key=str))


def numbers(x: Features, names: Iterable[Any]) -> list[float]:
    """Return these features as floats, NaN where one is missing; raises `TypeError`.

    >>> numbers({"wind": 3, "rain": True}, ["rain", "sun", "wind"])
    [1.0, nan, 3.0]
    """
    return [number(f"x[{name!r}]", x.get(name)) for name in names]


def number(what: str, value: Any) -> float:
    """Return a value as a float, NaN for None; raises `TypeError` for what is no number."""
    if value is None:
        return math.nan
    if not isinstance(value, Real | np.bool_):
        raise TypeError(f"{what} is {value!r:.60}, which is no number: {_way_out(value)}")
    try:
        return float(value)
    except OverflowError:  # an int that no float holds: larger than all that is heard
        return math.inf


def _way_out(value: Any) -> str:
    if isinstance(value, dt.date | np.datetime64):
        return "if it is when the sample was taken, name it by time="
    return "turn it into one; of x, features= lists those to hear"


def seconds(x: Features, time: Name | None) -> float | None:
    """Return when a sample was taken, in seconds, or None where it does not say.

    A datetime without a zone, and a date, is in UTC. Raises `TypeError` for what is no time.

    >>> seconds({"at": dt.datetime(1970, 1, 2)}, "at"), seconds({"at": 1.5}, "at")
    (86400.0, 1.5)
    """
    value = None if time is None else x.get(time)
    if isinstance(value, np.datetime64):
        value = None if np.isnat(value) else value.astype("datetime64[ns]").astype("int64") / 1e9
    if isinstance(value, dt.date):
        value = _as_seconds(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"the time x[{time!r}] is {value!r:.60}; pass seconds, or a datetime")
    moment = number("the time", value)  # an int may be larger than any float
    if not math.isfinite(moment):
        raise ValueError(f"the time x[{time!r}] is {value!r:.60}; pass seconds, or leave it out")
    return moment


def _as_seconds(value: dt.date) -> float:
    if not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    return (value if value.tzinfo else value.replace(tzinfo=dt.UTC)).timestamp()


def listed(features: Sequence[Name] | None, time: Name | None) -> list[Name] | None:
    """Return the features that were named, None if none were; raises `ValueError`.

    As a list, because River takes a parameter that is a tuple for a class and its parameters.
    """
    if features is None:
        return None
    if isinstance(features, str):
        raise ValueError(f"features must be a list, not {features!r}: write [{features!r}]")
    if len(set(features)) < len(features) or (time is not None and time in features):
        raise ValueError(f"features must differ, and none be the time: {list(features)}")
    return list(features)
