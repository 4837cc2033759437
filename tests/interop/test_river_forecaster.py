"""StreamForecaster: the numbers of a plain Forecaster, River's evaluation, and odd input."""

from __future__ import annotations

import copy
import datetime as dt
import math
import subprocess
import sys
import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("river")

from river import compose, datasets, evaluate, metrics, stats, stream, time_series

from streamlnn import Forecaster
from streamlnn.evaluation import scores
from streamlnn.evaluation.played import walk
from streamlnn.interop.river import StreamForecaster
from streamlnn.pipeline.messages import Speaker

H = 12
STEPS = list(range(1, H + 1))


def wave(n: int, seed: int = 0) -> list[float]:
    noise = np.random.default_rng(seed).standard_normal(n)
    return (20.0 + np.sin(2 * np.pi * np.arange(n) / 24) + 0.1 * noise).tolist()


class Oracle(time_series.base.Forecaster):
    """It knows what comes after what it has learned."""

    def __init__(self, y: list[float]) -> None:
        self.y, self.known = y, 0

    def learn_one(self, y: float, x: dict[str, Any] | None = None) -> None:
        self.known += 1

    def forecast(self, horizon: int, xs: list[dict[str, Any]] | None = None) -> list[float]:
        return self.y[self.known : self.known + horizon]


# ------------------------------------------------------------------------------ the same numbers


def test_forecasts_are_those_of_a_plain_forecaster_bit_for_bit() -> None:
    ours, plain = StreamForecaster(H), Forecaster(STEPS)
    for value in wave(600):
        ours.learn_one(value)
        told = plain.step(None, value)
        assert ours.forecast(H) == told.yhat.tolist()
    bands = [(each.lower, each.upper) for each in ours.forecast(H, with_interval=True)]
    assert bands == list(zip(told.yhat_lower.tolist(), told.yhat_upper.tolist(), strict=True))
    assert ours.coverage == told.coverage.tolist()
    assert ours.skill == told.skill.tolist()


def test_features_are_further_fields_and_the_time_is_the_record_s() -> None:
    ours = StreamForecaster(3, time="at", level=0.8, units=40, seed=7)
    plain = Forecaster([1, 2, 3], fields=3, targets=[0], level=0.8, units=40, seed=7)
    random = np.random.default_rng(1)
    for k, value in enumerate(wave(300)):
        wind, sun = random.standard_normal(2).tolist()
        at = dt.datetime(2026, 3, 1, tzinfo=dt.UTC) + k * dt.timedelta(minutes=10)
        ours.learn_one(value, {"wind": wind, "at": at, "sun": sun})
        told = plain.step(at.timestamp(), [value, sun, wind])
    assert ours.forecast(3) == told.yhat.tolist()
    assert ours.newest is not None
    assert ours.newest.time == at.timestamp()


def test_a_shorter_horizon_is_the_beginning_of_a_longer_one() -> None:
    model = StreamForecaster(H)
    for value in wave(50):
        model.learn_one(value)
    assert [model.forecast(h) for h in STEPS] == [model.forecast(H)[:h] for h in STEPS]


def test_forecasting_changes_nothing() -> None:
    asked, unasked = StreamForecaster(H), StreamForecaster(H)
    for value in wave(200):
        for model in (asked, unasked):
            model.learn_one(value)
        asked.forecast(5), asked.forecast(H, with_interval=True)
    assert asked.forecast(H) == unasked.forecast(H)


# ---------------------------------------------------------------------------- River's evaluation


def evaluated(horizon: int, model: Any, data: Any) -> Iterator[Any]:
    return evaluate.iter_evaluate(data, model, metrics.MAE(), horizon)


def test_rivers_evaluation_scores_the_forecasts_of_a_plain_forecaster() -> None:
    y = wave(400)
    *_, (_, _, told, scored) = evaluated(H, StreamForecaster(H), [({}, value) for value in y])
    plain = Forecaster(STEPS).replay(None, np.array(y))
    assert told == plain.yhat[len(y) - H - 2].tolist()
    known = np.arange(H - 1, len(y) - H - 1)  # the newest record when each forecast was asked for
    ours = [np.abs(plain.yhat[known, k] - np.array(y)[known + k + 2]).mean() for k in range(H)]
    np.testing.assert_allclose(scored.get(), ours, rtol=1e-12)


def test_rivers_evaluation_holds_a_forecast_against_the_value_one_later() -> None:
    """It asks before it hands over the value that comes next: what it calls +1 is two ahead.

    docs/river.md says so. Where this fails, River does it otherwise and the document is wrong.
    """
    y = wave(100)
    scored = evaluate.evaluate([({}, v) for v in y], Oracle(y), metrics.MAE(), horizon=3)
    off = np.abs(np.diff(y))
    assert scored.get() == pytest.approx([off[k : k + 94].mean() for k in (3, 4, 5)], rel=1e-6)


@pytest.mark.parametrize(
    ("data", "time"),
    [(datasets.AirlinePassengers, "month"), (datasets.WaterFlow, "Time")],
    ids=["AirlinePassengers", "WaterFlow"],
)
def test_rivers_series_are_evaluated_with_their_times(data: Any, time: str) -> None:
    model = StreamForecaster(H, time=time)
    rows = list(data())[:140]  # River leaves the file open where it is not read to its end
    scored = evaluate.evaluate(rows, model, metrics.MAE(), horizon=H)
    assert len(scored.get()) == H
    assert np.isfinite(scored.get()).all()
    assert model.newest is not None
    assert model.newest.time is not None


def test_the_evaluation_under_its_old_name_says_the_same() -> None:
    y = [({}, value) for value in wave(60)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = time_series.evaluate(y, StreamForecaster(3), metrics.MAE(), horizon=3)
    assert old.get() == evaluate.evaluate(y, StreamForecaster(3), metrics.MAE(), horizon=3).get()


def test_a_pipeline_ends_in_a_forecaster() -> None:
    """What River's functions make of x is heard; a selection leaves the rest out."""
    model = compose.Select("wind") | StreamForecaster(3)
    plain = StreamForecaster(3)
    for k, value in enumerate(wave(60)):
        model.learn_one({"wind": k % 5, "note": "calm"}, value)
        plain.learn_one(value, {"wind": k % 5})
    future = [{"wind": 0, "note": "calm"}] * 3
    assert model.forecast(3, future) == plain.forecast(3)


# ----------------------------------------------------------------------------------- the metrics


def test_rivers_metrics_are_those_of_eval() -> None:
    """MAE, RMSE and the share inside the intervals, of targets from the 100th on, at each step."""
    y, skip, model = wave(500), 100, StreamForecaster(H)
    scored = [(metrics.MAE(), metrics.RMSE(), stats.Mean()) for _ in STEPS]
    for t, value in enumerate(y):
        model.learn_one(value)
        bands = model.forecast(H, with_interval=True)
        for k, yhat in enumerate(model.forecast(H)):
            if skip <= t + 1 + k < len(y):
                truth, (mae, rmse, inside) = y[t + 1 + k], scored[k]
                mae.update(truth, yhat)
                rmse.update(truth, yhat)
                inside.update(truth in bands[k])
    words = Speaker("tests", "wave", 0, "samples", STEPS, ["flow"], [""], 0.9)
    played = walk(Forecaster(STEPS), words, None, np.array(y)[:, None], columns=[0])
    for row, each in zip(scores.evaluate(played, skip=skip), scored, strict=True):
        ours = [row.mae, row.rmse, row.coverage]
        assert [one.get() for one in each] == pytest.approx(ours, rel=1e-9)
        assert 0.8 < row.coverage < 1.0


def test_the_coverage_that_is_told_is_near_that_which_river_counts_over_as_long() -> None:
    y, model, inside = wave(800), StreamForecaster(1), []
    for now, following in pairwise(y):
        model.learn_one(now)
        inside.append(following in model.forecast(1, with_interval=True)[0])
    model.learn_one(y[-1])
    assert model.coverage[0] == pytest.approx(np.mean(inside[-400:]), abs=0.04)


def test_without_river_the_way_to_it_is_told() -> None:
    code = "import sys; sys.modules['river'] = None; import streamlnn.interop.river"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, timeout=60)
    assert b"ImportError: streamlnn.interop.river needs River: pip install" in done.stderr
    assert b"'streamlnn[river]'" in done.stderr


# --------------------------------------------------------------------------- what comes and goes


def test_a_feature_that_is_missing_is_nan_to_the_forecaster() -> None:
    ours = StreamForecaster(2, features=["sun", "wind"])
    plain = Forecaster([1, 2], fields=3, targets=[0])
    samples: list[dict[str, Any] | None] = [
        {"wind": 3.0},
        {"sun": None, "wind": 2},
        None,
        {"sun": True, "wind": float("nan")},
        {"sun": np.float32(0.5), "wind": np.int64(4), "note": "left out"},
    ]
    nan = math.nan
    rows = [[nan, 3.0], [nan, 2.0], [nan, nan], [1.0, nan], [0.5, 4.0]]
    for x, row in zip(samples, rows, strict=True):
        ours.learn_one(1.0, x)
        told = plain.step(None, [1.0, *row])
    assert ours.forecast(2) == told.yhat.tolist()


def test_a_feature_that_nobody_named_and_that_comes_later_is_left_out_with_one_warning() -> None:
    ours, without = StreamForecaster(2), StreamForecaster(2)
    ours.learn_one(1.0, {"wind": 1.0})
    with pytest.warns(UserWarning, match=r"x\['sun'\] was not in the first sample .* features="):
        ours.learn_one(2.0, {"wind": 2.0, "sun": 1.0})
    ours.learn_one(4.0, {"wind": 3.0, "sun": 0.0})
    for y, wind in ((1.0, 1.0), (2.0, 2.0), (4.0, 3.0)):
        without.learn_one(y, {"wind": wind})
    assert ours.forecast(2) == without.forecast(2)


@pytest.mark.parametrize("missing", [None, math.nan, 10**400], ids=["None", "NaN", "10**400"])
def test_a_missing_target_is_no_target(missing: Any) -> None:
    ours, plain = StreamForecaster(2), Forecaster([1, 2])
    for k, value in enumerate(wave(60)):
        gone = k % 7 == 3
        ours.learn_one(missing if gone else value)
        told = plain.step(None, math.nan if gone else value)
    assert ours.forecast(2) == told.yhat.tolist()
    assert np.isfinite(ours.forecast(2)).all()


def test_before_any_value_a_forecast_is_nan() -> None:
    model = StreamForecaster(3)
    for _ in range(2):
        assert np.isnan(model.forecast(2)).tolist() == [True, True]
        assert math.isnan(model.forecast(1, with_interval=True)[0].lower)
        assert model.events == ()
        model.learn_one(math.nan)
    assert StreamForecaster(3).skill == StreamForecaster(3).coverage == []


def test_events_are_told_with_the_sample_that_brings_them() -> None:
    model, y = StreamForecaster(1), wave(500)
    y[400] += 30.0
    told = []
    for k, value in enumerate(y):
        model.learn_one(value)
        told += [(k, event.type, event.phase) for event in model.events]
    assert told[0] == (400, "anomaly", "start")


# -------------------------------------------------------------------------------------- copies


def test_a_copy_goes_on_alike_and_apart() -> None:
    model = StreamForecaster(H, features=["wind"])
    for k, value in enumerate(wave(300)):
        model.learn_one(value, {"wind": float(k % 9)})
    twin, before = copy.deepcopy(model), model.forecast(H)
    assert twin.forecast(H) == before
    model.learn_one(25.0, {"wind": 1.0})
    assert twin.forecast(H) == before
    twin.learn_one(25.0, {"wind": 1.0})
    assert twin.forecast(H) == model.forecast(H) != before


def test_rivers_check_of_pickling_passes_on_one_that_has_learned() -> None:
    pytest.importorskip("sklearn", reason="River's checks import scikit-learn")
    from river.checks import common

    for model in (StreamForecaster(3), StreamForecaster(3, features=["wind"])):
        for value in wave(40):
            model.learn_one(value, {"wind": 1.0} if model.features else None)
        common.check_pickling_supports_roundtrip(model)


def test_a_clone_knows_the_parameters_and_nothing_else() -> None:
    model = StreamForecaster(3, time="at", features=[], seasons=[24], level=0.8, units=30, every=60)
    model.learn_one(1.0)
    clone = model.clone({"level": 0.5})
    assert clone._get_params() == {**model._get_params(), "level": 0.5}
    assert clone.newest is None
    assert model.clone(include_attributes=True).forecast(3) == model.forecast(3)


def test_a_forecaster_that_was_saved_goes_on_behind_rivers_interface(tmp_path: Path) -> None:
    model = StreamForecaster(3, features=["wind"], seasons=[24], level=0.8)
    for k, value in enumerate(wave(100)):
        model.learn_one(value, {"wind": float(k % 9)})
    assert model.forecaster is not None
    model.forecaster.save(tmp_path / "pump7.slnn")
    kept = Forecaster.load(tmp_path / "pump7.slnn")
    again = StreamForecaster.from_forecaster(kept, features=["wind"])
    assert again.forecast(3) == model.forecast(3)
    assert again._get_params() == model._get_params()
    for each in (model, again):
        each.learn_one(21.0, {"wind": 2.0})
    assert again.forecast(3) == model.forecast(3)


@pytest.mark.parametrize(
    ("forecaster", "named", "message"),
    [
        (Forecaster([1, 12]), (), r"horizons must be 1, 2, 3 and so on, in samples: \[1, 12\]"),
        (Forecaster(["1s"]), (), r"horizons must be 1, 2, 3 .*: \['1s'\]"),
        (Forecaster([1], fields=2), ("wind",), "the first field must be the only target"),
        (Forecaster([1], fields=2, targets=[0]), (), "has 1 fields beside y; name them"),
    ],
    ids=["steps", "durations", "targets", "names"],
)
def test_a_forecaster_that_is_another_is_refused(
    forecaster: Forecaster, named: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        StreamForecaster.from_forecaster(forecaster, features=named)


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("horizon", [13, 0, -1])
def test_more_steps_than_are_learned_are_refused_with_the_way_out(horizon: int) -> None:
    way_out = r": .*horizon=\.\.\." if horizon > 12 else "$"
    with pytest.raises(ValueError, match=rf"{horizon}; .* from 1 to 12{way_out}"):
        StreamForecaster().forecast(horizon)


def test_as_many_future_samples_as_steps_are_wanted() -> None:
    with pytest.raises(ValueError, match="xs holds 2 samples; horizon is 3"):
        StreamForecaster().forecast(3, xs=[{}, {}])


BAD: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "a word": (1.0, {"sky": "blue"}, TypeError, r"x\['sky'\] is 'blue', which is no number: turn"),
    "a date": (1.0, {"day": dt.date(2026, 1, 1)}, TypeError, r"x\['day'\] .* name it by time="),
    "a target": ("12", {}, TypeError, "y is '12', which is no number"),
    "a time": (1.0, {"at": "noon"}, TypeError, r"the time x\['at'\] is 'noon'; pass seconds"),
    "endless": (1.0, {"at": math.inf}, ValueError, r"the time x\['at'\] is inf"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_number_is_refused_and_changes_nothing(name: str) -> None:
    y, x, error, message = BAD[name]
    for learned in (0, 20):
        model, twin = StreamForecaster(2, time="at"), StreamForecaster(2, time="at")
        for k in range(learned):
            for each in (model, twin):
                each.learn_one(float(k % 5), {"day": k, "sky": 0.5})
        with pytest.raises(error, match=message):
            model.learn_one(y, x)
        for each in (model, twin):
            each.learn_one(3.0, {"day": 7, "sky": 0.5})
        assert model.forecast(2) == twin.forecast(2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"horizon": 0}, "horizon must be a whole number of samples, 1 or more, not 0"),
        ({"horizon": 1.5}, "horizon must be a whole number"),
        ({"level": 1.0}, "level must lie between 0 and 1"),
        ({"seasons": ["1d"]}, "must be of one kind"),
        ({"features": "wind"}, r"features must be a list, not 'wind': write \['wind'\]"),
        ({"features": ["at"], "time": "at"}, "none be the time"),
        ({"features": ["a", "a"]}, "features must differ"),
    ],
    ids=str,
)
def test_a_parameter_that_cannot_be_is_refused_at_once(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        StreamForecaster(**params)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (dt.datetime(1970, 1, 2, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), 86400.0),
        (dt.datetime(1970, 1, 2), 86400.0),
        (dt.date(1970, 1, 2), 86400.0),
        (np.datetime64("1970-01-02"), 86400.0),
        (np.datetime64("NaT"), None),
        (86400, 86400.0),
        (math.nan, None),
        (None, None),
    ],
    ids=["zone", "no zone", "date", "datetime64", "NaT", "seconds", "NaN", "None"],
)
def test_a_time_may_be_told_in_many_ways(given: Any, seconds: float | None) -> None:
    model = StreamForecaster(1, time="at")
    model.learn_one(1.0, {"at": given})
    assert model.newest is not None
    assert model.newest.time == seconds


SAMPLE = st.tuples(
    st.one_of(st.none(), st.floats(-1e3, 1e3)),
    st.dictionaries(st.sampled_from(["sun", "wind"]), st.floats(-10, 10)),
    st.integers(1, H),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(SAMPLE, max_size=30))
def test_in_whatever_order_samples_and_questions_come_it_is_the_plain_forecaster(
    samples: list[tuple[float | None, dict[str, float], int]],
) -> None:
    ours = StreamForecaster(H, units=10, features=["sun", "wind"])
    plain = Forecaster(STEPS, fields=3, targets=[0], units=10)
    for y, x, horizon in samples:
        ours.learn_one(y, x)
        row = [math.nan if v is None else v for v in (y, x.get("sun"), x.get("wind"))]
        told = plain.step(None, row)
        np.testing.assert_array_equal(ours.forecast(horizon), told.yhat[:horizon])


def test_a_stream_of_dictionaries_read_from_a_file_is_followed(tmp_path: Path) -> None:
    """As River reads CSV: text, converted where a converter is named."""
    file = tmp_path / "pump7.csv"
    file.write_text("at,wind,flow\n" + "".join(f"{60 * k},{k % 4},{k % 7}\n" for k in range(90)))
    convert = {"at": float, "wind": float, "flow": float}
    model = StreamForecaster(3, time="at")
    for x, y in stream.iter_csv(file, target="flow", converters=convert):
        model.learn_one(y, x)
    assert np.isfinite(model.forecast(3)).all()
