"""The forecaster and the reservoir behind River's interfaces: the extra `river`.

`StreamForecaster` is a forecaster as those of `river.time_series`, `ReservoirFeatures` a
transformer, so that any of River's models is the readout of a reservoir. River checks, scores,
clones and copies them as its own. See docs/river.md.

>>> from river import datasets, evaluate, metrics
>>> model = StreamForecaster(horizon=3, time="month")
>>> scores = evaluate.evaluate(datasets.AirlinePassengers(), model, metrics.MAE(), horizon=3)
>>> len(scores.get())
3
"""

from __future__ import annotations

try:
    import river as _river  # noqa: F401 - asked for here, to say what is missing
except ImportError as error:
    raise ImportError(
        "streamlnn.interop.river needs River: pip install 'streamlnn[river]'"
    ) from error

from streamlnn.interop.river.forecaster import StreamForecaster
from streamlnn.interop.river.reservoir import ReservoirFeatures

__all__ = ["ReservoirFeatures", "StreamForecaster"]
