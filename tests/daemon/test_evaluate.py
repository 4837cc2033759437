"""What `eval` reports is what a plain count over the forecasts says, beside honest baselines."""

from __future__ import annotations

import gzip
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from streamlnn import Forecaster
from streamlnn.daemon import baselines
from streamlnn.daemon.evaluate import Row, evaluate, print_table


def two_fields(n: int = 1500) -> np.ndarray:
    random = np.random.default_rng(0)
    leader = random.standard_normal(n)
    follower = np.concatenate([[0.0], leader[:-1]]) + np.sin(np.arange(n) / 5.0)
    return np.stack([leader, follower], axis=1)


def test_every_column_is_a_count_over_the_same_cells() -> None:
    """All figures of a row are recomputed here from the forecasts, holes in the target left out."""
    values = two_fields()[:, 1:]
    values[::7] = np.nan
    values[0] = 0.0
    row = evaluate(None, values, ["y"], stream="s", horizons=[12], seasons=[20])[0]
    made = Forecaster([12], seasons=[20]).replay(None, values)
    y = values[500:, 0]
    cells = np.isfinite(y)
    assert (row.stream, row.target, row.h, row.n) == ("s", "y", 12, cells.sum())
    yhat, lower, upper = (
        b[488:-12, 0][cells] for b in (made.yhat, made.yhat_lower, made.yhat_upper)
    )
    last = baselines.filled(values[:, 0])
    naive = np.abs(y[cells] - last[488:-12][cells]).mean()
    error = y[cells] - yhat
    assert row.mae == pytest.approx(np.abs(error).mean())
    assert row.rmse == pytest.approx(np.sqrt((error**2).mean()))
    assert row.mase == pytest.approx(row.mae / naive)
    assert row.mae_persistence == pytest.approx(naive)
    assert row.mae_seasonal == pytest.approx(np.abs(y[cells] - last[480:-20][cells]).mean())
    assert row.coverage == pytest.approx(((lower <= y[cells]) & (y[cells] <= upper)).mean())
    assert row.width == pytest.approx((upper - lower).mean())


def test_a_target_is_forecast_from_itself_alone_unless_inputs_are_named() -> None:
    """Without targets all fields help each other; with inputs those named do."""
    names, values = ["leader", "follower"], two_fields()

    def score(**arguments: list[str]) -> float:
        rows = evaluate(None, values, names, stream="s", horizons=[1], **arguments)
        return next(row.mae for row in rows if row.target == "follower")

    alone = score(targets=["follower"])
    assert score() < 0.5 * alone
    assert score(targets=["follower"], inputs=["leader"]) < 0.5 * alone
    single = evaluate(None, values[:, 1:], ["follower"], stream="s", horizons=[1])
    assert single[0].mae == alone


def test_the_model_is_as_it_is_told_to_be() -> None:
    """Level, seasons and the model's own arguments are those of the forecaster that is scored."""
    values = two_fields()[:, 1:]
    model = {"units": 20, "seed": 3, "dtype": "float64", "every": 2.0}
    row = evaluate(
        None, values, ["y"], stream="s", horizons=[1], seasons=[10, 31], level=0.5, model=model
    )[0]
    made = Forecaster([1], seasons=[10, 31], level=0.5, **model).replay(None, values)
    y, yhat = values[500:, 0], made.yhat[499:-1, 0]
    assert row.mae == pytest.approx(np.abs(y - yhat).mean())
    assert (row.level, row.coverage) == (0.5, pytest.approx(0.5, abs=0.05))
    assert row.mae_seasonal == pytest.approx(np.abs(y - values[490:-10, 0]).mean())


def test_rows_come_by_target_and_rising_horizon() -> None:
    """One row for each target and horizon, whatever the order asked for."""
    rows = evaluate(None, two_fields(700), ["a", "b"], stream="s", horizons=[12, 1])
    assert [(row.target, row.h) for row in rows] == [("a", 1), ("a", 12), ("b", 1), ("b", 12)]


def test_an_unknown_field_is_refused_with_the_nearest_name() -> None:
    """A typing error is met with what was probably meant."""
    with pytest.raises(ValueError, match="'folower'; did you mean 'follower'"):
        evaluate(None, two_fields(10), ["leader", "follower"], stream="s", targets=["folower"])


def test_a_recording_too_short_to_score_says_so_with_no_cells() -> None:
    """No cell, no figures; nothing is raised."""
    row = evaluate(None, two_fields(100)[:, :1], ["y"], stream="s", horizons=[1])[0]
    assert row.n == 0
    assert np.isnan([row.mae, row.rmse, row.mase, row.coverage, row.width, row.mae_ar]).all()


def test_the_table_marks_the_best_of_each_row_also_where_it_is_not_ours() -> None:
    """Losses are shown as openly as wins."""
    rows = [
        Row("s", "y", 1, 9, 1.0, 1.5, 0.5, 0.9, 3.0, 2.0, float("nan"), 1.25),
        Row("s", "y", 12, 9, 4.0, 5.0, 2.0, 0.9, 3.0, 2.0, float("nan"), 3.0),
    ]
    lines = [line for line in printed(rows, width=160).splitlines() if "│ s " in line]
    assert "1 *" in lines[0]
    assert "2 *" in lines[1]
    assert "90.0% of 90%" in lines[0]


def printed(rows: list[Row], **terminal: object) -> str:
    console = Console(**{"file": io.StringIO(), "force_terminal": True, **terminal})
    with console.capture() as captured:
        print_table(rows, console)
    return re.sub(r"\x1b\[[0-9;]*m", "", captured.get())


@pytest.mark.parametrize("terminal", [{"width": 40}, {"width": 300, "force_terminal": False}])
def test_no_figure_is_cut_where_there_is_no_terminal_or_a_narrow_one(
    terminal: dict[str, object],
) -> None:
    """Then the table is plain columns, a line for each row, in full."""
    figures = [0.12345, 1.5678e-7, 0.56789, 0.91234, 31234.0, 2.3456e8, float("nan"), 1.2345]
    row = Row("a/stream/of/some/length", "a.target.of.some.length", 48, 100_000, *figures)
    text = printed([row, row], **terminal)
    assert "…" not in text
    assert "│" not in text
    lines = [line.split() for line in text.splitlines() if line.startswith("a/stream")]
    assert lines == 2 * [
        [
            *(row.stream, row.target, "48", "100000"),
            *("0.1235", "*", "2.346e+08", "-", "1.234"),
            *("1.568e-07", "0.5679", "91.2%", "of", "90%", "3.123e+04"),
        ]
    ]


def test_persistence_and_seasonal_naive_hold_what_was_last_known() -> None:
    """Holes are bridged by the last value; a season not yet seen is answered by persistence."""
    y = np.array([1.0, 2.0, np.nan, 4.0, 5.0, 6.0])
    np.testing.assert_array_equal(baselines.persistence(y, [1])[:, 0], [1, 2, 2, 4, 5, 6])
    np.testing.assert_array_equal(baselines.seasonal_naive(y, [1], 3)[:, 0], [1, 2, 1, 2, 2, 4])
    np.testing.assert_array_equal(baselines.seasonal_naive(y, [3], 3)[:, 0], [1, 2, 2, 4, 5, 6])
    np.testing.assert_array_equal(
        baselines.seasonal_naive(y, [4], 3), baselines.seasonal_naive(y, [1], 3)
    )


def test_autoregression_looks_at_no_future_and_finds_the_process() -> None:
    """It nears the smallest error a known process allows, and later values change nothing."""
    random = np.random.default_rng(0)
    noise = random.standard_normal(6000)
    y = np.zeros(6000)
    for t in range(2, 6000):
        y[t] = 1.6 * y[t - 1] - 0.8 * y[t - 2] + noise[t]
    yhat = baselines.autoregression(y, [1])
    assert np.abs(y[3000:] - yhat[2999:-1, 0]).mean() < 1.03 * np.abs(noise[3000:]).mean()
    other = y.copy()
    other[4000:] = 99.0
    changed = baselines.autoregression(other, [1])
    np.testing.assert_array_equal(yhat[:4000], changed[:4000])


def recorded(name: str, column: int, *, delimiter: str = ",") -> np.ndarray:
    folder = os.environ.get("STREAMLNN_DATA")
    if not folder:
        pytest.skip("needs the recordings: set STREAMLNN_DATA to their folder")
    path = Path(folder) / f"{name}.csv.gz"
    assert path.is_file(), f"STREAMLNN_DATA is set, but there is no {path}"
    with gzip.open(path, "rt") as lines:
        return np.genfromtxt(lines, delimiter=delimiter, skip_header=1, usecols=column)


RECORDED = {
    "ETTh1": (7, ",", (0.597, 2.18, 2.82), (0.589, 1.80, 2.69)),
    "nab_machine_temperature": (1, ",", (0.845, 2.20, 5.07), (0.782, 2.22, 5.37)),
    "skab_anomaly-free": (8, ";", (0.395, 0.495, 0.598), (0.340, 0.414, 0.511)),
}


@pytest.mark.parametrize("name", RECORDED)
def test_known_figures_of_recordings_are_reproduced_and_beaten(name: str) -> None:
    """Baselines agree to 1 % with figures found independently; ours is no worse than 4 % above."""
    column, delimiter, naive, autoregression = RECORDED[name]
    values = recorded(name, column, delimiter=delimiter)[:, None]
    rows = evaluate(None, values, ["y"], stream=name)
    assert [row.mae_persistence for row in rows] == pytest.approx(naive, rel=0.01)
    assert [row.mae_ar for row in rows] == pytest.approx(autoregression, rel=0.01)
    for row in rows:
        assert row.mae < 1.04 * min(row.mae_ar, row.mae_persistence)
        assert row.coverage == pytest.approx(0.9, abs=0.02)


def test_times_are_told_to_the_model_and_may_be_irregular() -> None:
    """With times the same cells are scored, also across a clock that steps back."""
    values = two_fields()[:, 1:]
    times = np.arange(1500.0) * 60.0
    times[700:] -= 1800.0
    rows = [evaluate(t, values, ["y"], stream="s", horizons=[1]) for t in (None, times)]
    assert [row[0].n for row in rows] == [1000, 1000]
    assert rows[1][0].mae == pytest.approx(rows[0][0].mae, rel=0.1)
