"""ReservoirFeatures: one step per sample, pure answers, and any of River's models as readout."""

from __future__ import annotations

import copy
import datetime as dt
import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("river")

from river import compose, evaluate, linear_model, metrics, preprocessing, stats, tree

from streamlnn import Forecaster, Reservoir
from streamlnn.interop.river import ReservoirFeatures

Features = dict[str, Any]


def series(n: int, seed: int = 0) -> list[float]:
    """A noisy wave, one value after the other."""
    noise = np.random.default_rng(seed).standard_normal(n)
    return (20.0 + np.sin(np.arange(n) / 5) + 0.05 * noise).tolist()


def samples(n: int, start: dt.datetime | None = None) -> Iterator[tuple[Features, float]]:
    """The newest value, and the one that follows it; with their times from `start` on."""
    for k, (now, following) in enumerate(pairwise(series(n))):
        at = {} if start is None else {"at": start + k * dt.timedelta(minutes=10)}
        yield {"flow": now, **at}, following


def states(model: ReservoirFeatures, rows: list[Features]) -> NDArray[np.float64]:
    """The states that the samples lead to, one after the other."""
    out = []
    for x in rows:
        model.learn_one(x)
        out.append(model.state)
    return np.array(out)


def readout() -> linear_model.BayesianLinearRegression:
    return linear_model.BayesianLinearRegression(beta=100.0)


# ------------------------------------------------------------------------------ the same numbers


def test_states_are_those_of_a_reservoir_that_hears_what_a_forecaster_s_would() -> None:
    """In a forecaster the scales see a value before the units hear it, here after it."""
    rows = [x for x, _ in samples(300)]
    ours, plain = ReservoirFeatures(30), Reservoir(30, 1, 1)
    forecaster, x = Forecaster([1], units=30), np.zeros(30)
    mean, spread = np.zeros(1), np.zeros(1)
    for row, state in zip(rows, states(ours, rows), strict=True):
        u = (row["flow"] - mean) / np.where(spread > 0.0, spread, np.inf)
        x = plain.step(x, u.clip(-5.0, 5.0), 1.0)
        np.testing.assert_array_equal(state, x)
        forecaster.step(None, row["flow"])
        mean, spread = forecaster.heard_mean, forecaster.heard_spread


def test_time_goes_as_in_a_forecaster() -> None:
    """Steps are counted in the usual one, which is learned, or told."""
    at = np.cumsum(np.random.default_rng(3).choice([0.0, 10.0, 10.0, 10.0, 25.0, -30.0], 200))
    for every in (None, 20.0):
        ours = ReservoirFeatures(20, time="at", every=every, features=[])
        plain, x = Reservoir(20, 0, 1), np.zeros(20)
        forecaster = Forecaster([1], every=every)
        for when in at.tolist():
            ours.learn_one({"at": when})
            before, usual = forecaster.time, forecaster.cadence
            elapsed = 0.0 if before is None else when - before
            steps = elapsed / usual if usual and elapsed >= 0.0 and before is not None else 1.0
            x = plain.step(x, np.zeros(0), 0.0 if before == when else steps)
            np.testing.assert_array_equal(ours.state, x)
            forecaster.step(when, 0.0)


def test_a_given_reservoir_is_stepped_as_it_is() -> None:
    W = np.array([[0.0, 0.5], [-0.5, 0.0]])
    reservoir = Reservoir.from_arrays(W, [[1.0, 0.0], [0.0, 2.0]], leak=0.5)
    model = ReservoirFeatures(reservoir=reservoir, features=["sun", "wind"], constant=False)
    rows = [{"wind": math.sin(k), "sun": math.cos(k)} for k in range(40)]
    states(model, rows)
    assert list(model.transform_one(rows[-1])) == ["unit_0", "unit_1"]
    np.testing.assert_array_equal(model.to_reservoir().W, W)


def test_without_gates_time_goes_alike_for_all_units() -> None:
    rows = [x for x, _ in samples(20)]
    for liquid in (True, False):
        model = ReservoirFeatures(20, liquid=liquid)
        states(model, rows)
        assert model.to_reservoir().liquid == liquid


# ------------------------------------------------------- one step per sample, however it is called


START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
PLAIN = list(samples(150))
TIMED = list(samples(150, START))


def after(rows: list[tuple[Features, float]], **params: Any) -> NDArray[np.float64]:
    return states(ReservoirFeatures(20, **params), [x for x, _ in rows])[-1]


@pytest.mark.parametrize("during_predict", [False, True], ids=["on learning", "on predicting"])
@pytest.mark.parametrize("delay", [None, 5], ids=["at once", "5 later"])
@pytest.mark.parametrize("scaled", [False, True], ids=["first", "after a scaler"])
def test_the_state_advances_once_per_sample(
    during_predict: bool, delay: int | None, scaled: bool
) -> None:
    features = ReservoirFeatures(20, memory=6)
    first = [preprocessing.StandardScaler()] if scaled else []
    model = compose.Pipeline(*first, features, readout())
    late = {} if delay is None else {"delay": delay}
    if during_predict:
        with compose.learn_during_predict():
            evaluate.progressive_val_score(PLAIN, model, metrics.MAE(), **late)
    else:
        evaluate.progressive_val_score(PLAIN, model, metrics.MAE(), **late)
    alone, scaler = ReservoirFeatures(20), preprocessing.StandardScaler()
    for x, _ in PLAIN:
        scaler.learn_one(x)
        alone.learn_one(scaler.transform_one(x) if scaled else x)
    np.testing.assert_array_equal(features.state, alone.state)


def test_the_state_advances_once_per_sample_in_a_union() -> None:
    union = (compose.Select("flow") | ReservoirFeatures(20)) + compose.Select("flow")
    evaluate.progressive_val_score(PLAIN, union | readout(), metrics.MAE())
    features = next(iter(union.transformers.values()))["ReservoirFeatures"]
    np.testing.assert_array_equal(features.state, after(PLAIN))


def test_labels_that_come_after_a_while_find_the_features_they_were_predicted_from() -> None:
    """With the state moved on at predictions, and a memory as long as the delay."""
    seen: dict[str, list[Any]] = {"predicted": [], "learned": []}

    class Watching(linear_model.LinearRegression):
        def predict_one(self, x: Features) -> float:
            seen["predicted"].append(x)
            return 0.0

        def learn_one(self, x: Features, y: float) -> None:
            seen["learned"].append(x)

    features = ReservoirFeatures(20, time="at", memory=6)
    with compose.learn_during_predict():
        scored = evaluate.progressive_val_score(
            TIMED, features | Watching(), metrics.MAE(), moment="at", delay=dt.timedelta(minutes=50)
        )
    assert scored.get() > 0.0
    assert len(seen["learned"]) == len(TIMED)
    assert seen["learned"] == seen["predicted"]


def test_labels_that_come_after_a_while_leave_the_state_where_it_is_until_then() -> None:
    """Else: each prediction is from the newest sample whose label came, over the time since."""
    features = ReservoirFeatures(20, time="at")
    for x, _ in TIMED[:100]:
        features.learn_one(x)
    state, reservoir = features.state, features.to_reservoir()
    told = features.transform_one({**TIMED[100][0], "at": TIMED[104][0]["at"]})
    scale = ReservoirFeatures(20, time="at")
    np.testing.assert_array_equal(features.state, state)
    assert list(told) == list(features.transform_one(TIMED[0][0]))
    forecaster = Forecaster([1])
    for x, _ in TIMED[:100]:
        forecaster.step(None, x["flow"])
    u = (TIMED[100][0]["flow"] - forecaster.heard_mean) / forecaster.heard_spread
    expected = reservoir.step(state, u, 5.0)
    np.testing.assert_array_equal([told[f"unit_{k}"] for k in range(20)], expected)
    assert scale.inputs == ()


ROW = st.dictionaries(
    st.sampled_from(["at", "flow", "wind"]), st.one_of(st.none(), st.floats(-100, 100))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ROW, st.integers(0, 3), st.integers(0, 2)), max_size=25))
def test_questions_in_any_order_change_nothing_and_are_answered_alike(
    rows: list[tuple[Features, int, int]],
) -> None:
    """Asked before a sample is learned and after it, by any number of questions: bit for bit."""
    asked = ReservoirFeatures(10, time="at", features=["flow", "number", "wind"])
    unasked = asked.clone()
    for number, (row, before, others) in enumerate(rows):
        x = {**row, "number": number}  # no two are equal
        said = [asked.transform_one(dict(x)) for _ in range(before)]
        for k in range(others):
            asked.transform_one({"flow": float(k)})
        asked.learn_one(x)
        unasked.learn_one(x)
        said.append(asked.transform_one(dict(reversed(x.items()))))
        assert all(each == said[-1] for each in said)
        np.testing.assert_array_equal(asked.state, unasked.state)


def test_a_value_that_repeats_is_a_new_sample_when_it_is_learned_and_with_a_time_before() -> None:
    timed, untimed = ReservoirFeatures(10, time="at"), ReservoirFeatures(10)
    for k, value in enumerate([1.0, 3.0, 2.0, 2.0]):
        x = {"flow": value, "at": float(k)}
        told = timed.transform_one(x), untimed.transform_one({"flow": value})
        timed.learn_one(x)
        untimed.learn_one({"flow": value})
    after_it = timed.transform_one(x), untimed.transform_one({"flow": value})
    assert told[0] == after_it[0]
    assert told[1] != after_it[1]  # taken for the sample before: the docstring says so
    np.testing.assert_array_equal(timed.state, untimed.state)


# --------------------------------------------------------------------------- what comes and goes


def test_a_missing_feature_is_heard_at_its_last_value() -> None:
    gaps = [{"flow": 1.0}, {"flow": 3.0}, {"flow": None}, {}, {"flow": math.nan}, {"flow": 1e301}]
    held = [{"flow": 1.0}, *[{"flow": 3.0}] * 5]
    model, twin = ReservoirFeatures(10), ReservoirFeatures(10)
    a, b = states(model, gaps), states(twin, held)
    np.testing.assert_array_equal(a[:3], b[:3])
    assert np.isfinite(a).all()


def test_a_feature_that_comes_later_is_heard_and_leaves_the_others_weights() -> None:
    model = ReservoirFeatures(20)
    for x, _ in PLAIN[:50]:
        model.learn_one(x)
    before, alone = model.to_reservoir(), model.state
    model.learn_one({**PLAIN[50][0], "wind": 5.0, "sun": 1.0})
    assert model.inputs == ("flow", "sun", "wind")
    wider = model.to_reservoir()
    np.testing.assert_array_equal(wider.W_in[:, :1], before.W_in)
    np.testing.assert_array_equal(wider.links, before.links)
    assert (wider.W_in[:, 1:] != 0.0).all()
    assert not np.array_equal(alone, model.state)
    twin = copy.deepcopy(model)
    for each, wind in ((model, 5.0), (twin, 6.0), (model, 5.0), (twin, 6.0)):
        each.learn_one({**PLAIN[51][0], "wind": wind})
    assert not np.array_equal(model.state, twin.state)


def test_a_given_reservoir_has_no_input_for_what_comes_later() -> None:
    model = ReservoirFeatures(reservoir=Reservoir(10, 1))
    model.learn_one({"flow": 1.0})
    with pytest.warns(UserWarning, match=r"x\['wind'\] .* the reservoir has no input for it"):
        model.learn_one({"flow": 2.0, "wind": 1.0})
    model.learn_one({"flow": 2.0, "sun": 1.0})
    assert model.inputs == ("flow",)


def test_before_anything_is_learned_the_answer_is_the_one_after() -> None:
    for x in ({"flow": 1.0, "wind": 3.0}, {}):
        model = ReservoirFeatures(10)
        told = model.transform_one(x)
        model.learn_one(x)
        assert told == model.transform_one(x)


# -------------------------------------------------------------------------------- River's models


@pytest.mark.parametrize(
    "regressor",
    [readout(), linear_model.LinearRegression(), tree.HoeffdingTreeRegressor()],
    ids=lambda model: type(model).__name__,
)
def test_any_regressor_of_rivers_is_a_readout(regressor: Any) -> None:
    """The mean of what came before knows less."""
    rows = [(x, y - x["flow"]) for x, y in samples(1_000)]
    model = ReservoirFeatures(30) | regressor
    scored = evaluate.progressive_val_score(rows[500:], _after(model, rows[:500]), metrics.MAE())
    mean, still = stats.Mean(), metrics.MAE()
    for _, y in rows[500:]:
        mean.update(y)
        still.update(y, 0.0)
    assert scored.get() < 0.9 * still.get()


def _after(model: Any, rows: list[tuple[Features, float]]) -> Any:
    for x, y in rows:
        model.learn_one(x, y)
    return model


def test_a_readout_on_states_knows_what_one_on_the_newest_value_cannot() -> None:
    """Which way a wave goes: the reservoir remembers, the value alone does not."""
    scores = [
        evaluate.progressive_val_score(samples(800), model, metrics.RMSE()).get()
        for model in (
            ReservoirFeatures(30) | readout(),
            preprocessing.StandardScaler() | readout(),
        )
    ]
    assert scores[0] < 0.5 * scores[1]


def test_names_of_several_reservoirs_can_be_told_apart() -> None:
    fast = ReservoirFeatures(3, tau=(0.3, 1.0), prefix="fast_")
    slow = ReservoirFeatures(3, tau=(30.0, 100.0), prefix="slow_", constant=False)
    union = fast + slow
    union.learn_one({"flow": 1.0})
    told = union.transform_one({"flow": 1.0})
    wanted = {f"{speed}_{k}" for speed in ("fast", "slow") for k in range(3)}
    assert set(told) == {*wanted, "constant"}


# -------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ({"flow": "high"}, TypeError, r"x\['flow'\] is 'high', which is no number"),
        ({"flow": [1.0]}, TypeError, r"x\['flow'\] is \[1.0\], which is no number"),
        ({"flow": 1.0, "at": "noon"}, TypeError, r"the time x\['at'\] is 'noon'"),
        ({"flow": 1.0, "at": math.inf}, ValueError, r"the time x\['at'\] is inf"),
    ],
    ids=["word", "list", "time", "endless time"],
)
def test_what_is_no_number_is_refused_and_changes_nothing(
    x: Features, error: type[Exception], message: str
) -> None:
    for learned in (0, 20):
        rows = [{"flow": float(k % 5), "at": 10.0 * k} for k in range(learned)]
        model, twin = ReservoirFeatures(10, time="at"), ReservoirFeatures(10, time="at")
        states(model, rows), states(twin, rows)
        for call in (model.learn_one, model.transform_one):
            with pytest.raises(error, match=message):
                call(x)
        following = {"flow": 2.0, "at": 1_000.0}
        np.testing.assert_array_equal(states(model, [following]), states(twin, [following]))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"units": 0}, "units must be 1 or more, not 0"),
        ({"fan_in": 0}, "fan_in must be 1 or more"),
        ({"spectral_radius": math.nan}, "spectral_radius must be 0 or more"),
        ({"tau": (3.0, 1.0)}, "tau must be two positive numbers, rising"),
        ({"input_scale": 1.0}, "input_scale must be two positive numbers"),
        ({"bias": -1.0}, "bias must be 0 or more"),
        ({"every": 0.0}, "every must be positive"),
        ({"memory": 0}, "memory must be 1 or more"),
        ({"features": "flow"}, "features must be a list"),
    ],
    ids=str,
)
def test_a_parameter_that_cannot_be_is_refused_at_once(
    params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ReservoirFeatures(**params)


def test_a_reservoir_for_other_inputs_is_refused() -> None:
    model = ReservoirFeatures(reservoir=Reservoir(10, 2))
    for call in (model.transform_one, model.learn_one):
        with pytest.raises(ValueError, match="hears 2 inputs, and there are 1 features: list"):
            call({"flow": 1.0})
    with pytest.raises(ValueError, match="no sample has been learned yet"):
        model.to_reservoir()
