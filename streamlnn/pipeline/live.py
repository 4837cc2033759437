"""One stream while it runs: its row in the journal, its forecaster, its words."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from streamlnn.errors import StateError
from streamlnn.model import arrays
from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import NANOSECONDS, Forecast, Record
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal, StreamRow
from streamlnn.pipeline.limits import LimitWatch
from streamlnn.pipeline.messages import Speaker
from streamlnn.pipeline.plan import Plan
from streamlnn.pipeline.silence import Silence
from streamlnn.pipeline.store import damaged

UNITS = {"time": "s", "samples": "samples"}
log = logging.getLogger("streamlnn.live")


@dataclass(slots=True)
class LiveStream:
    """A stream's forecaster, and how far it has come in the log.

    `lsn` is the log number of the last record stepped; `fresh` counts the records stepped since
    the last snapshot: the work that a crash would cost. `agreed` says that the configuration of
    this run has been asked about this stream; `stale` that it has fallen silent, and that this has
    been told.
    """

    row: StreamRow
    forecaster: Forecaster
    speaker: Speaker
    watch: LimitWatch
    silence: Silence
    lsn: int
    fresh: int = 0
    agreed: bool = False
    stale: bool = False
    failed: bool = False
    last: tuple[Forecast, int | None] | None = None

    def step(self, lsn: int, record: Record) -> list[Output]:
        """Predict, score, learn: return the forecast and the events that one record causes.

        Nothing is returned of a record that the model fails on: it would fail on it again after
        every restart, and the other streams would stand still for it.
        """
        forecast = self.advance(lsn, record)
        if forecast is None:
            return []
        events = [*forecast.events, *self.watch.step(forecast, self.row.plan.limits)]
        identity = self.speaker.identity(forecast.seq)
        name, words = self.row.name, self.speaker
        return [
            Output("forecast", words.forecast(forecast, record.time), name, lsn, identity),
            *(
                Output(
                    "event",
                    words.event(event, record.time),
                    name,
                    lsn,
                    {**identity, "type": event.type},
                )
                for event in events
            ),
        ]

    def advance(self, lsn: int, record: Record) -> Forecast | None:
        """Step a record without a word of it; None of one that the model fails on."""
        seconds = None if record.time is None else record.time / NANOSECONDS
        self.lsn, self.fresh = lsn, self.fresh + 1
        try:
            # A plain number is taken faster than an array of one.
            values = record.values.item() if record.values.size == 1 else record.values
            forecast = self.forecaster.step(seconds, values)
        except Exception:
            self._tell_failure(record)
            return None
        self.last = (forecast, record.time)
        self.silence.hear(record.received, self.forecaster.cadence)
        return forecast

    def passed(self, lsn: int, time: int | None, received: Sequence[int | None]) -> None:
        """Note that the forecaster has replayed all records up to `lsn`.

        `time` is that of the last one, `received` says of each when it was received.
        """
        self.lsn, self.fresh = lsn, self.fresh + len(received)
        self.last = (self.forecaster.newest, time)
        cadence, hear = self.forecaster.cadence, self.silence.hear
        for moment in received:
            hear(moment, cadence)

    def _tell_failure(self, record: Record) -> None:
        if not self.failed:
            log.exception(
                "stream %r: the model fails on record %d (%s at %s), which is left out; this is a "
                "fault of streamlnn: please report it (told once)",
                self.row.name,
                self.lsn,
                record.values.tolist(),
                record.time,
            )
        self.failed = True

    def explanation(self) -> dict[str, Any]:
        """Return how much each expert is heard, the seasons in use, and what the reservoir is.

        Time constants are in seconds too, where the usual step is known. May be called from another
        thread: a weight can be one record newer than its neighbour then.
        """
        model, words = self.forecaster, self.speaker
        names, reservoir, usual = model.experts, model.reservoir, model.cadence
        shape = (len(words.horizons), len(words.targets), len(names))
        weights = model.weights().reshape(shape).tolist()
        targets = {
            name: [
                {"h": h, "weights": dict(zip(names, row[m], strict=True))}
                for h, row in zip(words.horizons, weights, strict=True)
            ]
            for m, name in enumerate(words.targets)
        }
        if usual:
            reservoir["tau_secs"] = [tau * usual for tau in reservoir["tau"]]
        return {"targets": targets, "seasons": list(model.seasons), "reservoir": reservoir}

    @property
    def stale_after(self) -> float | None:
        """Seconds of silence after which the stream is stale; None while its cadence is unknown."""
        model, every = self.forecaster, self.row.plan.every
        return self.silence.limit(model.cadence, records=model.seq, every=every)

    @property
    def usual_silence(self) -> float:
        """Seconds from one record to the next, as given or learned; 0 while nothing is known."""
        return self.row.plan.every or max(self.forecaster.cadence or 0.0, self.silence.usual)

    @property
    def meta(self) -> dict[str, Any]:
        """What is saved of a stream beside the arrays of its model."""
        model = self.forecaster
        own = {"crossings": self.watch.state, "silence": self.silence.state}
        return {"settings": model.settings, **own}

    def snapshot(self, journal: Journal) -> None:
        """Write the state down; the caller holds the transaction."""
        state = arrays.pack(self.meta, self.forecaster.state())
        journal.save_snapshot(self.row, self.lsn, state)
        self.fresh = 0


def begin(row: StreamRow, instance: str) -> LiveStream:
    """Return a stream that has learned nothing yet."""
    return _live(row, row.plan.forecaster(), instance, row.since_lsn)


def restore(row: StreamRow, journal: Journal, instance: str) -> LiveStream:
    """Return a stream as its newest sound snapshot knows it; the log goes on from there.

    Raises `StoreError` when none is sound and the log does not know what the stream had learned.
    """
    for lsn, state in list(journal.snapshots(row)):
        try:
            meta, kept = arrays.unpack(state)
            forecaster = Forecaster.from_state(meta["settings"], kept)
        except StateError as error:
            log.error("stream %r: snapshot %d is unsound, left out: %s", row.name, lsn, error)
            journal.drop_snapshot(row, lsn)
        else:
            live = _live(row, forecaster, instance, lsn)
            live.watch.state = meta["crossings"]
            live.silence.state = meta.get("silence", live.silence.state)
            live.last = (forecaster.newest, row.clock.last) if forecaster.seq else None
            return live
    if journal.is_carried(row):
        raise damaged(f"no snapshot of stream {row.name!r} is sound")
    return begin(row, instance)


def oldest(row: StreamRow, journal: Journal) -> tuple[Forecaster, int]:
    """Return the oldest forecaster that is sound, and the number of the last record it knows.

    Raises `StoreError` as `restore`.
    """
    for lsn, state in reversed(list(journal.snapshots(row))):
        with suppress(StateError):
            meta, kept = arrays.unpack(state)
            return Forecaster.from_state(meta["settings"], kept), lsn
    live = restore(row, journal, "")
    return live.forecaster, live.lsn


def _live(row: StreamRow, forecaster: Forecaster, instance: str, lsn: int) -> LiveStream:
    words = row.plan.speaker(instance, row.name, row.epoch)
    watch = LimitWatch(words.targets, words.horizons, words.level, UNITS[words.clock])
    return LiveStream(row, forecaster, words, watch, Silence(), lsn)


def adopt(live: LiveStream, plan: Plan, journal: Journal, instance: str) -> LiveStream:
    """Bring a stream under a changed plan: with its state where that fits, else a new epoch.

    Recovery does not go back behind this. The caller holds the transaction.
    """
    row = live.row
    row.since_lsn = live.lsn
    if not plan.keeps(row.plan):
        row.plan, row.epoch = plan, row.epoch + 1
        journal.drop_snapshots(row)
        log.warning("stream %r: its settings changed, it begins to learn anew", row.name)
        return replace(begin(row, instance), silence=live.silence, stale=live.stale)
    row.plan = plan
    kept = Forecaster.from_state(plan.forecaster().settings, live.forecaster.state())
    adopted = replace(_live(row, kept, instance, live.lsn), silence=live.silence, stale=live.stale)
    adopted.watch.state = live.watch.state
    journal.carry(row)
    adopted.snapshot(journal)
    return adopted
