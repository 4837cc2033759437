"""What a forecaster is asked to do, checked once."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from streamlnn.model.units import parse_duration

MOST_SAMPLES = 10_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """The arguments of `Forecaster`; raises `ValueError`, saying which and why, for bad ones."""

    horizons: tuple[int | str, ...]
    fields: int
    targets: tuple[int, ...] | None
    seasons: tuple[int | str, ...]
    level: float
    units: int
    seed: int
    dtype: str
    every: float | None
    plasticity: bool = False

    def __post_init__(self) -> None:
        _one_kind(self.horizons, self.seasons)
        lengths = self.horizon_lengths
        if not lengths or any(b <= a for a, b in pairwise(lengths)):
            raise ValueError(f"horizons must be rising, at least one: {list(self.horizons)}")
        _whole("fields", self.fields, 1)
        _targets(self.targets, self.fields)
        if not (_is_number(self.level) and 0.0 < self.level < 1.0):
            raise ValueError(f"level must lie between 0 and 1, not {self.level!r}")
        _whole("units", self.units, 1)
        _whole("seed", self.seed, 0)
        if self.dtype not in ("float32", "float64"):
            raise ValueError(f'dtype must be "float32" or "float64", not {self.dtype!r}')
        if self.every is not None and not (_is_number(self.every) and 0.0 < self.every < math.inf):
            raise ValueError(f"every must be a positive number of seconds, not {self.every!r}")

    @property
    def by_time(self) -> bool:
        """Whether horizons are durations rather than samples."""
        return isinstance(self.horizons[0], str)

    @property
    def horizon_lengths(self) -> list[float]:
        """Horizons in samples, or in seconds."""
        return [_length(h) for h in self.horizons]

    @property
    def season_lengths(self) -> list[float]:
        """Seasons in samples, or in seconds."""
        return [_length(s) for s in self.seasons]

    @property
    def season_slots(self) -> int:
        """How many seasons the model has room for: those given, or one to be found."""
        return len(self.seasons) or 1

    @property
    def target_fields(self) -> list[int]:
        """The fields to forecast."""
        return list(range(self.fields)) if self.targets is None else list(self.targets)

    def as_json(self) -> dict[str, Any]:
        """Return the arguments as JSON can say them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def listed(name: str, given: Any) -> tuple[Any, ...]:
    """Return what stands in a list. Raises `ValueError` for what is none, and shows one.

    >>> listed("horizons", [1, 12])
    (1, 12)
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"{name} must be a list, not {given!r}: write [{given!r}]")
    return tuple(given)


def _whole(name: str, value: int, least: int) -> None:
    if not _is_whole(value) or value < least:
        raise ValueError(f"{name} must be a whole number, {least} or more, not {value!r}")


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _one_kind(horizons: tuple[object, ...], seasons: tuple[object, ...]) -> None:
    if not horizons:
        raise ValueError("horizons must be rising, at least one: []")
    kinds = {isinstance(length, str) for length in (*horizons, *seasons)}
    if len(kinds) > 1:
        raise ValueError(
            "horizons and seasons must be of one kind, all samples or all durations: "
            f"{list(horizons)}, {list(seasons)}"
        )


def _length(value: int | str) -> float:
    if isinstance(value, str):
        length = parse_duration(value)
    elif not _is_number(value) or not float(value).is_integer():
        raise ValueError(
            f'{value!r} is neither a whole number of samples nor a duration such as "10s"'
        )
    else:
        length = float(value)
    if length <= 0.0 or (not isinstance(value, str) and length > MOST_SAMPLES):
        raise ValueError(f"{value!r} must be positive, and at most {MOST_SAMPLES} samples")
    return length


def _targets(targets: tuple[int, ...] | None, fields: int) -> None:
    if targets is None:
        return
    if not targets or len(set(targets)) < len(targets):
        raise ValueError(f"targets must be different fields, at least one: {list(targets)}")
    for target in targets:
        if not _is_whole(target):
            raise ValueError(f"targets are the numbers of fields, from 0 on, not {target!r}")
    if any(not 0 <= t < fields for t in targets):
        raise ValueError(f"targets must lie between 0 and {fields - 1}: {list(targets)}")
