"""Will the value pass a limit? Events from forecasts and their bands, before it happens.

The band of a forecast is read as the quantiles of a normal distribution on either side of it; the
probability that the value lies beyond a limit at a horizon follows. An event starts when it is more
likely than not at some horizon, and ends when it has become unlikely at all of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any, Literal

from streamlnn.model.records import Event, Forecast, Vector

START_AT = 0.5
END_BELOW = 0.25

Limits = Mapping[str, tuple[float | None, float | None]]


class LimitWatch:
    """Watches the targets of one stream that have limits.

    `horizons` count `unit`. `state` is all it remembers, as JSON can say it: which crossings are
    under way, and since when.
    """

    def __init__(
        self, targets: Sequence[str], horizons: Sequence[float], level: float, unit: str
    ) -> None:
        self.state: dict[str, list[Any]] = {}
        self._targets = targets
        self._horizons = horizons
        self._unit = unit
        self._z = NormalDist().inv_cdf((1 + level) / 2)

    def step(self, forecast: Forecast, limits: Limits) -> list[Event]:
        """Return the crossings that one forecast starts or ends. Costs O(limits x horizons)."""
        if forecast.status == "warming":
            return []
        events = []
        for name, bounds in limits.items():
            for side, limit in zip((-1, 1), bounds, strict=True):
                if limit is not None:
                    events += self._watch(forecast, self._targets.index(name), side, limit)
        return events

    def _watch(self, forecast: Forecast, m: int, side: int, limit: float) -> list[Event]:
        chances = self._chances(forecast, m, side, limit)
        key = f"{self._targets[m]}/{side}"
        since = self.state.get(key)
        if since is None and max(chances) >= START_AT:
            since = self.state[key] = [forecast.seq, forecast.time]
            return [self._event(forecast, m, side, limit, chances, since, "start")]
        if since is not None and max(chances) < END_BELOW:
            del self.state[key]
            return [self._event(forecast, m, side, limit, chances, since, "end")]
        return []

    def _chances(self, forecast: Forecast, m: int, side: int, limit: float) -> list[float]:
        """Return the probability of being beyond the limit, for every horizon."""
        yhat = self._column(forecast.yhat, m)
        edge = self._column(forecast.yhat_upper if side > 0 else forecast.yhat_lower, m)
        return [
            beyond(side * (limit - middle), side * (outer - middle) / self._z)
            for middle, outer in zip(yhat, edge, strict=True)
        ]

    def _column(self, values: Vector, m: int) -> list[float]:
        shape = (len(self._horizons), len(self._targets))
        return [float(value) for value in values.reshape(shape)[:, m]]

    def _event(
        self,
        forecast: Forecast,
        m: int,
        side: int,
        limit: float,
        chances: list[float],
        since: list[Any],
        phase: Literal["start", "end"],
    ) -> Event:
        nth = next((n for n, p in enumerate(chances) if p >= START_AT), chances.index(max(chances)))
        event = Event(
            type="crossing",
            phase=phase,
            time=forecast.time,
            since=since[1],
            since_seq=since[0],
            severity="warning" if phase == "start" else "info",
            text=self._text(m, side, limit, nth, chances[nth], phase),
            target=m,
            y=float(forecast.y[m]),
            yhat=self._column(forecast.yhat, m)[nth],
            yhat_lower=self._column(forecast.yhat_lower, m)[nth],
            yhat_upper=self._column(forecast.yhat_upper, m)[nth],
        )
        return replace(event, limit=limit, h=self._horizons[nth], p=chances[nth])

    def _text(self, m: int, side: int, limit: float, nth: int, p: float, phase: str) -> str:
        name, where = self._targets[m], "above" if side > 0 else "below"
        if phase == "end":
            return f"{name} is no longer likely to be {where} {limit:g}."
        ahead = f"{self._horizons[nth]:g} {self._unit}"
        return f"{name} will be {where} {limit:g} in {ahead} with a probability of {p:.0%}."


def beyond(distance: float, spread: float) -> float:
    """Return the probability that a normal deviate of sd `spread` exceeds `distance`.

    >>> beyond(0.0, 1.0), round(beyond(1.645, 1.0), 3), beyond(-1.0, 0.0)
    (0.5, 0.05, 1.0)
    """
    if math.isnan(distance):
        return 0.0
    if not spread > 0.0:
        return float(distance < 0.0)
    return 0.5 * math.erfc(distance / spread / math.sqrt(2.0))
