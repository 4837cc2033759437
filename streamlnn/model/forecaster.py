"""Forecaster: one stream's whole model; a record in, a forecast out."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlnn.errors import StateError
from streamlnn.model import arrays, explanation, monitor, season_finding, stepping
from streamlnn.model.clock import CADENCE, LAST
from streamlnn.model.compiled import direct
from streamlnn.model.experts import expert_names
from streamlnn.model.initial import hearing, initial_state
from streamlnn.model.mixture import MIXTURES
from streamlnn.model.newest import newest
from streamlnn.model.records import Event, Forecast
from streamlnn.model.reservoir import Reservoir, dense
from streamlnn.model.saved import checked
from streamlnn.model.scaling import SETTLED_MEAN, SETTLED_SPREAD
from streamlnn.model.settings import Settings, listed
from streamlnn.model.state import (
    NEXT_LOOK,
    PENDING,
    PUSHED,
    SEASON_PUSHED,
    SEQ,
    STOPPED,
    TOLD,
    State,
    bind,
    in_one_block,
)
from streamlnn.model.waiting import with_room

Array = NDArray[Any]

_NO_TIME = math.nan


@dataclass(frozen=True, slots=True, eq=False)
class Replay:
    """The forecasts of a whole recording.

    Row i is what was believed when record i had come: `yhat`, `yhat_lower`, `yhat_upper` have shape
    (n, horizons), or (n, horizons, targets). `events` are those of `Forecast`, in order.
    """

    yhat: Array
    yhat_lower: Array
    yhat_upper: Array
    events: tuple[Event, ...]


class Forecaster:
    """Forecasts one stream at every horizon, and learns from every record. Nothing to tune.

    horizons: whole numbers of samples, or durations ("10s", "1m"), rising; `seasons` likewise, and
    found from the values unless given.
    fields: how many values a record has; `targets` the fields to forecast, all unless given.
    level: the share of values that the bands are to hold. units: of each half of the reservoir.
    every: the usual seconds from one record to the next; learned unless given.
    reservoir: the recurrent half to begin with, of `Reservoir.from_arrays` say, instead of a drawn
    one; `units` are then as many as it has.

    How it works, in order, for each record: the forecasts that have fallen due are settled: their
    errors are scored as issued, the intervals and the weights of the experts learn from them, and
    the readouts learn the changes that came true. Then the running scales, the reservoir (by the
    time that has passed) and the features move on, every expert is asked about every horizon, and
    their weighted mean is the forecast. Each readout predicts the *change* from the newest value
    in units of the usual change, from weights that start at 0: a young model says "as now".

    A step costs some 15 microseconds with one field and the default units, two fifths of them until
    the forecast is there, and O(features^2) beyond. Memory, some 390 KB with horizons up to 48
    samples, does not grow with the stream.

    >>> model = Forecaster(horizons=[1, 12])
    >>> for hour in range(500):
    ...     forecast = model.step(None, np.sin(hour / 4))
    >>> forecast.yhat.shape, abs(forecast.yhat[0] - np.sin(500 / 4)) < 0.05
    ((2,), np.True_)
    """

    def __init__(
        self,
        horizons: Sequence[int] | Sequence[str],
        *,
        fields: int = 1,
        targets: Sequence[int] | None = None,
        seasons: Sequence[int] | Sequence[str] = (),
        level: float = 0.9,
        units: int = 100,
        seed: int = 1,
        dtype: str = "float32",
        every: float | None = None,
        plasticity: bool = False,
        reservoir: Reservoir | None = None,
    ) -> None:
        self._settings = Settings(
            listed("horizons", horizons),
            fields,
            targets if targets is None else listed("targets", targets),
            listed("seasons", seasons),
            level,
            units if reservoir is None else reservoir.units,
            seed,
            dtype,
            every,
            plasticity,
        )
        self._by_time, self._scalar = self._settings.by_time, fields == 1
        fresh = _unlearned(self._settings)
        self._bind(fresh if reservoir is None else hearing(fresh, reservoir))

    def step(self, time: float | None, values: ArrayLike) -> Forecast:
        """Learn from one record and forecast what follows it.

        `time` is in seconds, or None for a stream without a clock; `values` is a float or
        (fields,), NaN where missing. A second record at the same time comes after no time at
        all; an earlier time is a clock that was set back, and drops the forecasts that wait for a
        stated time. Raises `ValueError` for values of the wrong shape, for a time that is NaN or
        infinite, or for no time when the horizons are durations; never for what the values are.
        """
        forecast = self.observe(time, values)
        self._absorb_newest(self._handle)
        return forecast

    def observe(self, time: float | None, values: ArrayLike) -> Forecast:
        """Forecast what follows one record, and leave half of the learning for later.

        As `step`, apart from taking the features into the covariances: O(features^2), and of no
        use to this forecast. That is left to `absorb`, or to the next record: publish in between.
        """
        when = _NO_TIME if time is None and not self._by_time else self._time(time)
        value: object = values
        if not (isinstance(value, float) and self._scalar):  # the usual case, 1 us faster
            value = self._taken(values)
        row: Array = np.empty(self._row_size)
        events: tuple[Event, ...] = ()
        if self._observe_one(self._handle, when, value, row):
            events = self._after_stop(when, value, row)
        return Forecast(time, events, self._shape, row)

    def absorb(self) -> None:
        """Learn what `observe` left; nothing where nothing was left."""
        self._absorb_newest(self._handle)

    def replay(self, times: ArrayLike | None, values: ArrayLike) -> Replay:
        """Step through a recording in compiled code: the same numbers as `step`, bit for bit.

        `times` (n,) seconds, NaN where a record has none, or None; `values` (n,) or (n, fields).
        Raises `ValueError` as `step`.
        """
        rows = self._rows(values)
        made: Array = np.empty((len(rows), self._row_size))
        events = self._run(self._times(times, len(rows)), rows, made)
        self._absorb_newest(self._handle)
        yhat, lower, upper = (self._forecasts(made)[:, k] for k in range(3))
        return Replay(yhat, lower, upper, events)

    def state(self) -> dict[str, Array]:
        """Return copies of all arrays, by name: with `settings`, all there is to know."""
        self.absorb()
        return {name: array.copy() for name, array in self._state._asdict().items()}

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments this forecaster was made with, as JSON can say them."""
        return self._settings.as_json()

    @classmethod
    def from_state(cls, settings: Mapping[str, Any], state: Mapping[str, Array]) -> Forecaster:
        """Return the forecaster that `settings` and `state` describe.

        Another `level` or `every` than the state was learned with holds from the next record on;
        the random units stay those of the state, whatever `seed`.

        Raises `StateError` naming what differs when arrays are missing, unknown, or of another
        shape or dtype than the settings ask for.
        """
        try:
            model = cls(**settings)
        except (TypeError, ValueError) as error:
            raise StateError(f"saved settings do not make a forecaster: {error}") from error
        model._bind(checked(model._state, state))
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model to `path`, all or nothing: an old file stays until the new is safe."""
        target = Path(path)
        beside = target.with_name(target.name + ".new")
        with beside.open("wb") as file:
            file.write(arrays.pack(self.settings, self.state()))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
        _sync_folder(target.parent)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Forecaster:
        """Read a model that `save` or `streamlnn state export` wrote.

        Raises `StateError` for anything else, `OSError`.
        """
        try:
            meta, kept = arrays.unpack(Path(path).read_bytes())
            return cls.from_state(meta.get("settings", meta), kept)
        except StateError as error:
            raise StateError(f"{path}: {error}") from error

    @property
    def newest(self) -> Forecast:
        """The newest forecast, without its events; one record at least must have been stepped."""
        self.absorb()
        return newest(self._state._asdict())

    @property
    def experts(self) -> tuple[str, ...]:
        """Names of the experts that the forecast is mixed from."""
        return expert_names(self._settings)

    def opinions(self) -> Array:
        """Return each expert's newest forecast, (horizons, experts).

        With several targets it is (horizons, targets, experts). NaN stands for an expert that has
        nothing to say: of the week, say, before one has passed.
        Raises `ValueError` before the first record.
        """
        state = self._state
        if state.counts[PUSHED] == 0:
            raise ValueError("no record has been stepped yet")
        slot = (state.counts[PUSHED] - 1) % state.waiting_at.size
        answers = state.waiting_experts[slot, :, :, 1 + MIXTURES :].copy()
        return np.asarray(answers[0] if len(answers) == 1 else answers.swapaxes(0, 1))

    def weights(self) -> Array:
        """Return how much each of `experts` is heard, (horizons, experts): they sum to 1.

        With several targets it is (horizons, targets, experts). The forecast is the mean of the
        `opinions` with these weights, which are 0 for who has nothing to say; the others' are equal
        while no forecast has been scored.
        """
        heard = explanation.weights(self._state)
        return heard[0] if len(heard) == 1 else heard.swapaxes(0, 1)

    @property
    def seasons(self) -> tuple[float, ...]:
        """The seasons in use, given or found, in samples or seconds as the horizons are."""
        return tuple(season for season in self._state.seasons.tolist() if season > 0.0)

    @property
    def reservoir(self) -> dict[str, Any]:
        """What the fixed random units are like: see `explanation.reservoir`."""
        return explanation.reservoir(self._state, self._spectral_radius)

    @cached_property
    def _spectral_radius(self) -> float:
        return explanation.spectral_radius(self._state, _unlearned(self._settings))

    def to_reservoir(self) -> Reservoir:
        """Return a copy of the reservoir, to step elsewhere or to begin another model with.

        It follows `reservoir_state` when it is stepped with what is `heard`, record by record.

        >>> model = Forecaster([1], units=50, dtype="float64")
        >>> twin, x = model.to_reservoir(), model.reservoir_state
        >>> for value in np.sin(np.arange(100) / 5):
        ...     told = model.step(None, value)
        ...     x = twin.step(x, model.heard, dt=1.0)
        >>> np.allclose(x, model.reservoir_state)
        True
        """
        return explanation.as_reservoir(self._state)

    @property
    def heard(self) -> Array:
        """What the units heard of the newest record, (fields,): a copy.

        Each value, a missing one filled in, standardised by `heard_mean` and `heard_spread` and
        kept within +-5; 0 while a field has no spread yet.
        """
        return explanation.heard(self._state)

    @property
    def heard_mean(self) -> Array:
        """The mean by which the units hear each field, (fields,), as of the newest record.

        It is settled while a stream is young and moves only when its values have left it far.
        """
        return self._state.scales[:, SETTLED_MEAN].copy()

    @property
    def heard_spread(self) -> Array:
        """The standard deviation by which the units hear each field, (fields,); 0 before any."""
        return self._state.scales[:, SETTLED_SPREAD].copy()

    @property
    def reservoir_state(self) -> Array:
        """The state of every unit of the reservoir, (units,), as of the newest record: a copy.

        >>> model = Forecaster([1], units=50)
        >>> told = model.step(None, 20.0)
        >>> model.reservoir_state.shape, bool(abs(model.reservoir_state).max() < 1.0)
        ((50,), True)
        """
        return self._state.x.copy()

    @property
    def connectivity(self) -> Array:
        """The weights of the reservoir, (units, units): row i is what unit i hears of the others.

        They are drawn at random, or given, and never learn.
        """
        return dense(self._state.taps, self._state.W)

    @property
    def time_constants(self) -> Array:
        """How slowly each unit of the reservoir follows what it hears, (units,), in usual steps."""
        return self._state.tau.copy()

    def readout_weights(self) -> dict[str, Array]:
        """Return the weights of the readout that hears the reservoir, by group of features.

        Each is (horizons, size); with several targets it is (horizons, targets, size). They turn
        features into a change of the target, counted in usual changes: what stays 0 says "as now".
        """
        groups = explanation.readout_weights(self._state)
        return {
            name: part[0] if len(part) == 1 else part.swapaxes(0, 1)
            for name, part in groups.items()
        }

    @property
    def seq(self) -> int:
        """How many records were stepped so far."""
        return int(self._state.counts[SEQ] + self._state.counts[PENDING])

    @property
    def time(self) -> float | None:
        """The time of the newest record, in seconds; None before it, and without a clock."""
        last = float(self._state.clock[LAST])
        return None if np.isnan(last) else last

    @property
    def cadence(self) -> float | None:
        """The usual seconds from one record to the next: as given or learned; None if unknown."""
        return float(self._state.clock[CADENCE]) or None

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the model's arrays take."""
        return sum(array.nbytes for array in self._state)

    def _taken(self, values: ArrayLike) -> float:
        """Keep a record where compiled code finds it; return its first value."""
        kept, shape = self._state.values, np.shape(values)
        if shape != kept.shape and (shape or not self._scalar):
            raise ValueError(f"values have shape {shape}; this model wants ({kept.size},)")
        kept[:] = values
        return float(kept[0])

    def _rows(self, values: ArrayLike) -> Array:
        rows = np.asarray(values, np.float64)
        rows = np.ascontiguousarray(rows[:, None] if rows.ndim == 1 else rows)
        if rows.ndim != 2 or rows.shape[1] != self._settings.fields:
            shape, fields = np.shape(values), self._settings.fields
            raise ValueError(f"values have shape {shape}; this model wants (n, {fields})")
        return rows

    def _time(self, time: float | None) -> float:
        try:
            # numpy would turn nanoseconds since 1970 into as many seconds.
            if isinstance(time, np.datetime64):
                raise TypeError
            when = np.nan if time is None else float(time)
        except (TypeError, ValueError):
            advice = _seconds_of("M" if isinstance(time, np.datetime64) else "", "time")
            raise TypeError(f"time is {time!r:.80}; pass seconds as a float: {advice}") from None
        if self._settings.by_time and not math.isfinite(when):
            raise ValueError("horizons are durations: every record needs a time, in seconds")
        if time is not None and not math.isfinite(when):
            raise ValueError(f"time is {time!r}: pass seconds, or None for a record without a time")
        return when

    def _times(self, times: ArrayLike | None, n: int) -> Array:
        given: Array = np.full(n, np.nan) if times is None else np.asarray(times)
        if given.dtype.kind not in "iuf":
            advice = _seconds_of(given.dtype.kind, "times")
            raise TypeError(f"times are {given.dtype}; pass seconds as floats: {advice}")
        filled = np.ascontiguousarray(given, np.float64)
        if filled.shape != (n,):
            raise ValueError(f"times have shape {filled.shape}; there are {n} records")
        if self._settings.by_time and not np.isfinite(filled).all():
            raise ValueError("horizons are durations: every record needs a time, in seconds")
        if np.isinf(filled).any():
            raise ValueError("a time is infinite: pass seconds, or NaN for a record without a time")
        return filled

    def _run(self, times: Array, rows: Array, made: Array) -> tuple[Event, ...]:
        done = self._observe_rows(self._handle, times, rows, made)
        if done == len(rows) and not self._counts[STOPPED]:
            return ()
        events = self._heed(float(times[done - 1]))
        while done < len(rows):
            more = self._observe_rows(self._handle, times[done:], rows[done:], made[done:])
            if more == 0:
                self._bind(with_room(self._state))
            done += more
            events += self._heed(float(times[done - 1]))
        return events

    def _after_stop(self, when: float, value: object, row: Array) -> tuple[Event, ...]:
        """Do what compiled code stopped for at one record; step the record if that is to come."""
        if not self._counts[STOPPED]:
            self._bind(with_room(self._state))
            self._observe_one(self._handle, when, value, row)
        return self._heed(when)

    def _heed(self, time: float) -> tuple[Event, ...]:
        """Do what compiled code stops for: tell of the newest record, or look for a season."""
        counts = self._counts
        if not counts[STOPPED]:
            return ()
        counts[STOPPED] = 0
        if 0 < counts[NEXT_LOOK] <= counts[SEASON_PUSHED]:
            season_finding.look(self._state)
        return tuple(monitor.events(self._state, None if math.isnan(time) else time))

    def _twin(self, block: NDArray[np.uint8] | None = None) -> Forecaster:
        """Return a forecaster with a copy of this one's state, in `block` (see `in_one_block`)."""
        twin = copy(self)
        twin._bind(self._state, block)
        return twin

    def _bind(self, state: State, block: NDArray[np.uint8] | None = None) -> None:
        self._state = in_one_block(state, block)
        self._handle = bind(self._state)
        self._counts, told = self._state.counts, state.forecast
        self._told_size, self._row_size = told.size, told.size + state.condition.size + 2
        shape: tuple[int, ...] = told.shape[1:]
        self._shape = shape if shape[1] > 1 else shape[:1]
        row, rows = np.empty(self._row_size), np.empty((1, self._row_size))
        self._observe_one = direct(stepping.observe_one, self._handle, 0.0, 0.0, row)
        records = np.empty(1), np.empty((1, state.values.size))
        self._observe_rows = direct(stepping.observe, self._handle, *records, rows)
        self._absorb_newest = direct(stepping.absorb, self._handle)

    def _forecasts(self, made: Array) -> Array:
        """Rows of output as (n, TOLD, horizons) or (n, TOLD, horizons, targets)."""
        return made[:, : self._told_size].reshape(-1, TOLD, *self._shape)


def _seconds_of(kind: str, name: str) -> str:
    """Return how times of a numpy kind, or one of them, become seconds in Python."""
    if kind == "M":
        return f'{name}.astype("datetime64[ns]").astype("int64") / 1e9'
    if name == "times":
        return "for datetimes, [time.timestamp() for time in times]"
    return "for a datetime, time.timestamp()"


@lru_cache(maxsize=8)  # a thousand streams of one table begin alike; binding copies it
def _unlearned(settings: Settings) -> State:
    return initial_state(settings)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
