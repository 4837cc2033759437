"""The counting of events: windows, false alarms, delays; detectors that know only the past."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("river")

from benchmarks.events import Tally, summed, tallies, tally
from benchmarks.events_peers import Heard, always, apart, detectors, heard, never
from benchmarks.events_streams import Labelled, changing, oscillation, recorded, unchanging

WINDOW = Labelled("made", None, np.zeros(100), ((40, 59),), ((40, 59), (80, 89)))


def test_firing_always_finds_all_at_once_and_is_false_everywhere_else() -> None:
    """And firing never finds nothing: the two bound what a detector can do."""
    stream = Heard(WINDOW.y, WINDOW.y, ())
    assert tally(always(stream), WINDOW) == Tally(1, (0,), 70, 100)
    assert tally(never(stream), WINDOW) == Tally(1, (), 0, 100)


def test_a_window_is_found_once_and_the_first_alarm_in_it_counts() -> None:
    assert tally(np.array([39, 45, 50, 59, 60, 85]), WINDOW) == Tally(1, (5,), 2, 100)


def test_streams_of_one_name_are_counted_together() -> None:
    found = tallies([WINDOW, WINDOW], {"always": always})
    assert found == {"made": {"always": Tally(2, (0, 0), 140, 200)}}
    assert summed([found["made"], found["made"]])["always"].windows == 4
    assert Tally(4, (1, 9), 3, 1_500).cells == ["2", "2", "2.00", "5.00"]


def test_alarms_in_a_row_are_one() -> None:
    assert apart(np.array([], np.int64)).size == 0
    assert apart(np.arange(0, 640, 63)).tolist() == [0]
    assert apart(np.arange(0, 640, 64)).size == 10


@pytest.mark.parametrize("name", sorted(detectors(slow=True)))
def test_no_detector_knows_what_comes(name: str) -> None:
    """Other values from 1,000 on leave the alarms before it as they were."""
    y = np.random.default_rng(0).standard_normal(1_200)
    y[600:] *= 6.0
    y[700:] += 60.0
    other = np.append(y[:1_000], 1_000.0 * y[1_000:])
    detect = detectors(slow=True)[name]
    fired, again = detect(heard(None, y)), detect(heard(None, other))
    assert fired[fired < 1_000].tolist() == again[again < 1_000].tolist()
    assert name == "never" or fired.size > 0


def test_an_error_is_that_of_the_forecast_made_before() -> None:
    """The first has none; of a wave that is known by heart it is next to nothing."""
    said = heard(None, np.sin(np.arange(600) / 5.0))
    assert np.isnan(said.error[0])
    assert np.abs(said.error[400:]).max() < 0.05 < np.abs(said.error[1])


def test_made_streams_are_the_same_for_a_seed_and_change_where_they_say() -> None:
    first, again = list(changing(1)), list(changing(1))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.y, b.y)
        assert a.looked_for
        assert set(a.looked_for) <= set(a.allowed)
        assert a.y.size > a.looked_for[-1][1]
    level = first[0]
    means = [level.y[k : k + 1_500].mean() for k in range(0, level.y.size, 1_500)]
    np.testing.assert_allclose(np.diff(means), [2, -4, 3, 6], atol=0.3)
    assert all(not stream.allowed and np.isfinite(stream.y).all() for stream in unchanging(1))


def test_an_oscillation_has_variance_1_and_its_period() -> None:
    y = oscillation(20.0, 50_000, np.random.default_rng(2), 0.95)
    power = np.abs(np.fft.rfft(y)) ** 2
    assert y.std() == pytest.approx(1.0, rel=0.05)
    smooth = np.convolve(power, np.ones(101), "same")
    assert 1.0 / np.fft.rfftfreq(y.size)[np.argmax(smooth)] == pytest.approx(20.0, rel=0.1)


def test_labels_of_the_recordings_lie_where_their_readme_says() -> None:
    """Four windows of the machine; valve sessions from row 573 on; ten agreed changes."""
    folder = os.environ.get("STREAMLNN_DATA")
    if not folder:
        pytest.skip("STREAMLNN_DATA names no folder of recordings")
    streams = list(recorded(Path(folder)))
    counts = [len(stream.looked_for) for stream in streams]
    assert counts == [4, 1, 4, 1, 4, 1, 3, 1, 4, 10]
    assert streams[1].looked_for[0][0] == 573
    assert streams[0].looked_for[0] == (2126, 2692)
