"""Anomaly, drift and a stuck sensor are told from start to end, and seldom for nothing."""

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


def of(kind: str, events: list[tuple[int, Event]]) -> list[tuple[int, Event]]:
    return [(k, event) for k, event in events if event.type == kind]


def noisy_wave(n: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 10.0 + np.sin(np.arange(n) / 8.0) + 0.1 * random.standard_normal(n)


def brief(events: list[tuple[int, Event]]) -> list[tuple[str, str]]:
    return [(event.type, event.phase) for _, event in events]


@pytest.mark.parametrize(
    "kind", ["normal", "laplace", "student", "uniform", "quantised", "seldom", "walk", "constant"]
)
def test_noise_raises_next_to_no_alarm(kind: str) -> None:
    """At most 2 anomalies and 2 drifts in 10,000 records of noise, heavy tails and steps.

    A switch that is on for one record in a hundred comes in clusters: 4 drifts there.
    """
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
        "constant": np.full(n, 3.7),
    }[kind]
    starts = [e.type for _, e in told(noise) if e.phase == "start" and e.severity != "info"]
    assert starts.count("anomaly") <= 2
    assert starts.count("drift") <= (4 if kind == "seldom" else 2)
    assert starts.count("stuck") == 0


@pytest.mark.parametrize("kind", ["normal", "walk"])
def test_forecasts_that_overlap_raise_next_to_no_alarm(kind: str) -> None:
    """Errors of 12 steps ahead follow one another; that is neither a run of odd ones nor drift."""
    y = np.random.default_rng(3).standard_normal(10_000)
    y = np.cumsum(y) if kind == "walk" else y
    model = Forecaster([12], units=20)
    events = [event for value in y for event in model.step(None, value).events]
    assert sum(event.phase == "start" for event in events) <= 2


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
    assert end.score >= start.score > 0.9999
    assert start.y == y[2500] > start.yhat_upper > start.yhat > start.yhat_lower
    assert start.yhat == pytest.approx(10.0 + np.sin(2500 / 8.0), abs=0.2)
    assert "far above" in start.text


def test_a_value_that_never_came_is_not_told_as_if_it_had() -> None:
    """A forecast due between two records is held against the straight line between them."""
    y = noisy_wave(3000)
    y[2500] += 2.0
    model = Forecaster(["45s"], units=20)
    events = [e for n, value in enumerate(y) for e in model.step(60.0 * n, value).events]
    start = next(event for event in events if event.phase == "start")
    assert y[2499] < start.y < y[2500]
    assert start.text.startswith(
        f"On the straight line between two records, the value {start.y:.6g}"
    )


def test_a_large_spike_does_not_hide_a_smaller_one() -> None:
    """Of 30 sigma and, 700 records later, 15: both are told, at once."""
    y = np.random.default_rng(15).standard_normal(4000)
    y[2500] += 30.0
    y[3200] -= 15.0
    events = told(y)
    assert [(k, e.type) for k, e in events if e.phase == "start"] == [
        (2500, "anomaly"),
        (3200, "anomaly"),
    ]


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
    """The step is told once, as an anomaly that ends although the old level never returns."""
    y = noisy_wave(4000)
    y[2500:] += 5.0
    events = of("anomaly", told(y))
    assert events[0][0] == 2500
    assert [event.phase for _, event in events].count("start") == 1
    assert events[-1][1].phase == "end"
    assert events[-1][0] <= 2500 + 130


def test_a_step_that_no_single_record_makes_clear_is_told_after_a_few() -> None:
    """A step of 4 sigma in white noise: errors of that size to one side add up."""
    y = np.random.default_rng(5).standard_normal(4000)
    y[2500:] += 4.0
    anomalies = of("anomaly", told(y))
    assert 2500 < anomalies[0][0] < 2510
    assert (anomalies[0][1].phase, anomalies[0][1].severity) == ("start", "warning")


def test_an_anomaly_that_gets_worse_is_told_again_and_becomes_critical() -> None:
    """Three deviations, each larger: start, updates under the same id, and how bad it was."""
    y = noisy_wave(3000)
    y[2500:2506] += [1.1, -1.1, 4.0, -4.0, 40.0, -40.0]
    events = of("anomaly", told(y))
    phases = [event.phase for _, event in events]
    assert phases[0] == "start"
    assert 1 <= phases.count("update") <= 3
    assert phases[-1] == "end"
    assert {event.since_seq for _, event in events} == {2500}
    assert [event.severity for _, event in events][:: len(events) - 1] == ["warning", "critical"]
    scores = [event.score for _, event in events]
    assert scores == sorted(scores)


def test_what_keeps_happening_stops_being_news() -> None:
    """Of 100 equal spikes, one in 100 records, a few are told."""
    y = noisy_wave(13_000)
    y[2500:12_500:100] += 3.0
    starts = [k for k, event in of("anomaly", told(y)) if event.phase == "start"]
    assert starts[0] == 2500
    assert len(starts) <= 10


def test_an_anomaly_is_over_after_128_records_even_if_it_goes_on() -> None:
    """Spikes that grow, one in six records, never let the errors be usual for eight."""
    y = noisy_wave(2800)
    y[2500::6] += 2.0 * 1.2 ** np.arange(50)
    anomalies = [(k, e) for k, e in of("anomaly", told(y)) if e.phase != "update"]
    (at, start), (later, end), *_ = anomalies
    assert (at, start.phase, later, end.phase) == (2500, "start", 2628, "end")


def test_more_noise_is_drift_until_it_is_usual() -> None:
    """Noise that becomes four times as strong is told within 300 records, and ends."""
    y = noisy_wave(8000)
    y[4000:] += 0.4 * np.random.default_rng(1).standard_normal(4000)
    drift = of("drift", told(y))
    assert [e.phase for _, e in drift] == ["start", "end"]
    assert 4000 < drift[0][0] < 4300
    assert drift[0][1].since_seq == drift[1][1].since_seq
    assert 3990 <= drift[0][1].since_seq <= drift[0][0]
    assert drift[0][1].severity == "warning"
    assert "more" in drift[0][1].text


def test_less_noise_is_drift_too_but_no_warning() -> None:
    """A machine that has been switched off: the errors are a third of what they were."""
    y = noisy_wave(8000)
    y[4000:] -= 0.7 * (y[4000:] - 10.0 - np.sin(np.arange(4000, 8000) / 8.0))
    drift = of("drift", told(y))
    assert [e.phase for _, e in drift] == ["start", "end"]
    assert 4000 < drift[0][0] < 4200
    assert drift[0][1].severity == "info"
    assert "less" in drift[0][1].text


@pytest.mark.parametrize(("slope", "word"), [(0.01, "risen"), (-0.01, "fallen")])
def test_a_slow_drift_is_told_though_no_error_grows(slope: float, word: str) -> None:
    """A hundredth of the noise a record: seen in the level, within 200 records."""
    y = np.random.default_rng(2).standard_normal(5000)
    y[3000:] += slope * np.arange(2000)
    drift = of("drift", told(y))
    assert 3000 < drift[0][0] < 3200
    assert 2900 < drift[0][1].since_seq <= drift[0][0]
    assert word in drift[0][1].text


@pytest.mark.parametrize("seed", range(4))
def test_other_dynamics_are_drift(seed: int) -> None:
    """The same variance, another rhythm: an oscillation of 30 records becomes one of 4."""
    random = np.random.default_rng(seed)
    y = np.zeros(6000)
    for n in range(2, y.size):
        period = 30 if n < 3000 else 4
        y[n] = 1.8 * np.cos(2 * np.pi / period) * y[n - 1] - 0.81 * y[n - 2]
        y[n] += random.standard_normal()
    starts = [k for k, event in told(y) if event.phase == "start"]
    assert 3000 <= min(starts) < 3300


def test_noise_of_days_and_nights_is_told_a_few_times_only() -> None:
    """A rhythm of 288 records that the detector does not know: what keeps happening is usual."""
    n = np.arange(30_000)
    day = np.clip(np.sin(2 * np.pi * n / 288), 0.0, 1.0)
    y = (0.2 + 0.4 * day) * np.random.default_rng(6).standard_normal(n.size)
    starts = [k for k, event in of("drift", told(y)) if event.phase == "start"]
    assert len(starts) <= 10


def test_the_status_says_drifting_while_drift_lasts() -> None:
    """warming, then ok, then drifting, then ok again."""
    y = noisy_wave(8000)
    y[4000:] += 0.4 * np.random.default_rng(1).standard_normal(4000)
    model = Forecaster([1], units=20)
    statuses = [model.step(None, v).status for v in y]
    changes = [s for k, s in enumerate(statuses) if k == 0 or s != statuses[k - 1]]
    assert changes == ["warming", "ok", "drifting", "ok"]
    assert statuses.index("ok") == 32


def test_a_stream_that_has_become_calmer_is_told_and_stays_ok() -> None:
    y = noisy_wave(8000)
    y[:4000] += 0.4 * np.random.default_rng(1).standard_normal(4000)
    model = Forecaster([1], units=20)
    made = [model.step(None, v) for v in y]
    drifts = [event for one in made for event in one.events if event.type == "drift"]
    assert [event.severity for event in drifts if event.phase == "start"] == ["info"]
    assert {one.status for one in made[4000:]} == {"ok"}


def test_a_value_that_freezes_is_stuck_from_the_first_of_them_on() -> None:
    """Told once it is far too long, ended by the first other value; the freeze is nothing else."""
    times = np.arange(1e6, 1e6 + 3000)
    y = np.random.default_rng(12).standard_normal(3000)
    y[2500:2600] = y[2500]
    y[2540] = np.nan
    (at, start), (later, end) = told(y, times)
    assert (start.type, start.phase, end.type, end.phase) == ("stuck", "start", "stuck", "end")
    assert (at, later) == (2517, 2600)
    assert start.since == end.since == times[2500]
    assert start.since_seq == end.since_seq == 2500
    assert (start.y, start.severity, start.target) == (y[2500], "warning", 0)
    assert "18 records" in start.text
    assert "100 records" in end.text


def test_a_sensor_of_coarse_steps_must_repeat_for_longer_to_be_stuck() -> None:
    """Its runs are long anyway: what is far too long is learned from them."""
    random = np.random.default_rng(8)
    y = np.round(np.cumsum(0.1 * random.standard_normal(12_000)))
    runs = np.diff(np.flatnonzero(np.diff(y, prepend=np.nan, append=np.nan)))
    frozen = 4 * int(runs.max()) + 2
    assert of("stuck", told(y)) == []
    y = np.concatenate([y, np.full(frozen, y[-1] + 1.0), [0.0]])
    assert [event.phase for _, event in of("stuck", told(y))] == ["start", "end"]


@pytest.mark.parametrize("kind", ["from birth", "switch", "setpoint"])
def test_what_hardly_ever_moved_is_not_stuck(kind: str) -> None:
    """Constant from birth, a switch that rests for hours, a setpoint of ten values."""
    random = np.random.default_rng(9)
    y = {
        "from birth": np.append(np.full(5000, 21.5), random.random(20)),
        "switch": np.repeat(np.arange(300) % 2, random.geometric(0.02, 300)),
        "setpoint": np.repeat(random.random(10), 500),
    }[kind].astype(float)
    assert of("stuck", told(y)) == []


def test_nights_of_one_value_are_learned() -> None:
    """A panel that yields nothing at night: the first nights may be told, later ones are usual."""
    n = np.arange(40 * 288)
    sun = np.clip(np.sin(2 * np.pi * n / 288), 0.0, 1.0)
    y = sun * (1.0 + 0.1 * np.random.default_rng(10).standard_normal(n.size))
    starts = [k for k, event in of("stuck", told(y)) if event.phase == "start"]
    assert len(starts) == 1


def test_a_stuck_sensor_forgets_nothing() -> None:
    """When it moves again the usual errors are still known: noise is no alarm, a spike is one."""
    y = np.random.default_rng(13).standard_normal(5000)
    y[3000:4000] = y[3000]
    y[4500] += 12.0
    events = [(event.type, k) for k, event in told(y) if event.phase == "start"]
    assert events == [("stuck", 3017), ("anomaly", 4500)]


def test_nothing_is_told_while_warming() -> None:
    """A spike in the first records is no anomaly: nothing is known yet."""
    y = noisy_wave(60)
    y[20] += 100.0
    y[30:55] = 1.0
    assert told(y) == []


def test_a_jump_across_a_gap_is_no_anomaly() -> None:
    """After a silence anything may have happened: only the gap is told."""
    times = np.arange(3000.0)
    times[2500:] += 1000.0
    y = noisy_wave(3000)
    y[2500:] += 50.0
    assert [event.type for k, event in told(y, times) if k < 2501] == ["gap"]


def test_another_level_after_a_gap_is_no_drift() -> None:
    """The means of the values begin anew; the same step without a gap is told as it is."""
    times = np.arange(4000.0)
    y = np.random.default_rng(14).standard_normal(4000)
    y[2500:] += 2.5
    assert told(y, times) != []
    times[2500:] += 1000.0
    assert [event.type for _, event in told(y, times)] == ["gap"]


@pytest.mark.parametrize("seed", range(3))
def test_every_event_has_a_beginning_of_its_own(seed: int) -> None:
    """Type and beginning make the id: starts differ in it, and each end has the start's."""
    random = np.random.default_rng(seed)
    parts = [
        level + size * random.standard_normal(n) + slope * np.arange(n)
        for level, size, slope, n in zip(
            random.normal(0, 3, 40),
            random.choice([0.0, 0.3, 1.0, 4.0], 40),
            random.choice([0.0, 0.0, 0.02], 40),
            random.integers(20, 900, 40),
            strict=True,
        )
    ]
    active: dict[str, int] = {}
    begun: set[tuple[str, int]] = set()
    for k, event in told(np.concatenate(parts)):
        assert event.since_seq <= k
        if event.phase == "start":
            assert event.type not in active
            assert (event.type, event.since_seq) not in begun
            active[event.type] = event.since_seq
            begun.add((event.type, event.since_seq))
        else:
            assert event.since_seq == active[event.type]
            if event.phase == "end":
                del active[event.type]
    assert {kind for kind, _ in begun} == {"anomaly", "drift", "stuck"}


def test_events_are_the_same_in_every_run() -> None:
    """Two runs over the same records tell the same, word for word."""
    y = noisy_wave(3000)
    y[2500] += 2.0
    y[2700:2800] = 9.0
    assert repr(told(y)) == repr(told(y))


def test_values_of_any_size_are_judged() -> None:
    """Magnitudes from 1e-300 to 1e300 neither fail nor leave a number that is none."""
    random = np.random.default_rng(11)
    y = random.standard_normal(3000) * 10.0 ** random.integers(-300, 300, 3000)
    model = Forecaster([1], units=20)
    scores = [model.step(float(n), value).anomaly_score[0] for n, value in enumerate(y)]
    assert np.isfinite(scores).all()
    assert np.isfinite(model.state()["monitor"]).all()
