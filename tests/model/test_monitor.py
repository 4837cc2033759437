"""Anomaly and drift are told when they begin and when they end, and seldom for nothing."""

from __future__ import annotations

import numpy as np
import pytest

from streamlnn import Event, Forecaster


def told(
    y: np.ndarray, times: np.ndarray | None = None, **settings: object
) -> list[tuple[int, Event]]:
    model = Forecaster([1] if times is None else ["1s"], units=20, **settings)
    when = [None] * y.size if times is None else times
    made = [model.step(t, v) for t, v in zip(when, y, strict=True)]
    return [(k, event) for k, forecast in enumerate(made) for event in forecast.events]


def noisy_wave(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 10.0 + np.sin(np.arange(n) / 8.0) + 0.1 * random.standard_normal(n)


def brief(events: list[tuple[int, Event]]) -> list[tuple[str, str]]:
    return [(event.type, event.phase) for _, event in events]


@pytest.mark.parametrize(
    "kind", ["normal", "laplace", "student", "uniform", "quantised", "seldom", "walk"]
)
def test_noise_raises_next_to_no_alarm(kind: str) -> None:
    """At most 2 anomalies and 1 drift in 10,000 records of noise, heavy tails and steps."""
    random = np.random.default_rng(7)
    n = 10_000
    noise = {
        "normal": random.standard_normal(n),
        "laplace": random.laplace(size=n),
        "student": random.standard_t(4, n),
        "uniform": random.random(n),
        "quantised": np.round(0.4 * random.standard_normal(n)),
        "seldom": (random.random(n) < 0.01) * 1.0,
        "walk": np.cumsum(random.standard_normal(n)),
    }[kind]
    starts = [event.type for _, event in told(noise) if event.phase == "start"]
    assert starts.count("anomaly") <= 2
    assert starts.count("drift") <= 1


def test_a_spike_is_an_anomaly_with_a_start_and_an_end() -> None:
    """A spike of 20 sigma is told at once, with its sign and the forecast it broke, then ends."""
    y = noisy_wave(3000)
    y[2500] += 2.0
    events = told(y)
    assert brief(events) == [("anomaly", "start"), ("anomaly", "end")]
    (at, start), (later, end) = events
    assert at == 2500
    assert (start.since_seq, end.since_seq, start.target) == (2500, 2500, 0)
    assert later <= 2540
    assert start.score > 0.9999
    assert start.y == y[2500] > start.yhat_upper > start.yhat > start.yhat_lower
    assert start.yhat == pytest.approx(10.0 + np.sin(2500 / 8.0), abs=0.2)
    assert "far above" in start.text


def test_the_forecast_of_an_anomaly_says_that_it_is_active() -> None:
    """While it lasts the forecast carries score, sign and activity; afterwards sign is 0 again."""
    y = noisy_wave(3000)
    y[2500] -= 3.0
    model = Forecaster([1], units=20)
    made = [model.step(None, v) for v in y]
    assert made[2499].anomaly_active.tolist() == [False]
    assert made[2500].anomaly_active.tolist() == [True]
    assert made[2500].anomaly_sign.tolist() == [-1]
    assert made[2999].anomaly_sign.tolist() == [0]
    scores = np.array([f.anomaly_score[0] for f in made])
    assert ((scores >= 0.0) & (scores <= 1.0)).all()
    assert scores[2500] > scores[1000:2500].max()


def test_a_change_of_level_is_an_anomaly_first_and_the_new_normal_later() -> None:
    """The step is told once, and ends although the old level never returns."""
    y = noisy_wave(4000)
    y[2500:] += 5.0
    anomalies = [(k, e) for k, e in told(y) if e.type == "anomaly"]
    assert [e.phase for _, e in anomalies] == ["start", "end"]
    assert anomalies[0][0] == 2500
    assert anomalies[1][0] <= 2500 + 130


def test_an_anomaly_is_over_after_128_records_even_if_it_goes_on() -> None:
    """Spikes that grow, one in six records, never let the errors be usual for eight."""
    y = noisy_wave(2800)
    y[2500::6] += 2.0 * 1.2 ** np.arange(50)
    (at, start), (later, end), *_ = [(k, e) for k, e in told(y) if e.type == "anomaly"]
    assert (at, start.phase, later, end.phase) == (2500, "start", 2628, "end")


def test_more_noise_is_drift_until_it_is_usual() -> None:
    """Noise that becomes four times as strong is told within 200 records, and ends."""
    y = noisy_wave(8000)
    y[4000:] += 0.4 * np.random.default_rng(1).standard_normal(4000)
    drift = [(k, e) for k, e in told(y) if e.type == "drift"]
    assert [e.phase for _, e in drift] == ["start", "end"]
    assert 4000 < drift[0][0] < 4200
    assert drift[0][1].since_seq == drift[1][1].since_seq == drift[0][0]


def test_the_status_says_drifting_while_drift_lasts() -> None:
    """warming, then ok, then drifting, then ok again."""
    y = noisy_wave(8000)
    y[4000:] += 0.4 * np.random.default_rng(1).standard_normal(4000)
    model = Forecaster([1], units=20)
    statuses = [model.step(None, v).status for v in y]
    changes = [s for k, s in enumerate(statuses) if k == 0 or s != statuses[k - 1]]
    assert changes == ["warming", "ok", "drifting", "ok"]
    assert statuses.index("ok") == 32


def test_nothing_is_told_while_warming() -> None:
    """A spike in the first records is no anomaly: nothing is known yet."""
    y = noisy_wave(60)
    y[20] += 100.0
    assert told(y) == []


def test_a_jump_across_a_gap_is_no_anomaly() -> None:
    """After a silence anything may have happened: only the gap is told."""
    times = np.arange(3000.0)
    times[2500:] += 1000.0
    y = noisy_wave(3000)
    y[2500:] += 50.0
    assert [event.type for k, event in told(y, times) if k < 2501] == ["gap"]


def test_events_are_the_same_in_every_run() -> None:
    """Two runs over the same records tell the same, word for word."""
    y = noisy_wave(3000)
    y[2500] += 2.0
    assert repr(told(y)) == repr(told(y))
