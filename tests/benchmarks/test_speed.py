"""What the speed table is made of: a fair peer, and times that mean what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import esn, speed, speed_errors, speed_kernel, speed_timing
from benchmarks.speed_peers import FOUND, Peer, settings
from streamlnn.model.readout import REFRESH_EVERY, Readout, refresh_weight

QUIET = esn.Settings(0.5, 0.5, 0.9, 1e-2, 0.999)


def wave(n: int) -> np.ndarray:
    return np.sin(np.arange(n) / 5) + 0.3 * np.random.default_rng(0).standard_normal(n)


@pytest.mark.parametrize("h", [1, 4])
def test_the_peer_forecasts_what_its_readout_does_in_the_tables_of_errors(h: int) -> None:
    """With one horizon nothing waits longer than it must: the numbers are those of `esn`."""
    pytest.importorskip("reservoirpy")
    y = esn.standardised(wave(150))
    peer = Peer([h], 15, QUIET)
    issued = [peer.step(value)[0] for value in y]
    expected = esn.forecasts(esn.features(y[:, None], QUIET, 15), y, [h], QUIET)[:, 0]
    np.testing.assert_allclose(issued, expected, rtol=1e-6, atol=1e-9)


def test_the_peer_learns_every_horizon_from_what_has_come() -> None:
    """It knows a sine by heart at all horizons, and nothing before the longest has come."""
    pytest.importorskip("reservoirpy")
    peer, y = Peer([1, 3, 6], 10, replace(QUIET, alpha=1e-6)), np.sin(np.arange(300) / 7)
    issued = np.array([peer.step(value) for value in y])
    assert not issued[:6].any()
    for k, h in enumerate((1, 3, 6)):
        assert np.abs(issued[200:-h, k] - y[200 + h :]).max() < 0.2


def test_what_takes_longer_is_told_to_take_longer() -> None:
    """The ratio is theirs over ours, round by round, and the first call does not count."""
    own, their = iter([9.0, 1.0, 2.0, 4.0]), iter([9.0, 10.0, 40.0, 16.0])
    times = speed_timing.rounds(lambda: next(own), lambda: next(their), 3)
    assert times == (2.0, 16.0, 10.0)


def test_only_the_way_to_the_forecast_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What follows a forecast is done each time and is not in its time."""
    clock = [0.0]

    def later(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr(speed_timing, "perf_counter", lambda: clock[0])
    assert speed_timing.until_ready(later, lambda: later(100.0), [1.0, 3.0, 2.0]) == 2e6
    assert clock == [306.0]


def test_every_made_signal_has_settings_of_the_peer() -> None:
    names = [name for name, _ in speed_errors.made(1_100)]
    assert names == ["Mackey-Glass", "Mackey-Glass, 5 % noise", "Lorenz", "Lorenz, 5 % noise"]
    assert set(names) == set(FOUND)
    assert settings("Lorenz", 1_000) is settings("Lorenz", 300)


def test_the_update_that_is_timed_is_that_of_the_readout() -> None:
    """The same covariance as a `Readout`'s after the same features and refreshes."""
    features = np.random.default_rng(1).standard_normal((20, 12))
    readout = Readout(12, forgetting=speed_kernel.FORGETTING, ridge=speed_kernel.RIDGE)
    factor, diagonal = readout.U.copy(), readout.D.copy()
    weight = refresh_weight(speed_kernel.FORGETTING, speed_kernel.RIDGE, 12)
    speed_kernel.update(factor, diagonal, features, np.empty(12), weight)
    for t, x in enumerate(features):
        readout.absorb(x)
        if t % REFRESH_EVERY == 0:
            readout.refresh(t // REFRESH_EVERY)
    np.testing.assert_array_equal(factor, readout.U)
    np.testing.assert_array_equal(diagonal, readout.D)


def test_the_command_prints_a_table(tmp_path: Path) -> None:
    pytest.importorskip("reservoirpy")
    told = CliRunner().invoke(speed.main, ["--quick", "--no-errors", "--data", str(tmp_path)])
    assert told.exit_code == 0, told.output
    rows = told.output.splitlines()
    assert len(rows) == 15
    assert rows[-1].endswith("400 KB or less |")
