"""The status as Prometheus metrics, prefix `streamlnn_`.

A metric's label sets are those that the pipeline counted under: bounded in number, and never a
topic. Forecasts of single streams are the API's business: they would make thousands of series.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from streamlnn.daemon.status import Series, Snapshot, Status
from streamlnn.model.units import ahead

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

PREFIX = "streamlnn_"

HELP = {
    "records_total": "Records accepted into the journal.",
    "dropped_total": "Messages that became no record, by reason.",
    "dead_letters_total": "Payloads that could not be read and were kept as dead letters.",
    "forecasts_total": "Forecasts made.",
    "events_total": "Events raised, by type.",
    "published_total": "Outputs that a sink's other side has confirmed.",
    "snapshots_total": "Snapshots of a stream's state written.",
    "heartbeat_timestamp_seconds": "When the pipeline's loop last turned, seconds since 1970.",
    "restored": "1 once the saved state is restored.",
    "source_ready": "1 while the source is connected.",
    "streams": "Streams with a forecast.",
    "streams_stale": "Streams that have fallen silent.",
    "streams_by_status": "Streams whose newest forecast has this status.",
    "streams_anomalous": "Streams of which a target is odd now.",
    "coverage_ratio": "Recent share of values inside the band, by horizon, mean of all streams.",
    "skill_ratio": "1 - MAE / MAE of persistence, by horizon, mean of all streams.",
    "info": "The version that is running.",
}

_MOST_RATIOS = 200
"""Horizons that have a series; each table can have others."""


def registry(status: Status) -> CollectorRegistry:
    """Return a registry of its own that shows `status` and this process.

    Costs one snapshot of the status per scrape.
    """
    own = CollectorRegistry()
    own.register(StatusCollector(status))
    ProcessCollector(namespace=PREFIX.rstrip("_"), registry=own)
    return own


class StatusCollector(Collector):
    """Reads the status anew at each scrape, so that nothing is counted twice."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Return every counter and gauge as it is now."""
        snapshot = self._status.snapshot()
        gauges = dict(snapshot.gauges) | _own_gauges(snapshot)
        gauges |= quality(self._status.watched().values())
        return [*_families(snapshot.counters, "counter"), *_families(gauges, "gauge")]


def quality(lives: Iterable[LiveStream]) -> dict[Series, float]:
    """Return, by horizon, coverage and skill as a mean over all streams and targets that know them.

    Also how many streams have which status, and how many are odd now.
    """
    found: dict[Series, list[float]] = defaultdict(list)
    counts: Counter[Series] = Counter({_status(one): 0 for one in ("warming", "ok", "drifting")})
    counts["streams_anomalous", ()] = 0
    for live in lives:
        last = live.last
        if last is None:
            continue
        forecast, words = last[0], live.speaker
        counts[_status(forecast.status)] += 1
        counts["streams_anomalous", ()] += bool(np.any(forecast.anomaly_active))
        for name, values in (("coverage", forecast.coverage), ("skill", forecast.skill)):
            rows = values.reshape(len(words.horizons), -1)
            for h, row in zip(words.horizons, rows, strict=True):
                key = (f"{name}_ratio", (("h", ahead(h, words.clock)),))
                found[key] += [float(one) for one in row if np.isfinite(one)]
    means = {key: fmean(values) for key, values in list(found.items())[:_MOST_RATIOS] if values}
    return {**means, **counts}


def _status(status: str) -> Series:
    return "streams_by_status", (("status", status),)


def _own_gauges(snapshot: Snapshot) -> dict[Series, float]:
    gauges: dict[Series, float] = {
        ("info", (("version", version("streamlnn")),)): 1,
        ("restored", ()): float(snapshot.recovered),
        ("streams", ()): len(snapshot.forecasts),
        ("streams_stale", ()): len(snapshot.stale),
    }
    for name, (state, _) in snapshot.sources.items():
        gauges["source_ready", (("source", name),)] = float(state == "ready")
    if snapshot.heartbeat is not None:
        gauges["heartbeat_timestamp_seconds", ()] = snapshot.heartbeat / 1e9
    return gauges


def _families(table: Mapping[Series, float], kind: str) -> list[Metric]:
    families: dict[str, Metric] = {}
    for (name, labels), value in sorted(table.items()):
        family = families.setdefault(name, _family(name, kind))
        family.add_sample(PREFIX + name, dict(labels), value)
    return list(families.values())


def _family(name: str, kind: str) -> Metric:
    text = HELP.get(name, name.removesuffix("_total").replace("_", " ").capitalize() + ".")
    return Metric(PREFIX + name.removesuffix("_total"), text, kind)
