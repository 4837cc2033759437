"""The pictures of `eval`: what they show is what was forecast, and odd streams are drawn too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from daemons import streamlnn

from streamlnn.evaluation.course import course, moments
from streamlnn.evaluation.episodes import episodes
from streamlnn.evaluation.played import Played, play
from streamlnn.pipeline.plan import ModelSettings, Plan
from streamlnn.pipeline.streams import Layout

plots = pytest.importorskip("streamlnn.plot.page", exc_type=ModuleNotFoundError)
album = pytest.importorskip("streamlnn.daemon.album", exc_type=ModuleNotFoundError)


def played(values: np.ndarray, times: np.ndarray | None = None, **changes: Any) -> Played:
    names = tuple("abcdef"[: values.shape[1]])
    asked: dict[str, Any] = {
        "layout": Layout(names, names),
        "targets": names,
        "units": ("bar",) * len(names),
        "horizons": (1, 12),
        "seasons": (),
        "level": 0.9,
        "every": None,
        "limits": {},
        "model": ModelSettings(units=10).model_dump(),
    }
    plan = Plan(**asked | changes)
    return play(plan.speaker("test", "pump", 0), plan, times, values)


def wave(n: int = 500) -> np.ndarray:
    random = np.random.default_rng(0)
    values = np.sin(np.arange(n) / 5) + 0.05 * random.standard_normal(n)
    values[400:405] += 9.0
    return values[:, None]


def told(axes: Any) -> set[str]:
    """What the legend of a panel explains."""
    return {text.get_text() for text in axes.get_legend().get_texts()}


def test_running_scores_are_plain_means_over_the_latest_forecasts() -> None:
    one = played(wave())
    went = course(one, 1, 0)
    y, yhat = one.y[12:, 0], one.bands[:-12, 0, 1, 0]
    error, naive = np.abs(y - yhat), np.abs(y - one.y[:-12, 0])
    assert went.window == 50
    assert went.ends[0] == 12 + 49
    assert went.ends[-1] == 499
    ours = went.mean(went.error)
    assert [ours[0], ours[-1]] == pytest.approx([error[:50].mean(), error[-50:].mean()])
    assert went.skill[-1] == pytest.approx(1 - error[-50:].mean() / naive[-50:].mean())
    inside = (one.bands[:-12, 1, 1, 0] <= y) & (y <= one.bands[:-12, 2, 1, 0])
    assert went.mean(went.inside)[-1] == pytest.approx(inside[-50:].mean())


def test_a_forecast_by_samples_is_about_the_time_of_the_record_that_comes_then() -> None:
    times = 1e9 + np.cumsum([60.0, 60.0, 600.0] * 40)
    one = played(wave(120), times)
    about = course(one, 1, 0).moment
    np.testing.assert_array_equal(about[:108], times[12:])
    np.testing.assert_array_equal(np.diff(about[108:]), 60.0)
    np.testing.assert_array_equal(moments(one, one.at), times)


def test_the_latest_part_shows_the_forecasts_where_they_were_due() -> None:
    one = played(wave(), 1e9 + 60.0 * np.arange(500))
    figure = plots.page(one, 0, episodes([one]))
    panel = next(axes for axes in figure.axes if "forecast 12 samples before" in told(axes))
    assert {"measured", "90 % band"} < told(panel)
    measured, forecast = panel.get_lines()[:2]
    assert measured.get_linestyle() != forecast.get_linestyle()
    np.testing.assert_array_equal(measured.get_ydata(), one.y[350:, 0])
    np.testing.assert_array_equal(forecast.get_ydata(), one.bands[338:, 0, 1, 0])
    about = (1e9 + 60.0 * np.arange(350, 512)).astype("datetime64[s]")
    assert (forecast.get_xdata(orig=True).astype("datetime64[s]") == about).all()
    assert panel.get_ylabel() == "a (bar)"


def test_events_are_marked_where_they_began() -> None:
    one = played(wave())
    figure = plots.page(one, 0, episodes([one]))
    mark = next(line for line in figure.axes[0].get_lines() if line.get_label() == "anomaly")
    assert 400 in mark.get_xdata()
    assert figure.axes[0].get_legend() is not None


ODD: dict[str, tuple[np.ndarray, np.ndarray | None, dict[str, Any]]] = {
    "constant": (np.ones((200, 1)), None, {}),
    "short": (wave(14), None, {}),
    "nothing known": (np.full((100, 1), np.nan), None, {}),
    "holes": (np.where(np.arange(300) % 3 == 0, np.nan, wave(300)[:, 0])[:, None], None, {}),
    "a clock set back": (wave(300), 1e9 + 60.0 * (np.arange(300) % 170), {}),
    "one moment": (wave(100), np.full(100, 1e9), {}),
    "silences": (wave(300), 1e9 + np.cumsum(np.where(np.arange(300) % 60, 60.0, 9e4)), {}),
    "by time": (wave(300), 1e9 + 60.0 * np.arange(300), {"horizons": ("90s", "1h", "1d")}),
    "ten horizons": (wave(300), None, {"horizons": tuple(range(1, 11))}),
    "a very long horizon": (wave(300), None, {"horizons": (1, 5000)}),
    "other fields": (np.tile(wave(300), 2), None, {"targets": ("b",)}),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_streams_are_drawn_without_a_warning(name: str, tmp_path: Path) -> None:
    values, times, changes = ODD[name]
    one = played(values, times, **changes)
    album.save(plots.page(one, 0, episodes([one])), tmp_path / "o.png", "-o")
    assert (tmp_path / "o.png").read_bytes().startswith(b"\x89PNG")
    shown = min(4, len(one.words.horizons))
    assert len(plots.page(one).axes) == 3 + 2 * shown


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "pump.csv"
    rows = [f"{v!r},{2 * v!r}" for v in wave(120)[:, 0].tolist()]
    path.write_text("\n".join(["a,b", *rows, ""]))
    return path


def test_one_target_is_one_picture_and_several_are_numbered(
    recording: Path, tmp_path: Path
) -> None:
    one, several = tmp_path / "one.svg", tmp_path / "all.png"
    done = streamlnn("eval", recording, "--skip", 20, "--target", "b", "--plot", one, "--json")
    assert done.returncode == 0, done.stderr.decode()
    assert b"<svg" in one.read_bytes()
    done = streamlnn("eval", recording, "--skip", 20, "--plot", several)
    assert done.returncode == 0, done.stderr.decode()
    for number, target in enumerate("ab", 1):
        picture = tmp_path / f"all-{number}.png"
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert f"{picture}: pump {target}" in done.stderr.decode()
    assert not several.exists()


def test_a_picture_needs_a_folder_to_be_put_in(recording: Path, tmp_path: Path) -> None:
    done = streamlnn("eval", recording, "--skip", 20, "--plot", tmp_path / "none" / "o.pdf")
    assert done.returncode == 69
    assert b"No such file or directory; name another file for --plot" in done.stderr


def test_without_matplotlib_the_way_to_it_is_told(recording: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['matplotlib'] = None; "
        f"sys.argv = ['streamlnn', 'eval', {str(recording)!r}, '--plot', 'o.png']; "
        "from streamlnn.daemon.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], capture_output=True, timeout=60, cwd=tmp_path
    )
    assert (done.returncode, done.stdout) == (69, b"")
    assert b"--plot needs matplotlib: pip install 'streamlnn[plot]'" in done.stderr
    assert os.listdir(tmp_path) == [recording.name]


def test_no_picture_leaves_a_trace_in_a_program_that_draws_with_pyplot() -> None:
    script = (
        "import sys, streamlnn.plot.page; "
        "print('matplotlib.pyplot' in sys.modules, 'numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, timeout=60)
    assert done.stdout.split()[0] == b"False", done.stderr.decode()


def test_a_stuck_sensor_is_marked_where_it_began_and_for_as_long_as_it_lasted() -> None:
    values = wave(700)
    values[450:550] = 0.5
    one = played(values)
    whole = plots.page(one, 0, episodes([one])).axes[0]
    lines, labels = whole.get_legend_handles_labels()
    assert "stuck" in labels
    named = [line for line, label in zip(lines, labels, strict=True) if label == "stuck"]
    [mark] = [line for line in named if hasattr(line, "get_marker")]
    assert list(mark.get_xdata()) == [450]
    colours = pytest.importorskip("matplotlib.colors")
    spans = [
        (round(patch.get_x()), round(patch.get_x() + patch.get_width()))
        for patch in whole.patches
        if colours.same_color(patch.get_facecolor()[:3], mark.get_color())
    ]
    assert spans == [(450, 550)]
    assert "stuck" in told(whole)


def test_no_curve_runs_where_the_marks_are() -> None:
    one = played(wave())
    found = episodes([one])
    assert "anomaly" in {episode.type for episode in found}
    shown = [axes for axes in plots.page(one, 0, found).axes if axes.get_ylabel() == "a (bar)"]
    assert len(shown) == 3
    for axes in shown:
        low, high = axes.get_ylim()
        curves = [line for line in axes.lines if line.get_linestyle() != "None"]
        top = max(np.nanmax(line.get_ydata()) for line in curves)
        assert (top - low) / (high - low) < 0.85
