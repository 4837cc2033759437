"""StreamForecaster: the forecaster of a stream, as River's time series models are called."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence, Sized
from typing import Any

import numpy as np
from river import time_series
from river.conf import Interval

from streamlnn.interop.river.samples import (
    Features,
    Name,
    listed,
    names_in,
    number,
    numbers,
    seconds,
)
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Event, Forecast
from streamlnn.model.settings import Settings
from streamlnn.model.settings import listed as lengths


class _Held:
    """A forecaster, copied by its arrays: River clones and copies models attribute by attribute."""

    def __init__(self, forecaster: Forecaster) -> None:
        self.forecaster = forecaster

    def __getstate__(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.forecaster.settings, self.forecaster.state()

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        self.forecaster = Forecaster.from_state(*state)


class StreamForecaster(time_series.base.Forecaster):
    """A `streamlnn.Forecaster` behind River's `learn_one(y, x)` and `forecast(horizon, xs)`.

    horizon: the longest, in samples. Every step up to it is learned on its own, none is filled in
    between others, so `forecast` answers for as many steps or fewer.
    time: the feature of x that says when the sample was taken, in seconds or as a datetime (UTC
    unless it has a zone). Without one, time goes by sample.
    features: the features of x to hear beside y, all numbers; those of the first sample unless
    given. What comes later under another name is left out, with one warning; what is named here
    may be missing at first, or at any time.
    seasons, in samples, level, units, seed, every, plasticity, dtype: as of `Forecaster`.

    What x said until now is heard, and is what the forecast comes from; what it will say is not:
    `xs` may be given, and is not looked at. A missing y or feature is None or NaN, or left out of
    x; nothing is learned from it.

    A step costs some 20 microseconds with horizon=1, 30 with 12, 60 with 48 and 180 with 168, y
    alone; `forecast` a few. Memory: 0.2, 0.3, 1 and 7 MB.

    >>> model = StreamForecaster(horizon=12, seasons=(24,))
    >>> for hour in range(500):
    ...     model.learn_one(20.0 + np.sin(2 * np.pi * hour / 24))
    >>> truth = 20.0 + np.sin(2 * np.pi * np.arange(500, 512) / 24)
    >>> bool(np.abs(np.array(model.forecast(12)) - truth).max() < 0.01)
    True
    >>> 20.0 in model.forecast(1, with_interval=True)[0], model.events
    (False, ())
    """

    def __init__(
        self,
        horizon: int = 12,
        *,
        time: Name | None = None,
        features: Sequence[Name] | None = None,
        seasons: Sequence[int] | None = None,
        level: float = 0.9,
        units: int = 100,
        seed: int = 1,
        every: float | None = None,
        plasticity: bool = False,
        dtype: str = "float32",
    ) -> None:
        self.horizon = _whole(horizon)
        self.time = time
        self.features = listed(features, time)
        self.seasons = None if seasons is None else list(lengths("seasons", seasons))
        self.level = level
        self.units = units
        self.seed = seed
        self.every = every
        self.plasticity = plasticity
        self.dtype = dtype
        self._check()
        self._names = tuple(self.features or ())
        self._held: _Held | None = None
        self._newest: Forecast | None = None
        self._warned = False

    @classmethod
    def from_forecaster(
        cls, forecaster: Forecaster, *, time: Name | None = None, features: Sequence[Name] = ()
    ) -> StreamForecaster:
        """Return one that goes on from a `Forecaster`: from `Forecaster.load(path)`, say.

        `features` name its fields after the first, which is y. Raises `ValueError` unless its
        horizons are 1, 2, 3 and so on, in samples, its target is the first field, and each other
        field has a name.

        >>> model = StreamForecaster(horizon=2)
        >>> model.learn_one(20.0)
        >>> kept = model.forecaster.settings, model.forecaster.state()  # plain arrays
        >>> again = StreamForecaster.from_forecaster(Forecaster.from_state(*kept))
        >>> again.forecast(2) == model.forecast(2)
        True
        """
        told = forecaster.settings
        _need_steps(told, len(features))
        kept = ("level", "units", "seed", "every", "plasticity", "dtype")
        self = cls(
            len(told["horizons"]),
            time=time,
            features=features,
            seasons=told["seasons"] or None,
            **{name: told[name] for name in kept},
        )
        self._held = _Held(forecaster)
        self._newest = forecaster.newest if forecaster.seq else None
        return self

    def learn_one(self, y: float | None, x: Features | None = None) -> None:
        """Settle the forecasts that fall due with y, learn from it, and forecast what follows.

        Raises `TypeError` for what is no number or no time, `ValueError` for an infinite time; the
        model is then as it was.
        """
        x = x or {}
        fresh = self._held is None and self.features is None
        names = names_in(x, self.time) if fresh else self._names
        when, rest = seconds(x, self.time), numbers(x, names)
        target = number("y", y)
        if self._held is None:
            self._held = _Held(self._made(1 + len(names)))
            self._names = names
        values = np.array([target, *rest]) if rest else target
        self._newest = self._held.forecaster.step(when, values)
        self._look_for_others(x)

    def forecast(
        self, horizon: int, xs: Sized | None = None, with_interval: bool = False
    ) -> list[Any]:
        """Return the forecasts of the next `horizon` samples; NaN before any value has come.

        With `with_interval`, `river.conf.Interval`s that are to hold `level` of the
        values. Raises `ValueError` for more steps than are learned, or than `xs` is long.
        """
        if not 1 <= horizon <= self.horizon:
            more = ": for more of them make it with StreamForecaster(horizon=...)"
            raise ValueError(
                f"horizon is {horizon!r}; this forecaster learns the steps from 1 to "
                f"{self.horizon}{more if horizon > 1 else ''}"
            )
        if xs is not None and len(xs) != horizon:
            raise ValueError(f"xs holds {len(xs)} samples; horizon is {horizon}")
        if self._newest is None:
            nan = float("nan")
            return [Interval(nan, nan) if with_interval else nan for _ in range(horizon)]
        if not with_interval:
            return list(self._newest.yhat[:horizon].tolist())
        ends = self._newest.yhat_lower[:horizon].tolist(), self._newest.yhat_upper.tolist()
        return [Interval(*pair) for pair in zip(*ends, strict=False)]

    @property
    def forecaster(self) -> Forecaster | None:
        """The forecaster itself, to look into or to save; None before the first sample."""
        return None if self._held is None else self._held.forecaster

    @property
    def newest(self) -> Forecast | None:
        """All that was told of the newest sample: see `Forecast`; None before the first."""
        return self._newest

    @property
    def events(self) -> tuple[Event, ...]:
        """What began, went on or ended with the newest sample: anomalies, drifts and so on."""
        return () if self._newest is None else self._newest.events

    @property
    def coverage(self) -> list[float]:
        """The recent share of values inside the interval, of each step; NaN until scored."""
        return [] if self._newest is None else self._newest.coverage.tolist()

    @property
    def skill(self) -> list[float]:
        """1 - MAE / MAE of holding the last value, of late, of each step; NaN until scored."""
        return [] if self._newest is None else self._newest.skill.tolist()

    def _check(self) -> None:
        """Say now, not with the first sample, what a `Forecaster` would not take."""
        Settings(
            (1,),
            1,
            None,
            tuple(self.seasons or ()),
            self.level,
            self.units,
            self.seed,
            self.dtype,
            self.every,
            self.plasticity,
        )

    def _made(self, fields: int) -> Forecaster:
        return Forecaster(
            range(1, self.horizon + 1),
            fields=fields,
            targets=[0],
            seasons=self.seasons or (),
            level=self.level,
            units=self.units,
            seed=self.seed,
            dtype=self.dtype,
            every=self.every,
            plasticity=self.plasticity,
        )

    def _look_for_others(self, x: Features) -> None:
        """Warn once of a feature that nobody has named and that the first sample had not."""
        if self.features is not None or self._warned:
            return
        for name in x:
            if name not in self._names and name != self.time:
                self._warned = True
                warnings.warn(
                    f"x[{name!r}] was not in the first sample and is left out: list the features "
                    "to hear by features=",
                    stacklevel=3,
                )
                return

    @classmethod
    def _unit_test_params(cls) -> Iterator[dict[str, Any]]:
        yield {}
        yield {"horizon": 3, "time": "time"}
        yield {"horizon": 3, "features": ("period", "wind")}


def _whole(horizon: int) -> int:
    if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
        raise ValueError(f"horizon must be a whole number of samples, 1 or more, not {horizon!r}")
    return int(horizon)


def _need_steps(told: Mapping[str, Any], named: int) -> None:
    if told["horizons"] != list(range(1, 1 + len(told["horizons"]))):
        raise ValueError(f"horizons must be 1, 2, 3 and so on, in samples: {told['horizons']}")
    if told["targets"] != [0] and not (told["targets"] is None and told["fields"] == 1):
        raise ValueError(f"the first field must be the only target: targets={told['targets']}")
    if named != told["fields"] - 1:
        raise ValueError(
            f"this forecaster has {told['fields'] - 1} fields beside y; name them "
            f"by features=, of which there are {named}"
        )
