"""One running stream, apart from the loop that drives it."""

from __future__ import annotations

import numpy as np

from streamlnn.pipeline.journal import StreamRow
from streamlnn.pipeline.live import begin
from streamlnn.pipeline.plan import ModelSettings, Plan
from streamlnn.pipeline.streams import Layout


def test_a_running_stream_explains_itself_by_target_horizon_and_expert() -> None:
    plan = Plan(
        layout=Layout(("a", "b"), ("a", "b")),
        targets=("b", "a"),
        units=("", ""),
        horizons=("1m", "1h"),
        seasons=(),
        level=0.9,
        every=60.0,
        limits={},
        model=ModelSettings(units=20).model_dump(),
    )
    live = begin(StreamRow("pump", "", plan), "test")
    for n, row in enumerate(np.random.default_rng(0).standard_normal((200, 2))):
        live.forecaster.step(60.0 * n, row)
    told, weights = live.explanation(), live.forecaster.weights()
    assert list(told["targets"]) == ["b", "a"]
    assert [one["h"] for one in told["targets"]["a"]] == [60, 3600]
    assert tuple(told["targets"]["a"][1]["weights"]) == live.forecaster.experts
    assert list(told["targets"]["a"][1]["weights"].values()) == weights[1, 1].tolist()
    steps = told["reservoir"]["tau"]
    assert told["reservoir"]["tau_secs"] == [60.0 * steps[0], 60.0 * steps[1]]
