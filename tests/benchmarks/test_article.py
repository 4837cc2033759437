"""Trained networks beside ours: nobody knows what comes, and all have equally many weights."""

from __future__ import annotations

import doctest
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("ncps")

import torch

from benchmarks import article, article_models, article_ours, article_speed, article_streams
from benchmarks.article_lessons import HORIZONS, WARM, Answer, Scaled, Task, counted, lessons
from benchmarks.article_streams import Changing, Split
from benchmarks.article_training import Budget, train, validation
from streamlnn.interop.torch import ESN

SPLIT = Split(520, 120, 60, 540)
BRIEF = Budget(rates=(1e-2,), look=1, epochs=1, seconds=1e9)
MODELS = [
    "persistence",
    *article_models.TRAINED,
    "ours, 20 units, frozen",
    "ours, 20 units, going on",
    "our Forecaster, online",
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def wave(other_from: int | None = None) -> Changing:
    """A noisy wave, all other values from an index on."""
    n = SPLIT.change + SPLIT.after
    noise = np.random.default_rng(0).standard_normal(n)
    y = np.sin(np.arange(n) / 5.0) + 0.1 * noise
    if other_from is not None:
        y[other_from:] = 3.0 - 2.0 * y[other_from:]
    return Changing("wave", y, SPLIT, "nothing")


@cache
def answered(other_from: int | None = None) -> dict[str, Answer]:
    effort = replace(article.QUICK, budget=BRIEF, units=(20,))
    return dict(article.answers(wave(other_from), 0, effort))


@pytest.mark.parametrize("name", MODELS)
def test_no_model_depends_on_what_comes_later(name: str) -> None:
    """Training and validation are over at `known`; what is other comes after them."""
    cut = SPLIT.change + 100
    one, other = answered()[name].yhat, answered(cut)[name].yhat
    first = slice(SPLIT.train, cut)
    assert np.isfinite(one[first]).all()
    np.testing.assert_array_equal(one[first], other[first])
    assert not np.allclose(one[cut:], other[cut:])


def test_every_model_of_the_table_is_asked() -> None:
    assert list(answered()) == MODELS


def test_no_lesson_holds_what_comes_after_its_part() -> None:
    """NaN behind the training part, or behind the validation part, would be seen."""
    for end, taught in ((SPLIT.train, ("x", "y")), (SPLIT.known, ("valid_x", "valid_y"))):
        y = wave().y
        y[end:] = np.nan
        scaled = Scaled.of(y[: SPLIT.train], HORIZONS)
        x, targets = scaled.inputs(y), scaled.targets(y, HORIZONS)
        found = lessons(x, targets, SPLIT, max(HORIZONS))
        assert all(getattr(found, name).isfinite().all() for name in taught)


def test_validation_warms_the_state_by_the_steps_before_it() -> None:
    steps = torch.arange(float(SPLIT.known))[:, None]
    found = lessons(steps, steps, SPLIT, max(HORIZONS)).valid_x
    assert found[0, WARM, 0] == SPLIT.train
    assert torch.equal(found[1, : WARM + 1, 0], found[0, -1, 0] - WARM + 1 + torch.arange(WARM + 1))


def test_what_is_said_of_changes_becomes_what_was_to_come() -> None:
    y = wave().y
    scaled = Scaled.of(y[:100], HORIZONS)
    told = scaled.forecasts(y, scaled.targets(y, HORIZONS))
    for k, h in enumerate(HORIZONS):
        np.testing.assert_allclose(told[:-h, k], y[h:], atol=1e-6)
    nothing = scaled.forecasts(y, torch.zeros(y.size, len(HORIZONS)))
    np.testing.assert_array_equal(nothing, np.stack([y] * len(HORIZONS), axis=1))


def test_errors_count_for_the_phase_in_which_their_target_comes() -> None:
    y = np.zeros(SPLIT.change + SPLIT.after)
    stream = Changing("nothing", y, SPLIT, "nothing")
    off = np.full(y.size, 3.0)
    off[: SPLIT.change + article.AFTER] = 2.0
    off[: SPLIT.change] = 1.0
    yhat = np.full((y.size, len(HORIZONS)), np.nan)
    for k, h in enumerate(HORIZONS):
        yhat[:-h, k] = off[h:]
    np.testing.assert_array_equal(
        article.errors(stream, yhat), [[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]
    )


@pytest.mark.parametrize("name", article_models.TRAINED)
def test_networks_have_as_many_weights_as_the_articles(name: str) -> None:
    wanted, _ = counted(article_models.ArticleESN(100, 2))
    assert wanted == 10_502
    assert counted(article_models.TRAINED[name](2))[0] == pytest.approx(wanted, rel=0.015)
    assert counted(ESN(1, article_ours.MANY, 2)) == (wanted, 2 * (article_ours.MANY + 1))


def test_the_articles_network_goes_on_from_a_state_as_if_never_cut() -> None:
    net, x = article_models.ArticleESN(30, 2), torch.randn(3, 40, 1)
    whole, _ = net(x)
    first, state = net(x[:, :25])
    rest, _ = net(x[:, 25:], state)
    torch.testing.assert_close(torch.cat([first, rest], dim=1), whole)
    torch.testing.assert_close(net.last(x), whole[:, -1])


def test_training_finds_what_can_be_known() -> None:
    data = Task.of(wave()).lessons
    make = partial(article_models.ArticleESN, 20, len(HORIZONS))
    done = train(make, data, replace(BRIEF, epochs=120, patience=120), 0)
    assert done.ended == "epochs"
    assert validation(done.net, data) < 0.6 * validation(make(), data)


def test_what_is_fixed_stays_as_it_was_drawn() -> None:
    make = partial(article_models.ArticleESN, 20, len(HORIZONS), fixed=True)
    torch.manual_seed(0)
    begun = make().state_dict()
    net = train(make, Task.of(wave()).lessons, replace(BRIEF, epochs=5), 0).net
    moved = [name for name, w in net.state_dict().items() if not torch.equal(w, begun[name])]
    assert moved == ["W_out.weight", "W_out.bias"]


@pytest.mark.parametrize(
    ("budget", "end"),
    [
        (replace(BRIEF, epochs=3), "epochs"),
        (replace(BRIEF, seconds=0.0), "time"),
        (Budget(rates=(1e3,), look=1, epochs=99, patience=2, seconds=1e9), "validation"),
    ],
    ids=["epochs", "time", "validation"],
)
def test_training_ends_by_its_budget(budget: Budget, end: str) -> None:
    data = Task.of(wave()).lessons
    make = partial(article_models.ArticleESN, 10, len(HORIZONS))
    assert train(make, data, budget, 0).ended == end


def test_the_best_rate_goes_on() -> None:
    """A rate that breaks the network is tried, and left."""
    data = Task.of(wave()).lessons
    make = partial(article_models.ArticleESN, 10, len(HORIZONS))
    budget = replace(BRIEF, look=2, epochs=4)
    good = train(make, data, replace(budget, rates=(1e-2,)), 0)
    found = train(make, data, replace(budget, rates=(1e3, 1e-2)), 0)
    assert validation(found.net, data) == validation(good.net, data)


def test_going_on_is_a_readout_for_each_horizon_that_learns_when_targets_come() -> None:
    """What is later than now is NaN here for both, and the forecasts are the same."""
    task = Task.of(wave())
    fresh = partial(article_ours.chosen, task, 20, 0, article_ours.GRID[:1])
    said = article_ours.going_on(fresh(), task)
    visited = fresh().states(task.x)
    for k, h in enumerate(HORIZONS):
        model = fresh()
        for t in range(SPLIT.train - max(HORIZONS) + h, SPLIT.known):
            target = task.y[t - h : t - h + 1].clone()
            target[:, [j for j in range(len(HORIZONS)) if j != k]] = torch.nan
            model.partial_fit(task.x[t - h : t - h + 1], target, visited[t - h - 1])
            issued = model.W_out(visited[t])[k].detach()
            torch.testing.assert_close(said[t, k], issued, rtol=1e-4, atol=1e-5)


def test_made_streams_are_of_another_kind_from_the_change_on() -> None:
    """Mackey-Glass of a longer delay takes longer to turn; a faster Lorenz system moves more."""
    glass = article_streams.mackey_glass(SPLIT, 0)
    again = article_streams.mackey_glass(replace(SPLIT, after=600), 0)
    np.testing.assert_array_equal(glass.y[: SPLIT.change], again.y[: SPLIT.change])
    lorenz = article_streams.lorenz(SPLIT, 0).y
    before, after = np.split(np.abs(np.diff(lorenz)), [SPLIT.change])
    assert after.mean() > 1.2 * before.mean()
    assert glass.y.size == lorenz.size == SPLIT.change + SPLIT.after


def test_recorded_streams_change_as_they_say(folder: Path) -> None:
    flow = article_streams.pump(Split(), folder).y
    assert np.median(flow[: Split().change]) == pytest.approx(125.0, abs=2.0)
    assert np.median(flow[Split().change :]) == pytest.approx(32.0, abs=1.0)
    bulb = article_streams.wet_bulb(Split(), folder).y
    celsius = article_streams.wet_bulb(Split(after=0, before=3_200), folder).y
    fahrenheit = 32.0 + 1.8 * celsius[Split().change :]
    np.testing.assert_allclose(bulb[Split().change :], fahrenheit)


@pytest.fixture
def folder() -> Path:
    named = os.environ.get("STREAMLNN_DATA")
    if not named:
        pytest.skip("needs the recordings: set STREAMLNN_DATA to their folder")
    return Path(named)


def test_the_command_prints_every_model_in_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STREAMLNN_DATA", raising=False)
    told = CliRunner().invoke(article.main, ["--quick"])
    assert told.exit_code == 0, told.output
    names = [*MODELS[:-3], *(f"ours, 100 units, {way}" for way in ("frozen", "going on"))]
    for name in [*names, MODELS[-1]]:
        assert told.stdout.count(f"\n| {name} ") == 4, name
    assert told.stdout.count("\n| persistence's MAE ") == 3
    assert "Lorenz, 12" in told.stdout
    assert "half again as fast" in told.stderr


def test_the_speed_of_sequences_is_told_for_every_size() -> None:
    found = list(article_speed.rows((10, 20), (1, 2), 1))
    assert [row[:2] for _, row in found] == [["10", "1"], ["10", "2"], ["20", "1"], ["20", "2"]]
    assert all(ratio > 0.0 for ratio, _ in found)


@pytest.mark.parametrize("missing", ["torch", "ncps"])
def test_a_missing_extra_is_named(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import benchmarks.article"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 1
    assert "pip install '.[bench]'" in done.stderr


def test_examples_in_docstrings_hold() -> None:
    failed, tried = doctest.testmod(article)
    assert tried > 0
    assert failed == 0
