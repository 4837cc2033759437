"""Whatever a sensor sends, the forecasts stay finite and come back to sense."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.model.settling import SCORED
from streamlnn.model.state import THINNED
from streamlnn.model.waiting import MOST_WAITING


def all_finite(model: Forecaster, times: np.ndarray | None, values: np.ndarray) -> np.ndarray:
    replay = model.replay(times, values)
    assert np.isfinite([replay.yhat, replay.yhat_lower, replay.yhat_upper]).all()
    learned = ("weights", "own_weights", "U", "D", "losses", "log_q", "scales")
    assert all(np.isfinite(getattr(model._state, name)).all() for name in learned)
    return replay.yhat


def wave(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.sin(np.arange(n) / 4.0) + 0.1 * random.standard_normal(n)


def error(y: np.ndarray, yhat: np.ndarray, h: int = 1) -> float:
    return float(np.abs(y[h:] - yhat[:-h, 0]).mean())


def test_a_sensor_stuck_for_100_000_records_is_followed_again() -> None:
    """The signal returns, and after 2,000 records the error is what it was before."""
    y = np.concatenate([wave(5000), np.full(100_000, 0.3), wave(5000, seed=1)])
    yhat = all_finite(Forecaster([1, 12]), None, y)
    before, after = error(y[3000:5000], yhat[3000:5000]), error(y[-3000:], yhat[-3000:])
    assert after < 1.15 * before


def test_a_sensor_constant_from_the_start_is_followed_when_it_moves() -> None:
    """Nothing was known of its scale, and still the wave is learned."""
    y = np.concatenate([np.full(100_000, 20.0), 20.0 + wave(4000)])
    yhat = all_finite(Forecaster([1]), None, y)
    assert (yhat[:99_999] == 20.0).all()
    assert error(y[-2000:], yhat[-2000:]) < 0.15


@pytest.mark.parametrize("size", [1e6, -1e6])
def test_steps_and_spikes_of_a_million_sigma_do_no_lasting_harm(size: float) -> None:
    """A spike is forgotten within 2,000 records, and after a step the new level is forecast."""
    y = wave(9000)
    y[3000] += size
    y[6000:] += size
    yhat = all_finite(Forecaster([1, 12, 48]), None, y)
    usual = error(y[2000:3000], yhat[2000:3000])
    assert error(y[5000:6000], yhat[5000:6000]) < 1.2 * usual
    assert error(y[8000:], yhat[8000:]) < 2.0 * usual


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_magnitudes_a_float_can_have_are_survived(dtype: str) -> None:
    """From 1e-300 to 1e300, in any order and of any sign, infinity and NaN between."""
    random = np.random.default_rng(0)
    y = random.choice([-1.0, 1.0], 4000) * 10.0 ** random.uniform(-300.0, 300.0, 4000)
    y[::17], y[5::101], y[7::103] = np.nan, np.inf, -np.inf
    y[1000:1500] = 0.0
    y[0] = 1.0
    all_finite(Forecaster([1, 12], dtype=dtype), None, y)


@pytest.mark.parametrize("scale", [1e-300, 1e-30, 1e30, 1e298])
def test_the_unit_does_not_matter(scale: float) -> None:
    """The same signal in a far larger or smaller unit is forecast as well."""
    y = wave(2000)
    yhat = all_finite(Forecaster([1]), None, y * scale) / scale
    assert error(y[1000:], yhat[1000:]) == pytest.approx(
        error(y[1000:], Forecaster([1]).replay(None, y).yhat[1000:]), rel=0.05
    )


def test_no_value_ever_gives_no_forecast_and_no_exception() -> None:
    """NaN alone yields NaN; the first value then yields a forecast."""
    model = Forecaster([1, 2], fields=2)
    assert np.isnan(model.replay(None, np.full((100, 2), np.nan)).yhat).all()
    forecast = model.step(None, [np.nan, 4.0])
    assert np.isnan(forecast.yhat[:, 0]).all()
    assert forecast.yhat[:, 1].tolist() == [4.0, 4.0]
    assert forecast.status == "warming"


def test_values_missing_at_random_cost_little() -> None:
    """With a fifth of the values missing the error on those that come stays below persistence."""
    y = wave(4000)
    holes = y.copy()
    holes[np.random.default_rng(1).random(4000) < 0.2] = np.nan
    yhat = all_finite(Forecaster([1]), None, np.concatenate([[0.0], holes]))[1:]
    assert error(y[2000:], yhat[2000:]) < 0.6 * np.abs(np.diff(y[2000:])).mean()


def test_irregular_times_are_followed() -> None:
    """A wave sampled at random times is forecast at a stated time far better than by holding."""
    random = np.random.default_rng(0)
    times = np.cumsum(random.exponential(1.0, 6000))
    y = np.sin(times / 4.0)
    yhat = all_finite(Forecaster(["3s"]), times, y)
    ours = np.abs(np.sin((times + 3.0) / 4.0) - yhat[:, 0])[3000:].mean()
    assert ours < 0.4 * np.abs(np.sin((times + 3.0) / 4.0) - y)[3000:].mean()


def test_two_records_at_the_same_time_are_no_clock_set_back() -> None:
    """Nothing is told, nothing that waits is dropped, and the cadence stays what it was."""
    twice = np.repeat(np.arange(200.0), 2)
    model = Forecaster(["10s"])
    made = [model.step(t, v) for t, v in zip(twice, wave(400), strict=True)]
    assert [e for f in made for e in f.events] == []
    assert model._state.scores[0, 0, SCORED] == 2 * 190
    assert model.cadence == 1.0


def test_a_clock_set_back_is_told_and_survived() -> None:
    """A clock set back is told; what waited is dropped; learning goes on."""
    model = Forecaster(["10s"])
    times = np.concatenate([np.arange(500.0), np.arange(300.0, 1300.0)])
    made = [model.step(t, v) for t, v in zip(times, wave(1500), strict=True)]
    told = [(k, e) for k, f in enumerate(made) for e in f.events if e.type == "clock"]
    assert [(k, e.phase, e.time, e.since) for k, e in told] == [(500, "end", 300.0, 300.0)]
    assert told[0][1].since_seq == 500
    assert "set back by 199 s" in told[0][1].text
    assert np.isfinite([f.yhat for f in made]).all()
    assert made[-1].skill[0] > 0.3


def test_a_gap_is_told_and_nothing_is_learned_from_its_bridge() -> None:
    """A silence of over three usual steps is an event, and targets inside it teach nothing."""
    model = Forecaster(["5s"])
    times = np.concatenate([np.arange(100.0), 5000.0 + np.arange(100.0)])
    made = [model.step(t, 1.0 * t) for t in times[:101]]
    scored = model._state.scores[0, 0, SCORED]
    assert scored == 95
    (gap,) = (e for f in made for e in f.events)
    assert (gap.type, gap.phase, gap.time, gap.since) == ("gap", "end", 5000.0, 99.0)
    assert gap.since_seq == 99
    assert "4901 s" in gap.text


@pytest.mark.parametrize(("silence", "gaps", "taught"), [(2.9, 0, 108), (4.0, 1, 106)])
def test_a_silence_of_over_three_usual_steps_is_a_gap(
    silence: float, gaps: int, taught: int
) -> None:
    """One of 2.9 is not, and the targets inside it teach; one of 4 is, and they do not."""
    times = np.concatenate([np.arange(100.0), 99.0 + silence + np.arange(10.0)])
    for settings in ({}, {"every": 1.0}):
        model = Forecaster(["1.5s"], **settings)
        events = [e.type for t in times for e in model.step(t, t).events]
        assert events == ["gap"] * gaps
        assert model._state.scores[0, 0, SCORED] == taught


def late_packets(n: int) -> np.ndarray:
    """Times of packets that come every 600 s, and one in twelve after 2,000 s."""
    late = np.random.default_rng(0).random(n) < 1.0 / 12.0
    return np.cumsum(np.where(late, 2000.0, 600.0))


def test_on_an_irregular_stream_only_an_unusual_silence_is_a_gap() -> None:
    """What happens every twelfth time is soon no news; ten usual steps still are."""
    times = late_packets(3000)
    times[2500:] += 6000.0
    model = Forecaster([1])
    told = [k for k, t in enumerate(times) for e in model.step(t, 0.0).events if e.type == "gap"]
    assert len([k for k in told if k < 2500]) <= 20
    assert [k for k in told if k > 400] == [2500]


def test_a_given_cadence_decides_what_a_gap_is() -> None:
    """With every = 600 s each silence of 2,000 s is told, however often it comes."""
    times = late_packets(1000)
    model = Forecaster([1], every=600.0)
    told = [k for k, t in enumerate(times) for e in model.step(t, 0.0).events if e.type == "gap"]
    assert told == [k + 1 for k in np.flatnonzero(np.diff(times) > 1800.0)]


def test_32_fields_are_forecast_together() -> None:
    """A wide stream stays finite and its waves are learned."""
    random = np.random.default_rng(0)
    phase = random.uniform(0.0, 6.0, 32)
    values = np.sin(np.arange(3000)[:, None] / 5.0 + phase)
    values += 0.1 * random.standard_normal(values.shape)
    values[1:][random.random((2999, 32)) < 0.05] = np.nan
    yhat = all_finite(Forecaster([1, 12], fields=32), None, values)
    truth = np.sin((np.arange(3000) + 12)[:, None] / 5.0 + phase)
    assert np.abs(yhat[2000:, 1] - truth[2000:]).mean() < 0.15


def test_long_horizons_on_fast_data_need_bounded_memory_and_still_learn() -> None:
    """A day ahead on a record a minute: slots stay bounded, the short horizon loses nothing."""
    times = np.arange(20_000) * 60.0
    y = np.sin(times / 9_000.0) + 0.01 * np.random.default_rng(0).standard_normal(20_000)
    model, short = Forecaster(["2m", "1d"]), Forecaster(["2m"])
    yhat, alone = all_finite(model, times, y), all_finite(short, times, y)
    state = model._state
    assert state.waiting_at.size == MOST_WAITING
    assert state.counts[THINNED] > 0
    assert state.stride.tolist() == [1, 2]
    assert model.nbytes < 5_000_000
    due = slice(10_000, 18_000)
    day = np.sin((times[due] + 86_400.0) / 9_000.0)
    assert np.abs(yhat[due, 1] - day).mean() < 0.3 * np.abs(y[due] - day).mean()
    np.testing.assert_array_equal(state.scores[0, 0, SCORED], short._state.scores[0, 0, SCORED])
    # not bit for bit: the readouts hear the usual changes over both horizons
    assert error(y, yhat, 2) < 1.01 * error(y, alone, 2)
