"""What stands along and beside the panels of a picture is right, and can be read in print."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streamlnn import Forecaster

plot = pytest.importorskip("streamlnn.plot", exc_type=ModuleNotFoundError)
album = pytest.importorskip("streamlnn.daemon.album", exc_type=ModuleNotFoundError)
drawing = pytest.importorskip("streamlnn.plot.drawing", exc_type=ModuleNotFoundError)
page = pytest.importorskip("streamlnn.plot.page", exc_type=ModuleNotFoundError)

BEGUN = np.datetime64("2013-12-30T00:00:00", "us")


def states(n: int = 200) -> np.ndarray:
    return np.tanh(np.random.default_rng(0).standard_normal((n, 6)))


def every_hour(n: int = 200) -> np.ndarray:
    return BEGUN + np.arange(n) * np.timedelta64(1, "h").astype("timedelta64[us]")


def spans(figure: Any) -> set[tuple[float, float]]:
    """From where to where the panels with a title go."""
    return {axes.get_xlim() for axes in figure.axes if axes.get_title("left")}


def lowest(figure: Any) -> Any:
    """The panel below which the axis is told, once it was drawn."""
    figure.draw_without_rendering()
    return next(axes for axes in figure.axes if axes.get_xlabel())


def step_back(times: np.ndarray) -> np.ndarray:
    return np.concatenate([times[:100], times[90:-10]])


def repeated(times: np.ndarray) -> np.ndarray:
    return np.insert(times[:-1], 100, times[100])


@pytest.mark.parametrize("odd", [step_back, repeated])
def test_the_dates_are_right_in_all_panels_where_the_time_does_not_rise(odd: Any) -> None:
    x = odd(every_hour())
    figure = plot.states(states(), x, values=np.ones(200))
    [(first, last)] = spans(figure)
    in_days = x.astype("datetime64[us]").astype(float) / 86400e6
    assert (first, last) == (in_days.min(), in_days.max())
    told = lowest(figure)
    assert told.get_xlabel() == "time (UTC)"
    assert told.xaxis.get_offset_text().get_text().startswith("2013-12-30 to 2014-01-0")
    [mesh] = figure.axes[1].collections
    assert mesh.get_array().shape[1] == len(np.unique(x))


def test_records_are_counted_in_all_panels_where_the_clock_was_set_back_for_many() -> None:
    x = every_hour()[np.arange(200) % 120]
    figure = plot.states(states(), x, values=np.ones(200))
    assert spans(figure) == {(0.0, 199.0)}
    assert lowest(figure).get_xlabel() == "record"
    assert figure.axes[1].collections[0].get_array().shape == (6, 200)


def test_all_at_one_moment_is_counted_in_records() -> None:
    figure = plot.states(states(), np.full(200, BEGUN))
    assert (spans(figure), lowest(figure).get_xlabel()) == ({(0.0, 199.0)}, "record")


def test_dates_of_any_kind_are_taken_as_utc() -> None:
    hours = [datetime(2013, 12, 30, tzinfo=UTC) + timedelta(hours=n) for n in range(200)]
    east = [one.astimezone(timezone(timedelta(hours=5))) for one in hours]
    bare = [one.replace(tzinfo=None) for one in hours]
    wanted = spans(plot.states(states(), every_hour()))
    assert all(spans(plot.states(states(), given)) == wanted for given in (hours, east, bare))


def test_the_panels_say_what_and_which_unit_they_show() -> None:
    played = plot.play(Forecaster([1, 12], units=10), np.sin(np.arange(200) / 5), name="pump")
    played.words.units[0] = "bar"
    for figure in (plot.scores(played), plot.forecast(played), page.page(played)):
        labels = {axes.get_ylabel() for axes in figure.axes}
        assert "value (bar)" in labels
        assert labels <= {"value (bar)", "MAE (bar)", "skill", "coverage"}
        assert lowest(figure).get_xlabel() == "record"
        assert figure.get_suptitle().startswith("pump, value")


def test_colour_bars_say_what_the_colours_are() -> None:
    figure = plot.states(states())
    assert [axes.get_ylabel() for axes in figure.axes[-2:]] == ["state", "state less its mean"]
    for drawn in (plot.weights({"a": np.ones((1, 3))}, [1]), plot.connectivity(np.eye(3))):
        assert drawn.axes[-1].get_ylabel() == "weight"


def test_the_range_below_the_axis_is_as_fine_as_the_range_is_short() -> None:
    told = {}
    for step in ("D", "h", "m", "s", "ms"):
        x = BEGUN + np.arange(60).astype(f"timedelta64[{step}]")
        offset = lowest(plot.states(states(60), x)).xaxis.get_offset_text()
        told[step] = offset.get_text()
    assert told == {
        "D": "2013-12-30 to 2014-02-27",
        "h": "2013-12-30 00:00 to 2014-01-01 11:00",
        "m": "2013-12-30 00:00 to 00:59",
        "s": "2013-12-30 00:00:00 to 00:00:59",
        "ms": "2013-12-30 00:00:00.000 to 00:00:00.059",
    }


def test_small_numbers_stand_in_full_at_the_ticks_and_none_is_larger_than_the_others() -> None:
    axes = plot.states(states(), values=1e-5 * np.arange(200)).axes[0]
    axes.figure.draw_without_rendering()
    assert axes.yaxis.get_offset_text().get_text() == ""
    bars = plot.weights({"a": np.ones((1, 3)), "b": 20 * np.ones((1, 3))}, [1]).axes[1]
    assert {text.get_size() for text in bars.get_yticklabels(which="both")} == {7.0}


def test_lines_and_bars_can_be_told_apart_without_colour() -> None:
    rows = np.ones((9, 3))
    bars = plot.weights({"a": rows, "b": rows}, range(9)).axes[1].containers
    assert len({bar[0].get_hatch() for bar in bars}) == len(bars) == 4
    played = plot.play(Forecaster([1, 5, 12], units=10), np.sin(np.arange(300) / 5))
    top, *latest = plot.forecast(played).axes
    assert len(latest) == 3
    for axes in latest:
        measured, forecast = axes.get_lines()[:2]
        assert measured.get_linestyle() != forecast.get_linestyle()
    forms = {line.get_label(): line.get_linestyle() for line in top.get_lines()}
    assert forms["earlier forecast"] != forms["forecast"]


def test_names_are_no_formulas(tmp_path: Path) -> None:
    played = plot.play(
        Forecaster([1]), np.sin(np.arange(60) / 5), name="$\\frac$ a_b", targets=["$x^$"]
    )
    album.save(plot.forecast(played), tmp_path / "o.svg", "-o")
    assert "$x^$" in (tmp_path / "o.svg").read_text()


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_the_same_picture_is_the_same_file(form: str, tmp_path: Path) -> None:
    for name in "ab":
        figure = plot.states(states(), every_hour(), values=np.ones(200), title="pump")
        album.save(figure, tmp_path / f"{name}.{form}", "-o")
    assert (tmp_path / f"a.{form}").read_bytes() == (tmp_path / f"b.{form}").read_bytes()
    if form == "svg":
        assert ">time (UTC)</text>" in (tmp_path / "a.svg").read_text()


def test_a_drift_that_lasts_is_explained_beside_every_panel_that_it_shades() -> None:
    values = np.sin(np.arange(400) / 5)
    values[300:] = np.random.default_rng(0).normal(40.0, 9.0, 100)
    figure = plot.forecast(plot.play(Forecaster([1, 12], units=10), values))
    shades = [
        {patch.get_label() for patch in axes.patches if patch.get_label()} for axes in figure.axes
    ]
    assert any(shades)
    for axes, shaded in zip(figure.axes, shades, strict=True):
        assert shaded <= {text.get_text() for text in axes.get_legend().get_texts()}


def test_a_forecaster_is_drawn_where_its_newest_state_is_enough() -> None:
    model = Forecaster([1], units=10)
    for draw in (plot.connectivity, plot.spectrum):
        titles = {draw(one).axes[0].get_title("left") for one in (model, model.connectivity)}
        assert len(titles) == 1


def test_a_target_is_chosen_by_name_or_number() -> None:
    values = np.sin(np.arange(60) / 5)[:, None] * [1.0, 2.0]
    played = plot.play(Forecaster([1], fields=2, units=10), values, targets=["flow", "heat"])
    for draw in (plot.forecast, plot.scores):
        for target in (1, "heat"):
            assert draw(played, target).axes[0].get_ylabel() == "heat"
        for target in (5, -1, "haet"):
            with pytest.raises(ValueError, match=r"there are 0 \(flow\), 1 \(heat\)"):
                draw(played, target)


@pytest.mark.parametrize(
    ("draw", "error", "problem"),
    [
        (lambda: plot.forecast(Forecaster([1])), TypeError, r"pass what plot\.play"),
        (lambda: plot.scores(np.ones(5)), TypeError, "a ndarray keeps no past"),
        (lambda: plot.states(Forecaster([1])), TypeError, r"pass plot\.play\(model, values\)"),
        (lambda: plot.weights(Forecaster([1]), [1]), TypeError, r"model\.readout_weights\(\)"),
        (lambda: plot.weights({"a": np.ones((3, 2))}, ["x"]), ValueError, r"\(1, size\) is wanted"),
        (lambda: plot.weights({"a": np.ones((1, 2, 3))}, [1]), ValueError, "take one: part"),
        (lambda: plot.weights({}, [1]), ValueError, "no weights"),
        (lambda: plot.states(np.ones((1, 3))), ValueError, "there is 1 state"),
        (lambda: plot.states(np.ones((5, 3)), values=[1]), ValueError, r"values have shape \(1,\)"),
        (
            lambda: plot.states(np.ones((5, 3)), time_constants=[1.0]),
            ValueError,
            r"time_constants have shape \(1,\); there are 3 units",
        ),
        (lambda: plot.states(np.ones((2, 3)), ["a", "b"]), ValueError, "numbers or dates"),
        (lambda: plot.states(np.ones((2, 3)), [{}, {}]), ValueError, "neither numbers nor dates"),
        (lambda: plot.states(np.ones((2, 3)), [1, np.nan]), ValueError, "no moment of record 1"),
        (lambda: plot.spectrum([[np.nan]]), ValueError, "holds nan in row 0, column 0"),
    ],
)
def test_what_cannot_be_drawn_is_told_with_what_to_pass(
    draw: Any, error: type[Exception], problem: str
) -> None:
    with pytest.raises(error, match=problem):
        draw()
