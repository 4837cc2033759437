"""Many streams in one block of memory give the numbers that each would give alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamlnn import Bank, Event, Forecaster
from streamlnn.model.state import SHARED

STREAMS = 4
SAMPLES: dict[str, Any] = {"horizons": [1, 5], "units": 8}
TIMED: dict[str, Any] = {"horizons": ["2s", "30s"], "units": 8, "seasons": ["20s"]}
JOINT: dict[str, Any] = {"horizons": [2], "units": 8, "fields": 2, "targets": [1]}
ALL = pytest.mark.parametrize("arguments", [SAMPLES, TIMED, JOINT])
FORECASTS = ("yhat", "yhat_lower", "yhat_upper")


def records(arguments: dict[str, Any], index: np.ndarray, seed: int) -> tuple[Any, np.ndarray]:
    """Noise with wild values and holes; where horizons are durations, times with silences."""
    random, fields = np.random.default_rng(seed), arguments.get("fields", 1)
    values = random.standard_normal((index.size, fields))
    values[random.random(values.shape) < 0.02] = 50.0
    values[random.random(values.shape) < 0.05] = np.nan
    if not isinstance(arguments["horizons"][0], str):
        return None, values
    return np.cumsum(random.choice([0.2, 0.3, 40.0], index.size, p=[0.5, 0.49, 0.01])), values


def alone(
    models: list[Forecaster], index: np.ndarray, times: Any, values: np.ndarray
) -> tuple[np.ndarray, list[tuple[int, Event]]]:
    """Step each record by itself: the forecasts stacked, and the events, stream by stream."""
    when = [None] * index.size if times is None else times
    made = [models[i].step(t, v) for i, t, v in zip(index, when, values, strict=True)]
    stacked = np.array([[getattr(one, name) for one in made] for name in FORECASTS])
    events = [(int(i), e) for i, one in zip(index, made, strict=True) for e in one.events]
    return stacked, sorted(events, key=lambda pair: pair[0])


def together(made: Any) -> np.ndarray:
    return np.array([getattr(made, name) for name in FORECASTS])


def same_state(a: Forecaster, b: Forecaster) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a._state, b._state, strict=True))


@ALL
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    batches=st.lists(
        st.lists(st.integers(0, STREAMS - 1), min_size=0, max_size=150), min_size=1, max_size=5
    ),
    seed=st.integers(0, 2**16),
)
def test_a_bank_gives_the_numbers_of_its_streams_alone_bit_for_bit(
    arguments: dict[str, Any], batches: list[list[int]], seed: int
) -> None:
    """Whatever the batches: forecasts, events and the states afterwards."""
    bank = Bank(STREAMS, **arguments)
    models = [Forecaster(**arguments) for _ in range(STREAMS)]
    everyone = np.array([i for batch in batches for i in batch], np.int64)
    times, values = records(arguments, everyone, seed)
    start = 0
    for batch in batches:
        part, start = slice(start, start + len(batch)), start + len(batch)
        when = None if times is None else times[part]
        if not batch:
            continue
        expected, events = alone(models, everyone[part], when, values[part])
        made = bank.step(batch, when, values[part])
        assert together(made).tobytes() == expected.tobytes()
        assert repr(made.events) == repr(tuple(events))
    assert all(map(same_state, bank, models))


def test_events_tell_whose_they_are() -> None:
    """A spike in one of three streams is told of that stream, in whatever order they come."""
    index = np.tile([2, 0, 1], 400)
    values = np.random.default_rng(2).standard_normal(index.size)
    values[3 * 390 + 1] = 80.0
    made = Bank(3, **SAMPLES).step(index, None, values)
    started = [(i, e.type, e.since_seq) for i, e in made.events if e.phase == "start"]
    assert (0, "anomaly", 390) in started


def test_a_stream_that_needs_more_room_moves_out_of_the_block() -> None:
    """Horizons of hours on a fast stream: its ring grows, the others stay, the numbers too."""
    arguments: dict[str, Any] = {"horizons": ["10s", "2m"], "units": 5}
    bank, one = Bank(3, **arguments), Forecaster(**arguments)
    times, values = np.arange(300.0), np.random.default_rng(0).standard_normal(300)
    before = bank.nbytes
    made = bank.step(np.full(300, 1), times, values)
    assert made.yhat.tobytes() == one.replay(times, values).yhat.tobytes()
    assert same_state(bank[1], one)
    assert bank.nbytes > before
    blocks = bank._blocks
    assert [np.shares_memory(model._state.weights, blocks) for model in bank] == [True, False, True]


def test_states_lie_in_one_block_and_share_their_units() -> None:
    """Nothing that is learned is shared, nothing that is drawn is there twice."""
    bank = Bank(3, **SAMPLES)
    for name in ("weights", "U", "waiting_x", "counts"):
        arrays = [getattr(model._state, name) for model in bank]
        assert all(np.shares_memory(array, bank._blocks) for array in arrays)
        assert not np.shares_memory(arrays[0], arrays[1])
    for name in SHARED:
        assert getattr(bank[0]._state, name) is getattr(bank[2]._state, name)
    units = sum(getattr(bank[0]._state, name).nbytes for name in SHARED)
    assert bank.nbytes == bank._blocks.nbytes + units


def test_a_stream_of_the_default_settings_takes_400_kilobytes_at_most() -> None:
    """Ten thousand of them fit into 4 GB."""
    assert Bank(1, [1, 12, 48])._blocks.nbytes <= 400_000


def test_a_stream_of_a_bank_is_a_forecaster(tmp_path: Path) -> None:
    """It can be stepped, saved, and moved into another bank, where it goes on."""
    random = np.random.default_rng(1)
    a, b, one = Bank(2, **SAMPLES), Bank(2, **SAMPLES), Forecaster(**SAMPLES)
    first, rest = random.standard_normal((2, 120))
    a.step(np.ones(120, int), None, first)
    one.replay(None, first)
    a[1].save(tmp_path / "stream.slnn")
    b[0] = Forecaster.load(tmp_path / "stream.slnn")
    expected = one.replay(None, rest).yhat.tobytes()
    assert a[1].replay(None, rest).yhat.tobytes() == expected
    assert b.step(np.zeros(120, int), None, rest).yhat.tobytes() == expected
    assert np.shares_memory(b[0]._state.weights, b._blocks)
    assert (len(a), a[0].seq, a[1].seq, a[-1].seq) == (2, 0, 240, 240)


def test_a_stream_that_was_moved_in_is_a_copy() -> None:
    bank, model = Bank(2, **SAMPLES), Forecaster(**SAMPLES)
    bank[1] = model
    bank.step([1, 1], None, [1.0, 2.0])
    assert (model.seq, bank[1].seq) == (0, 2)


def test_a_stream_of_other_settings_is_refused() -> None:
    bank = Bank(2, **SAMPLES)
    with pytest.raises(ValueError, match="other settings"):
        bank[0] = Forecaster(**{**SAMPLES, "level": 0.5})


def test_an_empty_batch_is_no_news() -> None:
    made = Bank(2, **JOINT).step([], None, np.empty((0, 2)))
    assert (made.yhat.shape, made.events) == ((0, 1), ())


def test_shapes_follow_targets() -> None:
    made = Bank(2, [1, 2, 3], fields=2, units=5).step([1, 0], None, np.ones((2, 2)))
    assert made.yhat.shape == made.yhat_upper.shape == (2, 3, 2)


def test_what_does_not_fit_is_refused_before_anything_is_learned() -> None:
    bank = Bank(2, **SAMPLES)
    with pytest.raises(IndexError, match="between 0 and 1"):
        bank.step([0, 2], None, [1.0, 1.0])
    with pytest.raises(IndexError, match="between 0 and 1"):
        bank.step([0, -1], None, [1.0, 1.0])
    with pytest.raises(ValueError, match="there are 2 records"):
        bank.step([0], None, [1.0, 1.0])
    with pytest.raises(ValueError, match="float64"):
        bank.step([0.0, 1.0], None, [1.0, 1.0])
    with pytest.raises(ValueError, match=r"wants \(n, 1\)"):
        bank.step([0], None, [[1.0, 1.0]])
    with pytest.raises(ValueError, match="needs a time"):
        Bank(1, **TIMED).step([0], None, [1.0])
    with pytest.raises(ValueError, match="a stream or more"):
        Bank(0, **SAMPLES)
    assert [model.seq for model in bank] == [0, 0]
