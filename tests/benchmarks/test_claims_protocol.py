"""The measuring itself: forecasts before the fact, learning that stops, bands that know no more."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("reservoirpy")
pytest.importorskip("river")

from benchmarks import claims_adaptation, claims_noise, intervals
from benchmarks.claims_peers import PEERS, Delayed, EchoState, stepped
from benchmarks.claims_streams import clean_signals, switching
from benchmarks.robustness import Signal, interrupted
from streamlnn import Forecaster


def walk(n: int) -> np.ndarray:
    return np.cumsum(np.random.default_rng(0).standard_normal(n))


@pytest.mark.parametrize("name", PEERS)
def test_no_peer_knows_what_comes(name: str) -> None:
    """Other values from 60 on leave what was said before 60 as it was, missing ones too."""
    y = walk(90)
    y[40:43] = np.nan
    other = np.append(y[:60], 100.0 + walk(30))
    said, again = PEERS[name](y, [1, 5]), PEERS[name](other, [1, 5])
    np.testing.assert_array_equal(said[:60], again[:60])
    assert not np.array_equal(said[60:], again[60:])


def test_what_waits_meets_the_value_of_its_own_horizon() -> None:
    delayed = Delayed([1, 3])
    met = []
    for t in range(5):
        met.append([(k, features, target) for k, features, target in delayed.due(10.0 * t)])
        delayed.wait(t, 0.0, 10.0)
    assert met == [[], [(0, 0, 1.0)], [(0, 1, 2.0)], [(0, 2, 3.0), (1, 0, 3.0)],
                   [(0, 3, 4.0), (1, 1, 4.0)]]  # fmt: skip
    assert delayed.due(np.nan) == []


def test_the_echo_state_peer_is_scored_before_it_learns() -> None:
    """Nobody forecasts white noise; what its readout says after learning comes far nearer."""
    y = np.random.default_rng(0).standard_normal(600)
    said = stepped(EchoState([1], 0.998), y)[:-1, 0]
    assert np.abs(y[300:] - said[299:]).mean() > np.abs(y[300:]).mean()


def test_a_stopped_model_learns_nothing_and_goes_on() -> None:
    """No weight moves, the mixture stays, and the first answer is the one of the model."""
    y = np.sin(np.arange(900) / 4.0) + 0.1 * np.random.default_rng(0).standard_normal(900)
    model = Forecaster([1, 12])
    model.replay(None, y[:600])
    still = claims_adaptation.stopped(model)
    before = still.state()
    said, learning = still.replay(None, 3.0 * y[600:]), model.replay(None, 3.0 * y[600:])
    after = still.state()
    for name in ("weights", "own_weights"):
        np.testing.assert_array_equal(before[name], after[name])
    shares = [s["losses"] / s["losses"].sum(axis=-1, keepdims=True) for s in (before, after)]
    np.testing.assert_allclose(*shares, rtol=1e-9)
    assert not np.array_equal(said.yhat[5:], learning.yhat[5:])


def test_the_frozen_forecasts_are_ours_up_to_the_first_switch() -> None:
    stream = switching(300, 0)[0]
    ours, frozen = claims_adaptation.ours_and_frozen(stream, [1])
    np.testing.assert_array_equal(ours[:300], frozen[:300])
    np.testing.assert_array_equal(ours, Forecaster([1]).replay(None, stream.y).yhat)
    assert not np.array_equal(ours[300:], frozen[300:])


def test_recovery_counts_from_the_switch() -> None:
    """One is back after 200 targets, one never gets to the other's level."""
    quick, slow = np.ones(1200), np.full(1200, 3.0)
    quick[300:500] = 5.0
    found = claims_adaptation.recovery(np.stack([quick, slow]), [300])
    # Of the 100 errors from target 196 on, four are 5 and the rest 1: on average 1.16.
    assert found.back_to_own.tolist() == [[196.0], [0.0]]
    assert found.back_to_best.tolist() == [[196.0], [claims_adaptation.NEVER]]
    assert found.after[:, 0] == pytest.approx([(200 * 5.0 + 300.0) / 500, 3.0])
    assert found.steady[:, 0].tolist() == [1.0, 3.0]


@pytest.mark.parametrize(("kind", "level"), [("outliers", 0.05), ("missing", 0.2)])
def test_a_disturbance_hits_the_share_it_says(kind: str, level: float) -> None:
    clean = clean_signals(4000, 0)["daily wave"]
    seen = claims_noise.disturbed(clean, kind, level, np.random.default_rng(0))
    hit = ~(seen == clean)
    assert hit.mean() == pytest.approx(level, rel=0.15)
    size = np.abs(seen - clean)[hit]
    expected = 10.0 * clean.std() if kind == "outliers" else np.nan
    np.testing.assert_allclose(size, np.full(hit.sum(), expected))


@pytest.mark.parametrize("band", [intervals.split_conformal, intervals.gaussian])
def test_a_band_holds_its_share_and_knows_no_later_error(band: object) -> None:
    known = np.abs(np.random.default_rng(0).standard_normal(4000))
    half = band(known)  # type: ignore[operator]
    assert (known[1000:] <= half[999:-1]).mean() == pytest.approx(0.9, abs=0.015)
    cut = band(known[:2000])  # type: ignore[operator]
    np.testing.assert_array_equal(half[:2000], cut)


def test_errors_become_known_with_their_target() -> None:
    y, yhat = np.arange(6.0), np.array([10.0, 10, 10, 10, 10, 10])
    known = intervals.errors_known(y, yhat, 2)
    np.testing.assert_array_equal(known, [np.nan, np.nan, 8.0, 7.0, 6.0, 5.0])


def test_the_winkler_score_is_the_width_and_twenty_times_the_miss() -> None:
    actual = np.concatenate([np.zeros(249), [3.0]])
    found = intervals.score(actual, np.full(250, -1.0), np.full(250, 1.0))
    assert (found.coverage, found.width) == (249 / 250, 2.0)
    assert found.winkler == pytest.approx(2.0 + 20.0 * 2.0 / 250)
    assert found.worst == pytest.approx(249 / 250)


def test_a_row_of_robustness_fails_when_the_model_is_hurt() -> None:
    """An empty spell costs nothing, and what costs more than its bound is told."""
    nothing = interrupted("nothing", np.empty(0))
    assert nothing.without == nothing.after
    assert nothing.cells[-1] == "yes"
    stuck = interrupted("stuck", np.zeros(1000), bound=0.5)
    assert stuck.cells[-1] == "**no**"


def test_the_signal_goes_on_and_its_noise_is_new() -> None:
    signal = Signal(period=1000)
    first, second = signal.next(1000), signal.next(1000)
    assert 0.0 < np.abs(first - second).mean() < signal.deviation
