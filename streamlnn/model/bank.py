"""Bank: many streams of one settings object, stepped together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import Event
from streamlnn.model.state import SHARED, aligned, block_size

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, eq=False)
class BankForecasts:
    """The forecasts of a batch of records.

    Row i is what was believed of its stream when record i had come: `yhat`, `yhat_lower`,
    `yhat_upper` have shape (rows, horizons), or (rows, horizons, targets). `events` are pairs of a
    stream's index and what began or ended in it, stream by stream, each stream's in order.
    """

    yhat: Array
    yhat_lower: Array
    yhat_upper: Array
    events: tuple[tuple[int, Event], ...]


class Bank:
    """Many `Forecaster`s with the same settings: the same numbers, bit for bit.

    n: how many streams; horizons and settings: as for `Forecaster`. `bank[i]` is the forecaster of
    stream i, to look into, step or save; assigning one of the same settings to it moves that one's
    state in.

    All states lie in one block of memory, some 390 KB a stream with horizons up to 48 samples, and
    share the random units. A stream that needs more room (durations on a fast stream) moves into a
    block of its own. A record costs what it costs a `Forecaster`'s `replay`, some 10 microseconds,
    plus 5 for each stream in a batch. A state that has to come from memory costs as much again:
    with thousands of streams it pays to gather 8 records or more of each.

    >>> bank = Bank(3, horizons=[1, 12])
    >>> made = bank.step([2, 0, 2], None, [5.0, 1.0, 5.5])
    >>> made.yhat.shape, made.yhat[1].tolist(), bank[2].seq
    ((3, 2), [1.0, 1.0], 2)
    """

    def __init__(self, n: int, horizons: Sequence[int] | Sequence[str], **settings: Any) -> None:
        if n < 1:
            raise ValueError(f"a bank needs a stream or more, not {n}")
        first = Forecaster(horizons, **settings)
        self._blocks = aligned(n * block_size(first._state)).reshape(n, -1)
        self._streams = [first._twin(block) for block in self._blocks]

    def step(self, index: ArrayLike, times: ArrayLike | None, values: ArrayLike) -> BankForecasts:
        """Learn from records of many streams and forecast what follows each.

        `index` (rows,) tells whose each record is, in any order; records of one stream are taken
        in the order given. `times` (rows,) seconds or None, `values` (rows,) or (rows, fields).
        Raises `ValueError` as `Forecaster.replay` does, and `IndexError` for a stream that is not
        there, before anything is learned.
        """
        first = self._streams[0]
        rows = first._rows(values)
        when, whose = first._times(times, len(rows)), self._whose(index, len(rows))
        order = np.argsort(whose, kind="stable")
        made, events = self._run(whose[order], when[order], rows[order])
        told = np.empty_like(made)
        told[order] = made
        yhat, lower, upper = (first._forecasts(told)[:, k] for k in range(3))
        return BankForecasts(yhat, lower, upper, tuple(events))

    def __len__(self) -> int:
        return len(self._streams)

    def __getitem__(self, i: int) -> Forecaster:
        return self._streams[i]

    def __setitem__(self, i: int, model: Forecaster) -> None:
        if model.settings != self._streams[i].settings:
            raise ValueError(f"the bank has other settings than this forecaster: {model.settings}")
        fits = block_size(model._state) == self._blocks.shape[1]
        self._streams[i] = model._twin(self._blocks[i] if fits else None)

    def __iter__(self) -> Iterator[Forecaster]:
        return iter(self._streams)

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the arrays of all streams take, the shared units counted once."""
        first, usual = self._streams[0], self._blocks.shape[1]
        sizes = [block_size(model._state) for model in self._streams]
        outgrown: int = sum(size for size in sizes if size != usual)
        shared: int = sum(getattr(first._state, name).nbytes for name in SHARED)
        return int(self._blocks.nbytes) + outgrown + shared

    def _whose(self, index: ArrayLike, n: int) -> Array:
        whose = np.asarray(index)
        if whose.shape != (n,) or (n and not np.issubdtype(whose.dtype, np.integer)):
            given = f"{whose.dtype} of shape {whose.shape}"
            raise ValueError(f"index is {given}; there are {n} records, each has a whole number")
        if n and not 0 <= whose.min() <= whose.max() < len(self):
            raise IndexError(f"index must lie between 0 and {len(self) - 1}")
        return whose

    def _run(
        self, whose: Array, times: Array, rows: Array
    ) -> tuple[Array, list[tuple[int, Event]]]:
        """Step records that are sorted by stream: the rows that were made, and the events."""
        made = np.empty((len(rows), self._streams[0]._row_size))
        events: list[tuple[int, Event]] = []
        ends = [*np.flatnonzero(np.diff(whose)) + 1, len(rows)] if len(rows) else []
        start = 0
        for end in ends:
            stream = int(whose[start])
            model, part = self._streams[stream], slice(start, end)
            found = model._run(times[part], rows[part], made[part])
            model.absorb()  # now, while its state is in the cache
            events += ((stream, event) for event in found)
            start = end
        return made, events
