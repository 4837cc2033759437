"""The latest hours of every stream, for people who look: sampled, and never by the loop itself.

A thread of its own looks once a second at the newest forecast of each stream, and at who was heard
for it. What is faster than that is thinned, and so is what is older: a stream costs a bounded
number of bytes however long it runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.records import NANOSECONDS, Forecast

if TYPE_CHECKING:
    from streamlnn.model.forecaster import Forecaster
    from streamlnn.pipeline.live import LiveStream

Array = NDArray[Any]

LOOK_EVERY_SECS = 1.0
SPAN_SECS = 6 * 3600.0
"""So far back it goes at least, by the clock of the daemon."""
MOST_ROWS, FEWEST_ROWS = 720, 120
MOST_BYTES = 64 << 20
"""Bytes for all streams together: of very many streams fewer rows are kept each."""
_FIRST_ROWS = 64


@dataclass(slots=True)
class Past:
    """Samples of one stream, oldest first.

    `rows` (n, width) are forecasts as `Forecast.row` holds them, float64; `weights` (n, ...) who
    was heard for them, as `Forecaster.weights` tells it, float32; `states` (n, units) those of the
    reservoir, see `quantised`; `times` (n,) those of their records, nanoseconds, 0 without a clock;
    `seen` (n,) when they were sampled, seconds.
    """

    rows: Array
    weights: Array
    states: Array
    times: Array
    seen: Array

    def __len__(self) -> int:
        return len(self.seen)

    def at(self, places: slice | Array) -> Past:
        """Return the samples at these places."""
        return Past(*(one[places] for one in self.arrays()))

    def copy(self) -> Past:
        """Return a copy."""
        return Past(*(one.copy() for one in self.arrays()))

    def longer(self) -> Past:
        """Return one that has room for twice as many."""
        return Past(*(np.concatenate([one, np.empty_like(one)]) for one in self.arrays()))

    def fits(self, sample: tuple[Array, ...]) -> bool:
        """Return whether a row, weights and states are of a stream of the same settings."""
        pairs = zip(self.arrays(), sample, strict=False)
        return all(kept.shape[1:] == one.shape for kept, one in pairs)

    def arrays(self) -> tuple[Array, ...]:
        """Return all there is."""
        return self.rows, self.weights, self.states, self.times, self.seen


class Track:
    """The sampled past of one stream; `like` is a sample: a row, weights and states."""

    def __init__(self, like: tuple[Array, ...]) -> None:
        self._n = 0
        self._spacing = 0.0
        row, weights, states = ((_FIRST_ROWS, *one.shape) for one in like)
        self._kept = Past(
            np.empty(row),
            np.empty(weights, np.float32),
            np.empty(states, np.int8),
            np.empty(_FIRST_ROWS, np.int64),
            np.empty(_FIRST_ROWS),
        )

    def __len__(self) -> int:
        return self._n

    @property
    def past(self) -> Past:
        """What is kept; it changes with the next `add`."""
        return self._kept.at(slice(self._n))

    def is_due(self, now: float) -> bool:
        """Return whether the last sample is old enough for another one."""
        return not self._n or now - self._kept.seen[self._n - 1] >= self._spacing

    def add(self, sample: tuple[Array, ...], time: int | None, now: float, most: int) -> None:
        """Keep a row, weights and states, and `most` such at most; costs O(1) amortised."""
        if self._n >= most:
            self._thin(most)
        if self._n == len(self._kept):
            self._kept = self._kept.longer()
        kept, n = self._kept, self._n
        kept.rows[n], kept.weights[n], kept.states[n] = sample
        kept.seen[n], kept.times[n] = now, 0 if time is None else time
        self._n += 1

    def _thin(self, most: int) -> None:
        """Make room: drop what is too old, else every second sample."""
        seen = self.past.seen
        kept = np.flatnonzero(seen >= seen[-1] - SPAN_SECS)
        if len(kept) > most // 2:
            kept = kept[len(kept) % 2 :: 2]
            self._spacing = 2 * self._spacing or LOOK_EVERY_SECS
        for array in self._kept.arrays():
            array[: len(kept)] = array[kept]
        self._n = len(kept)


class History:
    """The tracks of all streams; `watched` returns the streams there are.

    `ended` once nothing new will come: whoever tells of it ends then, too.
    """

    def __init__(
        self, watched: Callable[[], Mapping[str, LiveStream]], clock: Callable[[], int]
    ) -> None:
        self._watched = watched
        self._clock = clock
        self._lock = threading.Lock()
        self._tracks: dict[str, Track] = {}
        self.ended = False

    def look(self) -> None:
        """Sample every stream that has something new. Costs some microseconds a stream."""
        now, streams = self._clock() / NANOSECONDS, self._watched()
        for live in streams.values():
            if live.last is not None:
                self._note(live, *live.last, now, MOST_BYTES // len(streams))

    def past(self, name: str, most: int = MOST_ROWS) -> Past | None:
        """Return a copy of a stream's newest samples; None of one of which nothing is known."""
        with self._lock:
            track = self._tracks.get(name)
            return None if track is None else track.past.at(slice(-most, None)).copy()

    def _note(
        self, live: LiveStream, forecast: Forecast, time: int | None, now: float, most_bytes: int
    ) -> None:
        track = self._tracks.get(live.row.name)
        if track and (_is_same(track.past, forecast) or not track.is_due(now)):
            return
        sample = sampled(live.forecaster, forecast)
        row, weights, states = sample
        most = most_bytes // (8 * row.size + 4 * weights.size + states.size + 16)
        with self._lock:
            if track is None or not track.past.fits(sample):
                track = self._tracks[live.row.name] = Track(sample)
            track.add(sample, time, now, min(MOST_ROWS, max(FEWEST_ROWS, most)))


def sampled(model: Forecaster, forecast: Forecast) -> tuple[Array, Array, Array]:
    """Return a forecast's row, who was heard for it, and the states of the reservoir."""
    return forecast.row, model.weights(), quantised(model.reservoir_state)


def quantised(states: Array) -> Array:
    """Return states, which lie within -1 and 1, as 127ths: int8.

    >>> quantised(np.array([0.5, -1.0]))
    array([  64, -127], dtype=int8)
    """
    return np.asarray(np.rint(127 * states), np.int8)


def _is_same(past: Past, forecast: Forecast) -> bool:
    row = forecast.row
    return past.rows.shape[1] == row.size and bool(past.rows[-1, -1] == row[-1])  # its number


class Watch:
    """A thread that lets `history` look, until `stop`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="streamlnn-history", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and the history."""
        self._history.ended = True
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_EVERY_SECS):
            self._history.look()
