"""Everything that a stream's forecasts depend on but its data: kept beside its state.

A crash is recovered under the plan that was in force, whatever the configuration says by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec
from pydantic import Field

from streamlnn.model.units import parse_duration
from streamlnn.pipeline.contract import Settings
from streamlnn.pipeline.messages import Speaker, whole
from streamlnn.pipeline.streams import Layout, Reading

if TYPE_CHECKING:
    from streamlnn.model.forecaster import Forecaster


class ModelSettings(Settings):
    """The `[model]` table; nobody needs to touch it."""

    units: int = Field(default=100, ge=1, le=2000)
    seed: int = Field(default=1, ge=0, lt=2**32)
    dtype: Literal["float32", "float64"] = "float32"
    plasticity: bool = False


class Plan(msgspec.Struct, frozen=True):
    """What one stream is forecast from, and how."""

    layout: Layout
    targets: tuple[str, ...]
    units: tuple[str, ...]
    horizons: tuple[int | str, ...]
    seasons: tuple[int | str, ...]
    level: float
    every: float | None
    limits: dict[str, tuple[float | None, float | None]]
    model: dict[str, Any]

    def forecaster(self) -> Forecaster:
        """Return a new forecaster that has learned nothing yet."""
        from streamlnn.model.forecaster import Forecaster

        arguments: dict[str, Any] = {"horizons": self.horizons, "seasons": self.seasons}
        return Forecaster(
            **arguments,
            fields=len(self.layout.names),
            targets=[self.layout.names.index(target) for target in self.targets],
            level=self.level,
            every=self.every,
            **self.model,
        )

    def speaker(self, instance: str, stream: str, epoch: int) -> Speaker:
        """Return the one that puts this stream's forecasts into words."""
        return Speaker(
            instance=instance,
            stream=stream,
            epoch=epoch,
            clock="time" if isinstance(self.horizons[0], str) else "samples",
            horizons=[whole(_size(horizon)) for horizon in self.horizons],
            targets=self.targets,
            units=self.units,
            level=self.level,
        )

    def keeps(self, other: Plan) -> bool:
        """Tell whether a state learned under `other` is still right under this plan."""
        return self._shape() == other._shape()

    def _shape(self) -> tuple[object, ...]:
        return (self.layout, self.targets, self.horizons, self.seasons, self.model)


def plan_for(reading: Reading, model: ModelSettings) -> Plan:
    """Return the plan that the configuration asks for now."""
    settings, names = reading.settings, reading.layout.names
    targets = tuple(settings.targets or names)
    return Plan(
        layout=reading.layout,
        targets=targets,
        units=tuple(settings.units.get(target, "") for target in targets),
        horizons=tuple(settings.horizons),
        seasons=tuple(settings.seasons),
        level=settings.level,
        every=settings.every,
        # A table without fields cannot know which streams have what it limits.
        limits={name: pair for name, pair in settings.limits.items() if name in targets},
        model=model.model_dump(),
    )


def _size(horizon: int | str) -> float:
    return parse_duration(horizon) if isinstance(horizon, str) else float(horizon)
