"""A streaming forecaster for sensor data: a reservoir per stream, learned online."""

from __future__ import annotations

from importlib.metadata import version

from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Event, Forecast, Record

__all__ = ["Event", "Forecast", "Forecaster", "Record", "__version__"]

__version__ = version("streamlnn")
