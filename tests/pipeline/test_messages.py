"""Forecasts and events in words: they keep their schema, and their identity."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from streamlnn.model.forecaster import Forecaster
from streamlnn.model.records import NANOSECONDS, Event
from streamlnn.pipeline.messages import Speaker, schema

NOON = 1_767_268_800_000_000_000
SPEAKER = Speaker("plant1", "north/pump7", 0, "time", [10, 0.5], ("temp", "rms"), ("C", ""), 0.9)
BY_SAMPLE = replace(SPEAKER, clock="samples", horizons=[1, 12])
EVENT = Event("drift", "start", NOON / NANOSECONDS, 1767268000.0, 41, "warning", "It drifts.", 1)


def said(values: list[float], speaker: Speaker = SPEAKER) -> dict[str, Any]:
    model = Forecaster(["0.5s", "10s"], fields=2, units=10)
    for n in range(3):
        forecast = model.step(float(n), values)
    return json.loads(speaker.forecast(forecast, NOON))  # type: ignore[no-any-return]


def event(told: Event, **more: Any) -> dict[str, Any]:
    return json.loads(replace(SPEAKER, **more).event(told, NOON))  # type: ignore[no-any-return]


@pytest.mark.parametrize("values", [[1.0, 2.0], [float("nan"), 2.0], [float("nan")] * 2])
def test_a_forecast_keeps_its_schema(values: list[float]) -> None:
    told = said(values)
    jsonschema.validate(told, schema("forecast"))
    assert set(told["targets"]) == {"temp", "rms"}
    assert told["targets"]["temp"]["y"] == (None if np.isnan(values[0]) else values[0])


def test_forecasts_in_seconds_tell_the_moment_they_are_about() -> None:
    first, second = said([1.0, 2.0])["targets"]["temp"]["forecast"]
    assert (first["h"], first["time"]) == (10, "2026-01-01T12:00:10Z")
    assert (second["h"], second["time"]) == (0.5, "2026-01-01T12:00:00.5Z")


def test_forecasts_in_samples_do_not() -> None:
    told = said([1.0, 2.0], BY_SAMPLE)
    assert (told["clock"], told["time"]) == ("samples", "2026-01-01T12:00:00Z")
    assert [item["time"] for item in told["targets"]["rms"]["forecast"]] == [None, None]


def test_an_event_keeps_its_schema_and_what_does_not_apply_is_null() -> None:
    told = event(EVENT)
    jsonschema.validate(told, schema("event"))
    assert (told["target"], told["type"], told["phase"]) == ("rms", "drift", "start")
    assert (told["limit"], told["p"], told["yhat"]) == (None, None, None)
    assert told["since"] == "2026-01-01T11:46:40Z"


def test_an_event_has_one_id_from_start_to_end_and_another_one_has_another() -> None:
    start = event(EVENT)["id"]
    assert event(replace(EVENT, phase="end", time=1767269000.0, text="Over."))["id"] == start
    others = [
        event(replace(EVENT, since_seq=42)),
        event(replace(EVENT, target=0)),
        event(replace(EVENT, type="anomaly")),
        event(EVENT, stream="north/pump8"),
        event(EVENT, epoch=1),
    ]
    assert len({start, *(other["id"] for other in others)}) == 6


def test_an_event_began_when_its_first_record_says_to_the_nanosecond() -> None:
    time = NOON + 68_579_603
    start = replace(EVENT, time=time / NANOSECONDS, since=time / NANOSECONDS)
    told = json.loads(SPEAKER.event(start, time))
    assert told["since"] == told["time"] == "2026-01-01T12:00:00.068579603Z"
    later = json.loads(SPEAKER.event(start, time + NANOSECONDS))
    assert later["since"] == "2026-01-01T12:00:00.06858Z"


def test_the_state_is_short_and_plain() -> None:
    model = Forecaster(["0.5s", "10s"], fields=2, units=10)
    told = json.loads(SPEAKER.state(model.step(0.0, [1.0, float("nan")]), NOON))
    temp = told["targets"]["temp"]
    assert temp["yhat_lower"] <= temp["yhat"] <= temp["yhat_upper"]
    known = {key: temp[key] for key in ("y", "unit", "yhat", "anomaly", "score")}
    assert known == {"y": 1.0, "unit": "C", "yhat": [1.0, 1.0], "anomaly": False, "score": 0.0}
    assert (told["clock"], told["h"], told["level"]) == ("time", list(SPEAKER.horizons), 0.9)
    assert told["targets"]["rms"]["y"] is None


def test_what_a_model_tells_of_an_odd_stream_keeps_the_schema() -> None:
    """A spike, a sensor that freezes, another level that creeps: each told from start to end."""
    y = np.random.default_rng(0).standard_normal(3000)
    y[1000] += 50.0
    y[1500:1600] = y[1500]
    y[2000:2500] += 0.02 * np.arange(500)
    model = Forecaster([1], units=10)
    told = [
        json.loads(SPEAKER.event(one, NOON + n * NANOSECONDS))
        for n, value in enumerate(y)
        for one in model.step(NOON / NANOSECONDS + n, value).events
    ]
    for one in told:
        jsonschema.validate(one, schema("event"))
        assert one["since"] <= one["time"]
    for kind in ("anomaly", "stuck", "drift"):
        phases = [(one["id"], one["phase"]) for one in told if one["type"] == kind]
        start = phases[0][0]
        assert phases[0] == (start, "start")
        assert (start, "end") in phases
