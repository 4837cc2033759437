"""The sampled past of the streams, and what the page is told of it: in bounds, and true."""

from __future__ import annotations

import asyncio
import base64
import json
import math
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from connectors.codecs import JsonCodec
from streamlnn.daemon.status import Status
from streamlnn.daemon.web import history as history_module
from streamlnn.daemon.web import live as live_module
from streamlnn.daemon.web.history import History, Track
from streamlnn.daemon.web.live import Teller, frames
from streamlnn.daemon.web.past import past, reservoir
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

TABLE = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix"}}


def messages(first: int, count: int, name: str = "pump") -> Batch:
    """Records of a stream, one a minute; the newest is odd where there are more than 100."""
    made = [
        Message(
            f"s/{name}",
            json.dumps({"t": 60 * n, "v": math.sin(n / 5) + 50.0 * (n == 110)}).encode(),
            60 * n * NANOSECONDS,
        )
        for n in range(first, first + count)
    ]
    return Batch(made, "")


def run(folder: Path, status: Status, items: list[Any], **table: Any) -> None:
    streams = StreamMap([StreamSettings(**TABLE | table)], JsonCodec())
    with closing(Journal(folder)) as journal:
        Pipeline(
            journal,
            [(ScriptedSource(items), streams)],
            [CollectingSink()],
            status,
            instance="i",
            model=ModelSettings(units=20),
        ).run()


def look(history: History) -> Any:
    return lambda: history.look()


@pytest.fixture
def watched(tmp_path: Path) -> tuple[Status, History]:
    """120 records, a look after each of the last 20; time goes on by a second between them."""
    status, now = Status(), iter(range(1, 10_000))
    history = History(status.watched, lambda: next(now) * NANOSECONDS)
    items: list[Any] = [messages(0, 100)]
    for n in range(100, 120):
        items += [messages(n, 1), look(history)]
    run(tmp_path, status, [*items, messages(0, 3, "other")], horizons=["1m", "5m"])
    return status, history


def test_a_track_stays_in_bounds_and_reaches_back_as_far_as_it_may() -> None:
    def sample(n: int) -> tuple[np.ndarray, ...]:
        return np.full(3, n), np.full((2, 4), n), np.full(7, n % 100)

    track = Track(sample(0))
    for n in range(50_000):
        if track.is_due(float(n)):
            track.add(sample(n), n, float(n), most=100)
        assert len(track) <= 100
    assert len(track) > 40
    past = track.past
    assert (np.diff(past.seen) > 0).all()
    reach = past.seen[-1] - past.seen[0]
    assert reach > history_module.SPAN_SECS
    np.testing.assert_array_equal(past.rows[:, 0], past.times)
    np.testing.assert_array_equal(past.weights[:, 1, 3], past.times)
    np.testing.assert_array_equal(past.states[:, 6], past.times % 100)


def test_memory_is_shared_out_among_very_many_streams(watched: tuple[Status, History]) -> None:
    status, _ = watched
    [live, _] = status.watched().values()
    now = iter(range(1, 10_000))
    many = History(lambda: {str(n): live for n in range(5_000)}, lambda: next(now) * NANOSECONDS)
    many.look()
    kept = sum(array.nbytes for one in many._tracks.values() for array in one._kept.arrays())
    assert kept < history_module.MOST_BYTES


def test_what_has_not_changed_is_not_sampled_again(watched: tuple[Status, History]) -> None:
    _, history = watched
    for _ in range(2):
        kept = history.past("pump")
        assert kept is not None
        assert len(kept) == 20
        history.look()


def test_the_past_is_what_was_measured_and_forecast(
    watched: tuple[Status, History], tmp_path: Path
) -> None:
    status, history = watched
    live = status.watched()["pump"]
    told = json.loads(json.dumps(past(live, history, tmp_path)))
    assert len(told["at"]) == 120
    assert told["at"][0] == "1970-01-01T00:00:00Z"
    assert told["at"] == sorted(told["at"])
    y = told["targets"]["v"]["y"]
    np.testing.assert_allclose(y[:110], np.sin(np.arange(110) / 5))
    short, long = told["targets"]["v"]["forecast"]
    assert (short["h"], long["h"]) == (60, 300)
    assert short["yhat"][:100] == [None] * 100
    assert live.last is not None
    assert short["yhat"][-1] == live.last[0].yhat[0]
    assert long["upper"][-1] == live.last[0].yhat_upper[1]
    heard = told["heard"]
    assert len(heard["at"]) == 20
    np.testing.assert_allclose(np.sum(heard["targets"]["v"], axis=1), 1, atol=0.01)
    newest = [[weights[-1] for weights in horizon] for horizon in heard["targets"]["v"]]
    np.testing.assert_allclose(newest, live.forecaster.weights(), atol=0.001)
    states = np.frombuffer(base64.b64decode(told["states"]), np.int8).reshape(20, -1)
    np.testing.assert_allclose(states[-1] / 127, live.forecaster.reservoir_state, atol=0.004)
    scores = told["targets"]["v"]["score"]
    assert (scores[99], scores[-1]) == (None, live.last[0].anomaly_score[0])


def test_without_a_store_only_what_was_sampled_is_known(watched: tuple[Status, History]) -> None:
    status, history = watched
    assert len(past(status.watched()["pump"], history, None)["at"]) == 20
    assert past(status.watched()["other"], history, None)["at"] == []


def test_the_reservoir_is_told_whole_unless_it_is_too_large(
    watched: tuple[Status, History], monkeypatch: pytest.MonkeyPatch
) -> None:
    live = watched[0].watched()["pump"]
    told = reservoir(live)
    np.testing.assert_allclose(told["connectivity"], live.forecaster.connectivity, atol=1e-4)
    assert max(math.hypot(*one) for one in told["eigenvalues"]) == pytest.approx(0.9, abs=1e-3)
    assert sorted(told["order"]) == list(range(20))
    monkeypatch.setattr("streamlnn.daemon.web.past.MOST_UNITS", 10)
    told = reservoir(live)
    assert (told["units"], told["connectivity"], told["eigenvalues"]) == (20, None, None)


def parsed(news: bytes) -> list[tuple[str, Any]]:
    found = []
    for part in news.decode().split("\n\n")[:-1]:
        if part.startswith("id: "):
            continue
        kind, data = part.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_a_page_is_told_the_list_and_its_own_stream_in_full(
    watched: tuple[Status, History],
) -> None:
    status, history = watched
    teller = Teller(status, history, "pump")
    told = parsed(b"".join(teller.news(0.0)))
    assert [kind for kind, _ in told] == ["daemon", "streams", "forecast", "state", "weights"]
    assert told[0][1]["instance"] == "i"
    streams = {one["stream"]: one for one in told[1][1]}
    assert set(streams) == {"pump", "other"}
    assert len(streams["pump"]["latest"]) == 20
    assert streams["pump"]["latest"][-1] == streams["pump"]["y"]
    assert told[2][1]["seq"] == 119
    x = np.frombuffer(base64.b64decode(told[3][1]["x"]), np.int8) / 127
    state = status.watched()["pump"].forecaster.reservoir_state
    np.testing.assert_allclose(x, state, atol=0.01)
    assert parsed(b"".join(teller.news(0.1))) == []
    assert parsed(b"".join(teller.news(5.0))) == [("streams", [])]
    status.event(b'{"stream": "pump"}')
    assert parsed(b"".join(teller.news(5.1))) == [("event", {"stream": "pump"})]


def events(news: bytes) -> list[Any]:
    return [data for kind, data in parsed(news) if kind == "event"]


def ids(news: bytes) -> list[str]:
    return [line[4:] for line in news.decode().splitlines() if line.startswith("id: ")]


def test_whoever_asks_again_misses_no_event_between_two_answers(
    watched: tuple[Status, History],
) -> None:
    status, history = watched
    [place] = ids(b"".join(Teller(status, history, None).news(0.0)))
    status.event(b'{"stream": "pump"}')
    again = b"".join(Teller(status, history, None, after=place).news(0.0))
    assert events(again) == [{"stream": "pump"}]
    later = Teller(status, history, None, after=ids(again)[-1])
    assert events(b"".join(later.news(0.0))) == []
    assert events(b"".join(Teller(status, history, None).news(0.0))) == []


def test_whoever_knew_the_daemon_before_a_restart_is_told_all_events_since(
    watched: tuple[Status, History],
) -> None:
    status = Status()
    status.event(b'{"stream": "pump"}')
    teller = Teller(status, watched[1], None, after="5000")
    assert events(b"".join(teller.news(0.0))) == [{"stream": "pump"}]


@pytest.mark.parametrize("after", ["", "-1", "1e3", "last", "9" * 5000])
def test_what_is_no_place_is_as_none(watched: tuple[Status, History], after: str) -> None:
    status, history = watched
    status.event(b'{"stream": "pump"}')
    teller = Teller(status, history, None, after=after)
    assert events(b"".join(teller.news(0.0))) == []


def test_an_answer_ends_by_itself(
    watched: tuple[Status, History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "ANSWER_SECS", 0.3)
    monkeypatch.setattr(live_module, "TICK_SECS", 0.05)

    async def all_of_it() -> list[bytes]:
        return [one async for one in frames(*watched, None)]

    began = time.monotonic()
    [only] = asyncio.run(all_of_it())
    assert [kind for kind, _ in parsed(only)] == ["daemon", "streams"]
    assert time.monotonic() - began < 20
