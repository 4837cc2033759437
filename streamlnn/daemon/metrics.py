"""The status as Prometheus metrics, prefix `streamlnn_`.

A metric's label sets are those that the pipeline counted under: bounded in number, and never a
topic. Single streams are shown at an address of their own, to who asks for them: they would make
thousands of series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from streamlnn.daemon.status import Series, Snapshot, Status
from streamlnn.daemon.stream_gauges import each, totals

PREFIX = "streamlnn_"

HELP = {
    "messages_total": "Messages and lines read from the source.",
    "records_total": "Records accepted into the journal.",
    "dropped_total": "Messages that became no record, by reason.",
    "dead_letters_total": "Payloads that could not be read and were kept as dead letters.",
    "forecasts_total": "Forecasts made.",
    "events_total": "Events raised, by type.",
    "published_total": "Outputs that a sink's other side has confirmed.",
    "failures_total": "Records that the model failed on.",
    "snapshots_total": "Snapshots of a stream's state written.",
    "last_snapshot_timestamp_seconds": "When a stream's state was last written down, since 1970.",
    "unsnapshotted_records": "Records that would be stepped once more after a crash.",
    "newest_record_timestamp_seconds": "The newest time that a record told, seconds since 1970.",
    "outbox_waiting": "Outputs that the sink's other side has not confirmed yet.",
    "heartbeat_timestamp_seconds": "When the pipeline's loop last turned, seconds since 1970.",
    "restored": "1 once the saved state is restored.",
    "source_ready": "1 while the source is connected.",
    "source_messages_total": "Messages that came, those left out among them.",
    "source_bytes_total": "Bytes of their payloads.",
    "source_dropped_total": "Messages that the source left out, by reason.",
    "source_lines_dropped_total": "Lines that the source left out, by reason.",
    "source_connects_total": "Connections made; more than one tells of losses.",
    "source_sessions_lost_total": "Times the broker had forgotten what it kept for us.",
    "source_unacked": "Messages taken and not acknowledged to the broker yet.",
    "source_files": "Files that are followed.",
    "source_files_failing": "Files that cannot be read now.",
    "sink_ready": "1 while the sink takes what it is given.",
    "streams": "Streams with a forecast.",
    "streams_stale": "Streams that have fallen silent.",
    "streams_by_status": "Streams whose newest forecast has this status.",
    "streams_anomalous": "Streams of which a target is odd now.",
    "coverage_ratio": "Recent share of values inside the band, by horizon, mean of all streams.",
    "skill_ratio": "1 - MAE / MAE of persistence, by horizon, mean of all streams.",
    "info": "The version that is running.",
    "value": "The newest value of a target.",
    "forecast": "The newest forecast, by horizon; q is yhat, yhat_lower or yhat_upper.",
    "anomaly_score": "How odd the newest errors of a target are, from 0 to 1.",
    "anomaly_active": "1 while a target is odd.",
    "streams_left_out": "Streams that fit the pattern and are not shown: there are too many.",
}

_SINCE_START = frozenset(
    f"source_{name}"
    for name in ("messages", "bytes", "dropped", "connects", "sessions_lost", "lines_dropped")
)
"""What a source tells the newest count of: a counter to who scrapes it, `_total` at its end."""


def registry(status: Status) -> CollectorRegistry:
    """Return a registry of its own that shows `status` and this process.

    Costs one snapshot of the status per scrape.
    """
    own = alone(StatusCollector(status))
    ProcessCollector(namespace=PREFIX.rstrip("_"), registry=own)
    return own


def alone(collector: Collector) -> CollectorRegistry:
    """Return a registry that shows nothing but what `collector` finds."""
    own = CollectorRegistry()
    own.register(collector)
    return own


class StatusCollector(Collector):
    """Reads the status anew at each scrape, so that nothing is counted twice."""

    def __init__(self, status: Status) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Return every counter and gauge as it is now."""
        snapshot = self._status.snapshot()
        gauges = dict(snapshot.gauges) | _own_gauges(snapshot)
        gauges |= totals(self._status.watched().values())
        counters = dict(snapshot.counters)
        for name, labels in [key for key in gauges if key[0] in _SINCE_START]:
            counters[f"{name}_total", labels] = round(gauges.pop((name, labels)))
        return [*_families(counters, "counter"), *_families(gauges, "gauge")]


class StreamCollector(Collector):
    """Shows the streams whose ids fit a pattern, each with its newest value and forecasts."""

    def __init__(self, status: Status, match: str) -> None:
        self._status = status
        self._match = match

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of every stream that is not stale; 500 streams at most."""
        return _families(each(self._status.watched(), self._match), "gauge")


def _own_gauges(snapshot: Snapshot) -> dict[Series, float]:
    gauges: dict[Series, float] = {
        ("info", (("version", version("streamlnn")),)): 1,
        ("restored", ()): float(snapshot.recovered),
        ("streams", ()): len(snapshot.forecasts),
        ("streams_stale", ()): len(snapshot.stale),
    }
    for name, (state, _) in snapshot.sources.items():
        gauges["source_ready", (("source", name),)] = float(state == "ready")
    for name, (state, _) in snapshot.sinks.items():
        gauges["sink_ready", (("sink", name),)] = float(state == "ready")
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
