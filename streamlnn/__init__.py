"""A streaming forecaster for sensor data: a reservoir per stream, learned online."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamlnn.model.bank import Bank as Bank
    from streamlnn.model.forecaster import Forecaster as Forecaster
    from streamlnn.model.online_esn import OnlineESN as OnlineESN
    from streamlnn.model.records import Event as Event
    from streamlnn.model.records import Forecast as Forecast
    from streamlnn.model.records import Record as Record
    from streamlnn.model.reservoir import Reservoir as Reservoir

__all__ = [
    "Bank",
    "Event",
    "Forecast",
    "Forecaster",
    "OnlineESN",
    "Record",
    "Reservoir",
    "__version__",
]

__version__ = version("streamlnn")

_HOME = {
    "Bank": "streamlnn.model.bank",
    "Event": "streamlnn.model.records",
    "Forecast": "streamlnn.model.records",
    "Forecaster": "streamlnn.model.forecaster",
    "OnlineESN": "streamlnn.model.online_esn",
    "Record": "streamlnn.model.records",
    "Reservoir": "streamlnn.model.reservoir",
}


def __getattr__(name: str) -> Any:
    # On first use: the compiled model must not slow down `streamlnn --help`.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
