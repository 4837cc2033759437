"""One stream's model: what it answers, that it looks at no future, and that it can be stored."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlnn import Forecaster
from streamlnn.errors import StateError
from streamlnn.model.state import State

SAMPLES: dict[str, Any] = {"horizons": [1, 12, 48]}
TIMED: dict[str, Any] = {"horizons": ["10s", "1m"], "seasons": ["5m"]}
SEASONAL: dict[str, Any] = {"horizons": [1, 30], "seasons": [24, 100]}
JOINT: dict[str, Any] = {"horizons": [1, 5], "fields": 3, "targets": [2, 0], "dtype": "float64"}
ALL = pytest.mark.parametrize("settings", [SAMPLES, TIMED, SEASONAL, JOINT])


def recording(settings: dict[str, Any], n: int = 400, seed: int = 0) -> tuple[Any, np.ndarray]:
    """Noisy waves with holes; irregular times, with a gap, where horizons are durations."""
    random = np.random.default_rng(seed)
    fields = settings.get("fields", 1)
    waves = np.sin(np.arange(n)[:, None] / (3.0 + np.arange(fields)) + np.arange(fields))
    values = 20.0 + 5.0 * waves + 0.2 * random.standard_normal((n, fields))
    values[random.random((n, fields)) < 0.03] = np.nan
    if not isinstance(settings["horizons"][0], str):
        return None, values
    steps = random.choice([4.0, 5.0, 5.5], n)
    steps[n // 2] = 300.0
    return 1.7e9 + np.cumsum(steps), values


def stepped(model: Forecaster, times: Any, values: np.ndarray) -> np.ndarray:
    """The forecasts of single steps, stacked as `replay` does it: (3, n, ...)."""
    when = [None] * len(values) if times is None else times
    made = [model.step(t, v) for t, v in zip(when, values, strict=True)]
    return np.array([[getattr(f, k) for f in made] for k in ("yhat", "yhat_lower", "yhat_upper")])


def replayed(model: Forecaster, times: Any, values: np.ndarray) -> np.ndarray:
    replay = model.replay(times, values)
    return np.array([replay.yhat, replay.yhat_lower, replay.yhat_upper])


def same_state(a: Forecaster, b: Forecaster) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a._state, b._state, strict=True))


@ALL
def test_replay_gives_the_numbers_of_single_steps_bit_for_bit(settings: dict[str, Any]) -> None:
    """Forecasts and the state afterwards agree in every bit, in pieces or as a whole."""
    times, values = recording(settings)
    a, b = Forecaster(**settings), Forecaster(**settings)
    one_by_one = stepped(a, times, values)
    parts = [slice(0, 150), slice(150, 151), slice(151, None)]
    cut = [replayed(b, None if times is None else times[p], values[p]) for p in parts]
    assert one_by_one.tobytes() == np.concatenate(cut, axis=1).tobytes()
    assert same_state(a, b)


@ALL
def test_a_restored_model_goes_on_bit_for_bit(settings: dict[str, Any], tmp_path: Path) -> None:
    """Through state, and through a file, the rest of a recording gives the same forecasts."""
    times, values = recording(settings)
    model = Forecaster(**settings)
    first, rest = slice(0, 217), slice(217, None)
    replayed(model, None if times is None else times[first], values[first])
    copy = Forecaster.from_state(model.settings, model.state())
    model.save(tmp_path / "model.slnn")
    loaded = Forecaster.load(tmp_path / "model.slnn")
    late = None if times is None else times[rest]
    expected = replayed(model, late, values[rest]).tobytes()
    assert stepped(copy, late, values[rest]).tobytes() == expected
    assert replayed(loaded, late, values[rest]).tobytes() == expected
    assert same_state(model, loaded)


@ALL
def test_no_forecast_depends_on_what_comes_after_it(settings: dict[str, Any]) -> None:
    """Other values after record t leave every forecast up to t as it was, bit for bit."""
    times, values = recording(settings)
    other = values.copy()
    other[250:] = 1e3
    made = [replayed(Forecaster(**settings), times, v) for v in (values, other)]
    assert made[0][:, :250].tobytes() == made[1][:, :250].tobytes()
    assert not np.array_equal(made[0][0, 250:], made[1][0, 250:])


def test_a_new_model_says_as_now() -> None:
    """The first forecast, before anything is learned, is the value itself at every horizon."""
    forecast = Forecaster([1, 12, 48]).step(None, 21.5)
    assert forecast.yhat.tolist() == [21.5, 21.5, 21.5]
    assert (forecast.status, forecast.seq, forecast.time) == ("warming", 0, None)
    assert np.isnan(forecast.coverage).all()
    assert np.isnan(forecast.skill).all()


def test_a_wave_is_forecast_far_better_than_persistence() -> None:
    """On a noisy sine every horizon beats persistence by half, and the model knows it."""
    random = np.random.default_rng(1)
    y = np.sin(np.arange(3000) / 5.0) + 0.05 * random.standard_normal(3000)
    model = Forecaster([2, 12, 48])
    yhat = model.replay(None, y[:-1]).yhat
    forecast = model.step(None, y[-1])
    for k, h in enumerate((2, 12, 48)):
        due = np.arange(500 + h, 2999)
        error = np.abs(y[due] - yhat[due - h, k]).mean()
        assert error < 0.5 * np.abs(y[due] - y[due - h]).mean()
    assert (forecast.skill > 0.5).all()
    assert (np.abs(forecast.coverage - 0.9) < 0.05).all()
    assert forecast.status == "ok"


def test_a_known_season_is_used_by_samples_and_by_time() -> None:
    """A pattern without rhyme that repeats every 50 records is foreseen once it is known."""
    random = np.random.default_rng(2)
    y = np.tile(random.standard_normal(50), 30)
    by_sample = Forecaster([7], seasons=[50]).replay(None, y).yhat
    by_time = Forecaster(["70s"], seasons=["500s"]).replay(np.arange(y.size) * 10.0, y).yhat
    for yhat in (by_sample, by_time):
        assert np.abs(y[1200:] - yhat[1193:-7, 0]).mean() < 0.02


def test_joint_fields_help_each_other() -> None:
    """A target that follows another field one record later is forecast from it."""
    random = np.random.default_rng(3)
    leader = random.standard_normal(2000)
    follower = np.concatenate([[0.0], leader[:-1]])
    model = Forecaster([1], fields=2, targets=[1])
    yhat = model.replay(None, np.stack([leader, follower], axis=1)).yhat
    assert yhat.shape == (2000, 1)
    assert np.abs(follower[1000:] - yhat[999:-1, 0]).mean() < 0.2


def test_shapes_follow_horizons_and_targets() -> None:
    """One target gives (horizons,), several (horizons, targets); y has (targets,) always."""
    one = Forecaster([1, 2], fields=3, targets=[1]).step(None, [1.0, 2.0, 3.0])
    assert (one.yhat.shape, one.coverage.shape, one.y.tolist()) == ((2,), (2,), [2.0])
    many = Forecaster([1, 2], fields=3).step(None, [1.0, 2.0, np.nan])
    assert (many.yhat.shape, many.skill.shape) == ((2, 3), (2, 3))
    assert many.anomaly_score.shape == many.anomaly_sign.shape == (3,)
    np.testing.assert_array_equal(many.y, [1.0, 2.0, np.nan])


def test_forecasts_stay_as_they_were_when_the_model_goes_on() -> None:
    """A forecast holds its own numbers: later steps change nothing in it."""
    model = Forecaster([1, 3], fields=2)
    forecast = model.step(None, [1.0, 2.0])
    before = forecast.yhat.copy(), forecast.y.copy(), forecast.anomaly_score.copy()
    for _ in range(50):
        model.step(None, [5.0, -2.0])
    for old, kept in zip(before, (forecast.yhat, forecast.y, forecast.anomaly_score), strict=True):
        np.testing.assert_array_equal(old, kept)


def test_the_model_knows_where_it_stands() -> None:
    """seq, time, cadence and nbytes tell the records seen, the newest time, the usual gap, size."""
    model = Forecaster(["10s"])
    assert (model.seq, model.time, model.cadence) == (0, None, None)
    for k in range(20):
        model.step(100.0 + 5.0 * k, 1.0)
    assert (model.seq, model.time, model.cadence) == (20, 195.0, 5.0)
    assert Forecaster([1], every=60.0).cadence == 60.0
    assert 100_000 < model.nbytes < 1_000_000


def test_float32_and_float64_forecast_alike() -> None:
    """The two precisions agree within a few per cent of the error they make."""
    times, values = recording(SAMPLES, 3000)
    a = Forecaster(**SAMPLES).replay(times, values).yhat
    b = Forecaster(**SAMPLES, dtype="float64").replay(times, values).yhat
    assert np.abs(a - b)[500:].mean() < 0.02 * 0.2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"horizons": []}, "at least one"),
        ({"horizons": [3, 1]}, "rising"),
        ({"horizons": [0, 1]}, "positive"),
        ({"horizons": [1.5]}, "whole number"),
        ({"horizons": ["10 parsecs"]}, "not a duration"),
        ({"horizons": [1, "10s"]}, "of one kind"),
        ({"horizons": [1], "seasons": ["1d"]}, "of one kind"),
        ({"horizons": [1], "targets": [1]}, "between 0 and 0"),
        ({"horizons": [1], "fields": 2, "targets": [0, 0]}, "different"),
        ({"horizons": 12}, r"horizons must be a list, not 12: write \[12\]"),
        ({"horizons": "10s"}, r"horizons must be a list, not '10s': write \['10s'\]"),
        ({"horizons": [timedelta(1)]}, 'neither a whole number of samples nor .* such as "10s"'),
        ({"horizons": [float("nan")]}, "whole number"),
        ({"horizons": [None]}, "whole number"),
        ({"horizons": [1], "seasons": 24}, r"seasons must be a list, not 24: write \[24\]"),
        ({"horizons": [1], "targets": 0}, r"targets must be a list, not 0: write \[0\]"),
        ({"horizons": [1], "targets": ["a"]}, "targets are the numbers of fields.*not 'a'"),
        ({"horizons": [1], "seed": None}, "seed must be a whole number, 0 or more, not None"),
        ({"horizons": [1], "seed": -1}, "seed must be"),
        ({"horizons": [1], "fields": "2"}, "fields must be a whole number, 1 or more, not '2'"),
        ({"horizons": [1], "level": "0.9"}, "level must lie between 0 and 1, not '0.9'"),
        ({"horizons": [1], "every": "1m"}, "every must be a positive number of seconds, not '1m'"),
        ({"horizons": [1], "fields": 0}, "fields"),
        ({"horizons": [1], "level": 1.0}, "level"),
        ({"horizons": [1], "units": 0}, "units"),
        ({"horizons": [1], "dtype": "float16"}, "dtype"),
        ({"horizons": [1], "every": -1.0}, "every"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(arguments: dict[str, Any], words: str) -> None:
    """Each mistake is a ValueError that names it."""
    with pytest.raises(ValueError, match=words):
        Forecaster(**arguments)


def test_wrong_shapes_and_missing_times_are_refused() -> None:
    """Values of another shape, times that do not match, or none where needed: ValueError."""
    model = Forecaster([1], fields=2)
    with pytest.raises(ValueError, match=r"wants \(2,\)"):
        model.step(None, [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match=r"wants \(n, 2\)"):
        model.replay(None, np.zeros(5))
    with pytest.raises(ValueError, match="5 records"):
        model.replay(np.zeros(4), np.zeros((5, 2)))
    with pytest.raises(ValueError, match="needs a time"):
        Forecaster(["1m"]).step(None, 1.0)
    with pytest.raises(ValueError, match="needs a time"):
        Forecaster(["1m"]).replay([1.0, np.nan], [1.0, 2.0])
    assert model.seq == 0


def test_state_that_does_not_fit_is_refused_by_name() -> None:
    """Other settings, other dtypes, missing arrays: StateError says which."""
    model = Forecaster([1, 2])
    state, settings = model.state(), model.settings
    wrong = state["weights"].astype(np.float64)
    with pytest.raises(StateError, match="'weights' is float64"):
        Forecaster.from_state(settings, {**state, "weights": wrong})
    with pytest.raises(StateError, match="'horizons'"):
        Forecaster.from_state({**settings, "horizons": [1, 2, 3]}, state)
    with pytest.raises(StateError, match="other arrays than this version: tau"):
        Forecaster.from_state(settings, {k: v for k, v in state.items() if k != "tau"})
    with pytest.raises(StateError, match="do not make a forecaster"):
        Forecaster.from_state({"colour": "red"}, state)


def under(model: Forecaster, **changed: Any) -> Forecaster:
    return Forecaster.from_state({**model.settings, **changed}, model.state())


def held(model: Forecaster, y: np.ndarray, h: int) -> np.ndarray:
    """Whether each value fell inside the band of h records before, horizons 1 and h."""
    made = model.replay(None, y)
    return (made.yhat_lower[:-h, 1] <= y[h:]) & (y[h:] <= made.yhat_upper[:-h, 1])


@pytest.mark.parametrize(("old", "new"), [(0.9, 0.5), (0.5, 0.9), (0.9, 0.98)])
def test_a_changed_level_holds_from_the_next_record_on(old: float, new: float) -> None:
    """Learned at one level and restored at another, 200 bands hold about the new share."""
    y = np.random.default_rng(4).standard_normal(8000)
    model = Forecaster([1, 48], units=20, level=old)
    model.replay(None, y[:4000])
    inside = held(under(model, level=new), y[4000:], 48)
    assert inside[:200].mean() == pytest.approx(new, abs=0.08)
    assert inside[400:].mean() == pytest.approx(new, abs=0.02)


@pytest.mark.parametrize("level", [1e-300, 1.0 - 1e-16])
def test_the_most_extreme_level_leaves_a_sound_model(level: float) -> None:
    """Restored at a level next to 0 or 1 a model's bands are still finite."""
    model = Forecaster([1], units=20)
    model.replay(None, recording(SAMPLES)[1])
    assert np.isfinite(under(model, level=level).step(None, 20.0).yhat_upper).all()


def test_a_changed_cadence_holds_from_the_next_record_on() -> None:
    """Given anew it is as given; given no longer, it is the usual one of the latest records."""
    model = Forecaster(["10s"])
    model.replay(np.arange(40) * 3.0, np.zeros(40))
    assert under(model, every=5.0).cadence == 5.0
    assert under(under(model, every=5.0), every=None).cadence == 3.0
    assert under(Forecaster([1], every=5.0), every=None).cadence is None
    kept = under(model, every=5.0)
    kept.step(200.0, 0.0)
    assert kept.cadence == 5.0


def test_the_random_units_stay_those_that_the_readout_learned_on() -> None:
    """Another seed changes nothing in a model that has learned: it is for one that begins anew."""
    y = recording(SAMPLES)[1]
    model = Forecaster(**SAMPLES)
    model.replay(None, y)
    kept = under(model, seed=7)
    assert kept.step(None, 20.0).yhat.tobytes() == model.step(None, 20.0).yhat.tobytes()


@pytest.mark.parametrize("value", [-5, 2**62])
@pytest.mark.parametrize("name", ["taps", "counts", "due", "waiting_seq"])
def test_an_index_that_points_outside_is_refused(name: str, value: int) -> None:
    """No saved number may lead the compiled loops out of their arrays."""
    model = Forecaster([1, 2])
    state = model.state()
    state[name].flat[0] = value
    with pytest.raises(StateError, match=f"'{name}' points outside"):
        Forecaster.from_state(model.settings, state)


def test_growing_and_thinning_are_part_of_the_state() -> None:
    """While the slots grow and then are thinned, all ways still agree in every bit."""
    settings: dict[str, Any] = {"horizons": ["2m", "1d"], "units": 10}
    times, values = np.arange(3000) * 60.0, recording(SAMPLES, 3000)[1]
    whole, single = Forecaster(**settings), Forecaster(**settings)
    expected = replayed(whole, times, values)
    first = stepped(single, times[:1500], values[:1500])
    restored = Forecaster.from_state(single.settings, single.state())
    rest = replayed(restored, times[1500:], values[1500:])
    assert expected.tobytes() == np.concatenate([first, rest], axis=1).tobytes()
    assert same_state(whole, restored)
    assert whole._state.stride.tolist() == [1, 2]


def test_a_damaged_file_is_refused_and_named(tmp_path: Path) -> None:
    """One changed byte, and load says which file it was."""
    path = tmp_path / "pump.slnn"
    Forecaster([1]).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StateError, match=r"pump\.slnn: .*checksum"):
        Forecaster.load(path)
    assert [p.name for p in tmp_path.iterdir()] == ["pump.slnn"]


def test_settings_make_the_same_model_again() -> None:
    """settings is what JSON can say, and enough to build the model anew."""
    import json

    model = Forecaster(["10s", "1m"], seasons=["1d"], every=5.0, units=20, seed=3)
    again = Forecaster(**json.loads(json.dumps(model.settings)))
    assert again.settings == model.settings
    assert same_state(model, again)
    assert set(model.state()) == set(State._fields)


def test_a_horizon_that_was_never_scored_is_no_surer_than_a_shorter_one() -> None:
    """Its band is at least as wide as that of a random walk which the shorter horizon knows."""
    noise = np.random.default_rng(3).normal(0, 0.2, 500)
    model = Forecaster([1, 10, 600], units=20)
    for n in range(500):
        made = model.step(None, 20 + 5 * np.sin(n / 40) + noise[n])
    width = made.yhat_upper - made.yhat_lower
    assert np.isnan(made.coverage[2])
    assert width[2] >= width[1] * np.sqrt(60) * (1 - 1e-6)


def test_labels_that_come_late_do_not_blow_up_the_first_bands() -> None:
    """Hundreds of forecasts are under way when the first one misses: it is one miss."""
    noise = np.random.default_rng(3).normal(0, 0.2, 3000)
    model = Forecaster([1, 10, 600], units=20)
    values = 20 + 5 * np.sin(np.arange(3000) / 40) + noise
    made = model.replay(None, values)
    width = made.yhat_upper[600:, 2] - made.yhat_lower[600:, 2]
    assert width.max() < 10 * np.ptp(values)


@pytest.mark.parametrize("horizons", [[1], ["10s"]])
@pytest.mark.parametrize(
    "time",
    [datetime(2026, 1, 1, tzinfo=UTC), np.datetime64("2026-01-01", "ns"), "2026-01-01"],
    ids=["datetime", "datetime64", "text"],
)
def test_a_time_that_is_no_number_is_refused_with_the_way_out(time: Any, horizons: Any) -> None:
    model = Forecaster(horizons, units=5)
    model.step(1.0, 1.0)
    as_array = isinstance(time, np.datetime64)
    one = 'time.astype("datetime64[ns]")' if as_array else "for a datetime, time.timestamp()"
    with pytest.raises(TypeError, match=re.escape(f"pass seconds as a float: {one}")):
        model.step(time, 2.0)
    assert (model.time, model.seq) == (1.0, 1)
    many = "times.astype(" if as_array else "for datetimes, [time.timestamp() for time in times]"
    with pytest.raises(TypeError, match=re.escape(f"pass seconds as floats: {many}")):
        model.replay([time], [2.0])


def test_the_advice_for_times_of_numpy_gives_seconds() -> None:
    times = np.array(["2026-01-01", "2026-01-02"], "datetime64[s]")
    with pytest.raises(TypeError) as told:
        Forecaster([1], units=5).replay(times, [1.0, 2.0])
    advice = str(told.value).partition("floats: ")[2]
    np.testing.assert_array_equal(eval(advice, {"times": times}), [1767225600.0, 1767312000.0])


@pytest.mark.parametrize("time", [np.nan, np.inf, -np.inf])
def test_a_time_that_is_not_finite_is_refused(time: float) -> None:
    model = Forecaster([1], units=5)
    with pytest.raises(ValueError, match="pass seconds, or None for a record without a time"):
        model.step(time, 1.0)
    assert model.seq == 0
    if np.isinf(time):
        with pytest.raises(ValueError, match="a time is infinite"):
            model.replay([1.0, time], [1.0, 2.0])
