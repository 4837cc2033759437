"""The protocol that the accuracy tables are made by: causal, fair, and the same as `eval`'s."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import accuracy, chaos, common, esn, published, river_peers, series, signals
from streamlnn.evaluation import baselines

Array = common.Array
HORIZONS = [1, 4, 9]
QUIET = esn.Settings(0.5, 0.5, 0.9)


def wave(n: int, seed: int = 0) -> Array:
    t = np.arange(n)
    return np.sin(t / 5) + 0.3 * np.random.default_rng(seed).standard_normal(n)


@pytest.fixture
def folder() -> Path:
    named = os.environ.get("STREAMLNN_DATA")
    if not named:
        pytest.skip("needs the recordings: set STREAMLNN_DATA to their folder")
    return Path(named)


def by_esn(y: Array) -> Array:
    pytest.importorskip("reservoirpy")
    return esn.forecasts(esn.features(y[:, None], QUIET, units=20), y, HORIZONS, QUIET)


def by_snarimax(y: Array) -> Array:
    pytest.importorskip("river")
    return dict(river_peers.forecasts(y, HORIZONS, 12))["SNARIMAX 1e-3"]


def by_holt_winters(y: Array) -> Array:
    pytest.importorskip("river")
    return dict(river_peers.forecasts(y, HORIZONS, 12))["HoltWinters .5 .001 .1"]


def by_ours_in_chaos(y: Array) -> Array:
    return chaos.ours(chaos.Series("wave", np.stack([y**2, y], axis=1), HORIZONS))


def by_ours_in_accuracy(y: Array) -> Array:
    return accuracy.ours(series.Series("wave", None, y), [31]).yhat


def by_ours_as_published(y: Array) -> Array:
    task = published.Task(np.arange(y.size) * 60.0, np.stack([y, -y], axis=1), 600, 31)
    return published.ours(task).reshape(y.size, -1)


def by_the_clock(y: Array) -> Array:
    time = np.cumsum(np.random.default_rng(5).exponential(1.0, y.size))
    return series.by_the_clock(time, y, HORIZONS, 31.0)


@pytest.mark.parametrize(
    "method",
    [
        by_esn,
        by_snarimax,
        by_holt_winters,
        by_ours_in_chaos,
        by_ours_in_accuracy,
        by_ours_as_published,
        by_the_clock,
    ],
)
def test_no_forecast_depends_on_what_comes_later(method: Callable[[Array], Array]) -> None:
    """Standardising is what the first 1,000 samples are for: the change comes after them."""
    y = wave(1_150)
    later = y.copy()
    later[1_100:] = 7.0 * later[1_100:] + 3.0
    before, after = method(y), method(later)
    np.testing.assert_array_equal(before[:1_100], after[:1_100])
    assert not np.allclose(before[1_100:], after[1_100:])


def test_the_label_just_learned_does_depend_on_it() -> None:
    """The row that shows the leak of other protocols would fail the test above, as it should."""
    y = wave(300)
    later = y.copy()
    later[200:] += 1.0
    first = published.label_just_learned(y)[:200]
    assert not np.array_equal(first, published.label_just_learned(later)[:200])


def test_the_leak_is_worth_all_the_horizon() -> None:
    """Who knows the label before scores at 48 steps as persistence does at one."""
    values = np.cumsum(wave(2_000))[:, None]
    leaked = published.scores(values, published.label_just_learned(values[:, 0])[..., None], 500)
    honest = published.scores(
        values, baselines.persistence(values[:, 0], published.STEPS)[..., None], 500
    )
    assert leaked[0] == pytest.approx(honest[0])
    assert leaked[2][0] == pytest.approx(honest[0][0], rel=0.05)
    assert honest[2][0] > 10.0 * leaked[2][0]


def test_the_score_of_windows_is_that_of_each_window_in_turn() -> None:
    random = np.random.default_rng(3)
    values, forecasts = random.normal(size=(90, 2)), random.normal(size=(90, 48, 2))
    first = 30
    for steps, (mse, mae) in zip(
        published.HORIZONS, published.scores(values, forecasts, first), strict=True
    ):
        windows = range(first, 90 - steps + 1)
        errors = np.array([forecasts[w - 1, :steps] - values[w : w + steps] for w in windows])
        assert mse == pytest.approx((errors**2).mean())
        assert mae == pytest.approx(np.abs(errors).mean())


def test_reservoirpy_learns_each_horizon_as_a_readout_of_its_own_would() -> None:
    """Features wait for their target; the forecast is made by `step`, before `partial_fit`."""
    nodes = pytest.importorskip("reservoirpy.nodes")
    y, settings = wave(200), esn.Settings(0.5, 0.5, 0.9, 1e-2, 0.999)
    x = esn.features(y[:, None], settings, units=15)
    issued = esn.forecasts(x, y, HORIZONS, settings)
    for k, h in enumerate(HORIZONS):
        readout = nodes.RLS(alpha=1e-2, fit_bias=False, forgetting=0.999)
        readout.initialize(x[:1], y[:1, None])
        for t in range(y.size):
            if t >= h:
                readout.partial_fit(x[t - h : t - h + 1], y[t : t + 1, None])
            assert readout.step(x[t])[0] == pytest.approx(issued[t, k], rel=1e-9, abs=1e-9)


def test_what_reservoirpy_returns_when_it_learns_is_no_forecast() -> None:
    """The trap: of white noise nothing is known ahead, and yet it seems to be."""
    nodes = pytest.importorskip("reservoirpy.nodes")
    noise = np.random.default_rng(4).standard_normal(200)
    x = esn.features(noise[:, None], QUIET, units=40)
    told = nodes.RLS(alpha=1e-4, fit_bias=False).partial_fit(x[:-1], noise[1:, None])[:, 0]
    issued = esn.forecasts(x, noise, [1], QUIET)[:-1, 0]
    late = slice(60, None)
    errors = [np.mean((noise[1:] - answer)[late] ** 2) for answer in (told, issued)]
    assert errors[0] < 0.9 * noise.var() < noise.var() < errors[1]


def test_the_reservoir_advances_once_a_sample() -> None:
    pytest.importorskip("reservoirpy")
    y = wave(1_200)
    x = esn.features(y[:, None], QUIET, units=10)
    known = y[: esn.SETTLED]
    np.testing.assert_allclose(x[:, 10], (y - known.mean()) / known.std())
    assert np.all(x[:, 11] == 1.0)
    twin = esn.reservoir(QUIET, 10)
    np.testing.assert_allclose([twin.step(row[10:11]) for row in x[:50]], x[:50, :10])


def test_a_broken_peer_scores_infinite_and_never_wins() -> None:
    pytest.importorskip("reservoirpy")
    y = wave(1_300)
    broken = esn.Settings(1.0, 1.0, 0.9, alpha=1e-300, forgetting=0.5)
    assert esn.scores(y[:, None], y, [1], broken, units=20) == [np.inf]
    search = esn.Search(1_200, 1, 20, [QUIET], [(1e-300, 0.5), (1e-2, 1.0)])
    (error, chosen), *_ = search.best(y[:, None], y, [1, 6])
    assert np.isfinite(error)
    assert (chosen.alpha, chosen.forgetting) == (1e-2, 1.0)


def test_the_search_takes_the_lowest_of_all_that_it_tried_for_each_horizon() -> None:
    pytest.importorskip("reservoirpy")
    y = wave(1_300)
    y = (y - y[: esn.SETTLED].mean()) / y[: esn.SETTLED].std()
    tried = [esn.Settings(leak, 0.5, 0.9) for leak in (0.1, 1.0)]
    search = esn.Search(1_300, 2, 20, tried, [(1e-4, 1.0)])
    scores = [esn.scores(y[:, None], y, [1, 6], one, units=20) for one in tried]
    found = search.best(y[:, None], y, [1, 6])
    assert [error for error, _ in found] == pytest.approx(list(np.min(scores, axis=0)), rel=1e-6)


def test_the_accuracy_table_says_what_eval_says(tmp_path: Path) -> None:
    """The simple methods are the daemon's own, and so are the cells that are scored."""
    y = wave(900)
    y[[40, 600, 601]] = np.nan
    file = tmp_path / "wave.csv"
    cells = ["" if np.isnan(value) else repr(float(value)) for value in y]
    file.write_text("\n".join(["time,y", *(f"{60 * t},{cell}" for t, cell in enumerate(cells))]))
    command = [sys.executable, "-P", "-m", "streamlnn", "eval", file, "--target", "y"]
    done = subprocess.run([*command, "--season", "31", "--json"], capture_output=True, timeout=250)
    assert done.returncode == 0, done.stderr.decode()
    found = accuracy.cells(series.Series("wave", np.arange(y.size) * 60.0, y, 31))
    for cell, row in zip(found, json.loads(done.stdout), strict=True):
        keys = ("mae", "mae_persistence", "mae_seasonal", "mae_ar", "coverage")
        ours, _, *others = cell.errors[:5]
        assert [ours, *others, cell.coverage] == pytest.approx([row[k] for k in keys], rel=1e-12)


def test_a_series_without_a_season_has_no_seasonal_and_no_untold_column() -> None:
    cell = accuracy.cells(series.Series("wave", None, wave(700)))[0]
    told = [name for name, e in zip(accuracy.METHODS, cell.errors, strict=True) if np.isfinite(e)]
    assert told == ["ours", "persistence", "AR(24)"]


def test_the_best_of_river_counts_unless_it_came_late_or_broke() -> None:
    pytest.importorskip("river")
    y = wave(800)
    cell = accuracy.cells(series.Series("wave", None, y, 600), river=True)[0]
    peers = dict(river_peers.forecasts(y, [1, 12, 48], 600))
    late = peers["HoltWinters .3 .1 .6"]
    assert np.isnan(late[:598]).all()
    in_time = [peers[name][:, 0] for name in river_peers.RATES]
    assert cell.errors[5] == pytest.approx(min(common.mae(*common.paired(y, in_time, 1))))


def test_cells_are_scored_where_every_method_answers_and_the_target_is_known() -> None:
    random = np.random.default_rng(6)
    y, one, other = random.normal(size=(3, 60))
    y[20], one[30], other[40] = np.nan, np.nan, np.inf
    h, skip = 5, 10
    pairs = [
        (y[t + h], one[t], other[t])
        for t in range(60 - h)
        if t + h >= skip and np.isfinite([y[t + h], one[t], other[t]]).all()
    ]
    actual, issued = common.paired(y, [one, other], h, skip)
    np.testing.assert_array_equal(np.vstack([actual, issued]).T, pairs)
    assert actual.size == 60 - skip - 3


def test_signals_are_the_same_at_every_call_and_noise_has_its_share() -> None:
    clean = signals.narma10(5_000)
    np.testing.assert_array_equal(clean, signals.narma10(5_000))
    noise = signals.with_noise(clean, 0.05) - clean
    np.testing.assert_allclose(noise.std(axis=0) / clean.std(axis=0), 0.05, rtol=0.05)
    u, y = clean.T
    again = 0.3 * y[9] + 0.05 * y[9] * y[:10].sum() + 1.5 * u[0] * u[9] + 0.1
    assert y[10] == pytest.approx(again)


def test_chaos_is_what_is_known_of_it() -> None:
    """Mackey-Glass moves between .4 and 1.3 at tau 17; Lorenz x has a deviation of 7.9."""
    x = signals.mackey_glass(1_500)
    assert 0.35 < x.min() < 0.5
    assert 1.25 < x.max() < 1.4
    lorenz = signals.lorenz(3_000)
    assert lorenz.std() == pytest.approx(7.9, rel=0.05)
    assert abs(lorenz.mean()) < 2.0


@pytest.mark.parametrize("module", [common, series])
def test_examples_in_docstrings_hold(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried > 0
    assert failed == 0


def test_a_table_without_recordings_says_where_to_name_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("STREAMLNN_DATA", raising=False)
    told = CliRunner().invoke(accuracy.main, [])
    assert told.exit_code == 2
    assert "STREAMLNN_DATA" in told.output


def test_the_accuracy_command_prints_a_table_of_a_recording(folder: Path) -> None:
    told = CliRunner().invoke(accuracy.main, ["--quick", "--only", "well_log", "--data", folder])
    assert told.exit_code == 0, told.output
    assert told.output.count("| Bore hole (TCPD well_log) |") == 3
    assert "Ours: best in" in told.output


def test_recordings_are_read_as_their_readme_describes_them(folder: Path) -> None:
    prefix = common.read("ETTm1_prefix.csv", folder)
    assert prefix.values.shape == (19_557, 7)
    assert np.isfinite(prefix.values).all()
    helium = common.read("helium_ems.ndjson", folder)
    assert len(helium.values) == 8_110
    assert len(common.without_repeats(helium, "fcnt").values) == 8_110 - 1_966
    occupancy = common.read("occupancy_datatraining.txt", folder)
    assert occupancy.values[0].tolist()[:2] == [23.18, 27.272]
    assert set(occupancy.column("Occupancy")) == {0.0, 1.0}


def test_the_published_protocol_is_met_to_the_digit(folder: Path) -> None:
    """Persistence on the first 14,400 rows of ETTm1: figures of it are known from elsewhere."""
    task = published.tasks(folder)[0]
    assert task.values.shape == (14_400, 7)
    issued = published.each_channel(task, lambda y: baselines.persistence(y, published.STEPS))
    found = published.scores(task.values, issued, task.first)
    assert [mse for mse, _ in found] == pytest.approx([0.0914, 0.579, 0.935], rel=2e-3)
