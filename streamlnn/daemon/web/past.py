"""What a page that has just been opened is told: the past of a stream, and its reservoir.

The forecasts are those that were sampled since the daemon runs (`history`); measured values from
before that come from its store.
"""

from __future__ import annotations

import logging
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.daemon.web.history import MOST_ROWS, History, Past, Track, sampled
from streamlnn.errors import StreamlnnError
from streamlnn.model.records import Record, split_rows
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.timestamps import rfc3339

if TYPE_CHECKING:
    from streamlnn.pipeline.live import LiveStream

Array = NDArray[Any]

MOST_HEARD = 180
"""Moments of which weights are told: they move slowly."""
MOST_STATES = 300
"""Columns of their picture."""
MOST_UNITS = 300
"""Of a larger reservoir neither matrix nor spectrum can be made out on a screen."""
log = logging.getLogger("streamlnn.page")
_END = 2**63 - 1  # no time is later


def past(live: LiveStream, history: History, store: Path | None) -> dict[str, Any]:
    """Return a stream's latest hours, as JSON can say them.

    `at` are times, or numbers of records where horizons count samples; per target `y`, the `score`
    of anomaly and, for each horizon, `yhat`, `lower` and `upper` as believed then: null before the
    daemon's start. `heard` are, at fewer moments, the weights of the experts at each horizon;
    `states` the newest of the reservoir, one after the other, in base64: see `quantised`.
    """
    words = live.speaker
    horizons, targets = len(words.horizons), len(words.targets)
    known = history.past(live.row.name) or _nothing(live)
    rows, times = known.rows, known.times
    told, found = split_rows(rows, horizons, targets)
    numbers = rows[:, -1].astype(int)
    moments = numbers if words.clock == "samples" else times
    before = _before(live, store, moments[:1])
    nothing = [None] * len(before[0])
    return {
        "at": [*before[0], *_at(live, times, numbers)],
        "targets": {
            name: {
                "y": [*before[1][:, m].tolist(), *found[:, 0, m].tolist()],
                "score": [*nothing, *found[:, 1, m].tolist()],
                "forecast": [
                    {"h": h}
                    | {
                        key: [*nothing, *told[:, kind, k, m].tolist()]
                        for kind, key in enumerate(("yhat", "lower", "upper"))
                    }
                    for k, h in enumerate(words.horizons)
                ],
            }
            for m, name in enumerate(words.targets)
        },
        "heard": _heard(live, known),
        "states": b64encode(known.states[-MOST_STATES:].tobytes()).decode(),
    }


def reservoir(live: LiveStream) -> dict[str, Any]:
    """Return what does not change of a reservoir; matrix and spectrum are null of a large one."""
    model = live.forecaster
    order = np.argsort(model.time_constants)
    told: dict[str, Any] = {
        "units": len(order),
        "order": order.tolist(),
        "connectivity": None,
        "eigenvalues": None,
    }
    if len(order) <= MOST_UNITS:
        links = model.connectivity.astype(float)
        values = np.linalg.eigvals(links)
        told["connectivity"] = np.round(links, 4).tolist()
        told["eigenvalues"] = np.stack([values.real, values.imag], axis=1).round(4).tolist()
    return told


def _nothing(live: LiveStream) -> Past:
    assert live.last is not None
    return Track(sampled(live.forecaster, live.last[0])).past


def _heard(live: LiveStream, known: Past) -> dict[str, Any]:
    words, fewer = live.speaker, known.at(slice(None, None, len(known) // MOST_HEARD + 1))
    shape = (len(fewer), len(words.horizons), len(words.targets), len(live.forecaster.experts))
    weights = fewer.weights.reshape(shape).round(3)
    return {
        "at": _at(live, fewer.times, fewer.rows[:, -1].astype(int)),
        "experts": list(live.forecaster.experts),
        "targets": {
            name: weights[:, :, m].transpose(1, 2, 0).tolist()
            for m, name in enumerate(words.targets)
        },
    }


def _at(live: LiveStream, times: Array, numbers: Array) -> list[Any]:
    if live.speaker.clock == "samples":
        return list(numbers.tolist())
    return [rfc3339(time) for time in times.tolist()]


def _before(live: LiveStream, store: Path | None, first: Array) -> tuple[list[Any], Array]:
    """Return moments and values (n, targets) from the store, of records before the first moment.

    A moment is a time in nanoseconds, or the number of a record. `first` (1,) is empty where
    nothing is known yet.
    """
    records = _records(live, store, first)
    numbers = np.arange(len(records)) + live.forecaster.seq - len(records)
    if live.speaker.clock == "samples":
        older = np.flatnonzero((numbers < (first[0] if first.size else np.inf)) & (numbers >= 0))
        older = older[-MOST_ROWS:]
        records, numbers = [records[n] for n in older], numbers[older]
    columns = [live.row.plan.layout.names.index(name) for name in live.speaker.targets]
    times = np.array([one.time or 0 for one in records], np.int64)
    values = np.array([one.values[columns] for one in records]).reshape(-1, len(columns))
    return _at(live, times, numbers), values


def _records(live: LiveStream, store: Path | None, first: Array) -> list[Record]:
    if store is None:
        return []
    try:
        with closing(Journal(store, read_only=True)) as journal, journal.reading():
            if live.speaker.clock == "samples":
                return journal.newest(live.row)
            return journal.spread(live.row, int(first[0]) if first.size else _END, MOST_ROWS)
    except StreamlnnError as error:
        log.debug("the page shows no values of before: %s", error)
        return []
