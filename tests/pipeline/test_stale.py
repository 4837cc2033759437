"""A sensor that falls silent is told while it is silent, and nobody else's silence is its."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from connectors.codecs import JsonCodec
from streamlnn.errors import NotConnected
from streamlnn.model.records import NANOSECONDS, Record
from streamlnn.pipeline import announce, outbox, stale
from streamlnn.pipeline.contract import Message, Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream, begin
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.messages import schema
from streamlnn.pipeline.moving import reset_stream
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.outbox import Outbox
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.silence import LEAST_SECS, Silence
from streamlnn.pipeline.stale import StaleWatch
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import DROP, Abort, CollectingSink, FakeClock, ScriptedSource

TURN = 0.5
"""Seconds that pass in a read in which nothing comes."""


class Play:
    """A script in which time passes, and the clock by which it passes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.items: list[Any] = []
        self._now = self.clock.now

    def say(self, name: str = "pump", value: float | None = None) -> None:
        """A record comes, stamped with the moment at which it is received."""
        value = math.sin(len(self.items)) if value is None else value
        payload = json.dumps({"t": self._now, "v": value}).encode()
        self.items.append(Message(f"s/{name}", payload, self._now))

    def quiet(self, seconds: float) -> None:
        """Nothing comes for so long."""
        for _ in range(round(seconds / TURN)):
            self.items.append(self._pass)
        self._now += round(seconds * NANOSECONDS)

    def regularly(self, count: int, every: float, *names: str) -> None:
        for _ in range(count):
            for name in names or ("pump",):
                self.say(name)
            self.quiet(every)

    def _pass(self) -> None:
        self.clock.advance(TURN)


TABLE = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix_ns"}}


def run(
    play: Play,
    folder: Path | None = None,
    sink: CollectingSink | None = None,
    source: ScriptedSource | None = None,
    observer: Observer | None = None,
    **table: Any,
) -> CollectingSink:
    sink = sink or CollectingSink()
    streams = StreamMap([StreamSettings(**{**TABLE, **table})], JsonCodec())
    Pipeline(
        Journal(folder),
        [(source or ScriptedSource(play.items), streams)],
        [sink],
        observer or Observer(),
        instance="i",
        model=ModelSettings(units=8),
        clock=play.clock,
    ).run()
    return sink


def told(sink: CollectingSink) -> list[dict[str, Any]]:
    events = [json.loads(one.payload) for one in sink.outputs if one.kind == "event"]
    return [event for event in events if event["type"] == "stale"]


def phases(sink: CollectingSink) -> list[str]:
    return [event["phase"] for event in told(sink)]


def secs(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def test_a_sensor_that_falls_silent_is_told_while_it_is_silent() -> None:
    """Ten usual steps after it was last heard, once, until it speaks again: one id."""
    play = Play()
    play.regularly(20, 1.0)
    play.quiet(29)
    play.say()
    start, end = told(run(play))
    jsonschema.validate(start, schema("event"))
    jsonschema.validate(end, schema("event"))
    assert (start["phase"], start["severity"], start["target"]) == ("start", "warning", None)
    assert (end["phase"], end["severity"]) == ("end", "info")
    assert start["id"] == end["id"]
    assert start["since"] == end["since"]
    assert 10 <= secs(start["time"]) - secs(start["since"]) <= 12
    assert secs(end["time"]) - secs(start["since"]) == 30
    assert start["text"].endswith("a record usually comes every 1 s.")
    assert end["text"] == "Records come again, after 30 s."


def test_the_state_says_who_is_silent_and_the_observer_hears_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Looking(Observer):
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def stale(self, stream: str, is_stale: bool) -> None:
            self.seen.append((stream, is_stale))

        def count(self, name: str, n: int = 1, **labels: str) -> None:
            if name == "events_total" and labels["type"] == "stale":
                self.seen.append((labels["type"], n))

    monkeypatch.setattr(announce, "STATE_EVERY_SECS", 0.0)
    play, observer = Play(), Looking()
    play.regularly(20, 1.0)
    play.quiet(20)
    play.say()
    states = [
        json.loads(one.payload)["stale"]
        for one in run(play, observer=observer).outputs
        if one.kind == "state"
    ]
    assert (states[0], True in states, states[-1]) == (False, True, False)
    assert observer.seen == [("pump", True), ("stale", 1), ("pump", False), ("stale", 1)]


def test_only_the_silent_one_of_two_is_told() -> None:
    play = Play()
    play.regularly(20, 1.0, "a", "b")
    play.regularly(30, 1.0, "a")
    assert [event["stream"] for event in told(run(play))] == ["b"]


@pytest.mark.parametrize(("silence", "expected"), [(19, []), (21, ["start"])])
def test_a_given_cadence_holds_from_the_second_record_on(
    silence: float, expected: list[str]
) -> None:
    play = Play()
    play.regularly(2, 0.5)
    play.quiet(silence)
    assert phases(run(play, every="2s")) == expected


@pytest.mark.parametrize(("silence", "expected"), [(4, []), (6, ["start"])])
def test_no_silence_of_a_moment_is_told_of_a_fast_sensor(
    silence: float, expected: list[str]
) -> None:
    play = Play()
    play.regularly(4, 0.5)
    play.quiet(silence)
    assert phases(run(play, every="10ms")) == expected


def test_nothing_is_told_while_the_cadence_is_unknown() -> None:
    play = Play()
    play.regularly(8, 1.0)
    play.quiet(100)
    assert phases(run(play)) == []


def test_records_without_a_time_of_their_own_have_a_cadence_too() -> None:
    play = Play()
    play.regularly(20, 1.0)
    play.quiet(20)
    assert phases(run(play, time=None)) == ["start"]


def test_a_recording_is_never_silent() -> None:
    play = Play()
    play.regularly(20, 1.0)
    play.quiet(50)
    source = ScriptedSource(play.items)
    source.finite = True  # type: ignore[attr-defined]
    assert phases(run(play, source=source)) == []


class Lost(ScriptedSource):
    """Cannot be connected for a minute after its first connection."""

    def __init__(self, play: Play) -> None:
        super().__init__(play.items)
        self._play, self._tries = play, 0

    def connect(self, position: str | None) -> None:
        self._tries += 1
        if 1 < self._tries <= 121:
            self._play.clock.advance(TURN)
            raise NotConnected("gone")
        super().connect(str(self._at) if self._tries > 1 else position)


@pytest.mark.parametrize(("silence", "expected"), [(4, []), (8, ["start"])])
def test_while_the_source_is_lost_it_is_we_who_are_deaf(
    monkeypatch: pytest.MonkeyPatch, silence: float, expected: list[str]
) -> None:
    """The 5 s before and the seconds after count, the minute between does not."""
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)
    monkeypatch.setattr("streamlnn.pipeline.loop.IDLE_SECS", 0.001)
    play = Play()
    play.regularly(20, 1.0)
    play.quiet(4)
    play.items.append(DROP)
    play.quiet(silence)
    assert phases(run(play, source=Lost(play))) == expected


class Slow(CollectingSink):
    """Confirms nothing for a minute, once it has something."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock, self._turns = clock, 0

    def flush(self, timeout: float) -> int:
        self.holds = self._taken >= 20 and self._turns < 120
        if self.holds:
            self._turns += 1
            self._clock.advance(TURN)
        return super().flush(timeout)


def test_while_the_sinks_are_behind_nobody_is_listened_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FULL", 1)
    monkeypatch.setattr("streamlnn.pipeline.loop.IDLE_SECS", 0.001)
    play = Play()
    play.regularly(20, 1.0)
    play.quiet(5)
    sink = run(play, sink=Slow(play.clock))
    assert play.clock.now - FakeClock().now > 80 * NANOSECONDS
    assert phases(sink) == []


@pytest.mark.parametrize("jump", [86_400.0 * 365, -86_400.0])
def test_a_wall_clock_that_is_set_makes_nobody_stale(jump: float) -> None:
    play = Play()
    play.regularly(20, 1.0)
    play.items.append(lambda: play.clock.advance(jump))
    play.quiet(5)
    assert phases(run(play)) == []


def test_bursts_with_long_sleep_between_them_are_soon_usual() -> None:
    """Ten values in five seconds, then ten minutes of silence: told at first, and not for ever."""
    play = Play()
    for _ in range(8):
        play.regularly(10, 0.5)
        play.quiet(600)
    events = told(run(play))
    starts = [event["time"] for event in events if event["phase"] == "start"]
    assert len(starts) <= 4
    assert max(starts) < "2023-11-14T23", "in the first half of the 80 minutes"


@settings(deadline=None, max_examples=200)
@given(
    some.floats(0.01, 86_400.0),
    some.lists(some.floats(0.5, 2.0), min_size=20, max_size=200),
    some.floats(20.0, 1e6),
)
def test_one_outage_does_not_make_outages_usual(
    every: float, gaps: list[float], outage: float
) -> None:
    """After it, as long as it may have been, a silence is told after 100 usual steps at most."""
    silence, now = Silence(), 0
    for gap in [*gaps, outage, *gaps[:10]]:
        now += round(gap * every * NANOSECONDS)
        silence.hear(now, every)
    limit = silence.limit(every, records=len(gaps))
    assert limit is not None
    assert max(LEAST_SECS, 10 * every) <= limit <= max(LEAST_SECS, 100 * every)


@given(some.lists(some.none() | some.integers(-(2**62), 2**62)), some.none() | some.just(1.0))
def test_what_is_known_of_silences_is_kept_as_json(
    moments: list[int | None], cadence: float | None
) -> None:
    silence, again = Silence(), Silence()
    for moment in moments:
        silence.hear(moment, cadence)
    again.state = json.loads(json.dumps(silence.state))
    assert (again.heard, again.usual) == (silence.heard, silence.usual)
    assert math.isfinite(again.usual)


# ------------------------------------------------------------------------------- over a restart


def pieces(*acts: Callable[[Play], None]) -> tuple[Play, list[int]]:
    """A play in acts, and after how many items each of them ends."""
    play, ends = Play(), []
    for act in acts:
        act(play)
        ends.append(len(play.items))
    return play, ends


class Acts(ScriptedSource):
    """Plays the items up to one act's end, from where the last run left off."""

    def __init__(self, items: list[Any], begin: int, end: int) -> None:
        super().__init__(items[:end])
        self._begin = begin

    def connect(self, position: str | None) -> None:
        super().connect(position)
        self._at = max(self._at, self._begin)


def test_what_is_stale_stays_so_over_a_restart_until_it_speaks(tmp_path: Path) -> None:
    play, (first, second, third) = pieces(
        lambda play: (play.regularly(20, 1.0), play.quiet(15)),  # type: ignore[arg-type]
        lambda play: play.quiet(60),
        lambda play: (play.quiet(2), play.say()),  # type: ignore[arg-type]
    )
    sinks = [
        run(play, tmp_path, source=Acts(play.items, begin, end))
        for begin, end in [(0, first), (first, second), (second, third)]
    ]
    assert [phases(sink) for sink in sinks] == [["start"], [], ["end"]]
    [start], _, [end] = map(told, sinks)
    assert (start["id"], start["since"]) == (end["id"], end["since"])
    shown = [json.loads(one.payload) for one in sinks[1].outputs if one.kind == "state"]
    assert [(one["stale"], one["status"]) for one in shown] == [(True, "warming")]


@pytest.mark.parametrize(("silence", "expected"), [(8, []), (13, ["start"])])
def test_our_own_downtime_is_nobodys_silence(
    tmp_path: Path, silence: float, expected: list[str]
) -> None:
    """After a night in which we were off, silence counts from when we listen again."""
    play, (first, second) = pieces(
        lambda play: play.regularly(20, 1.0), lambda play: play.quiet(silence)
    )
    run(play, tmp_path, source=Acts(play.items, 0, first))
    play.clock.advance(36_000)
    sink = run(play, tmp_path, source=Acts(play.items, first, second))
    assert phases(sink) == expected
    assert all(event["since"] == "2023-11-14T22:13:39Z" for event in told(sink))


def test_what_the_configuration_no_longer_follows_is_forgotten(tmp_path: Path) -> None:
    play, (first, second) = pieces(
        lambda play: (play.regularly(20, 1.0), play.quiet(15)),  # type: ignore[arg-type]
        lambda play: play.quiet(30),
    )
    run(play, tmp_path, source=Acts(play.items, 0, first))
    sink = run(play, tmp_path, source=Acts(play.items, first, second), topic="other/{name}")
    assert phases(sink) == []
    assert [one for one in sink.outputs if one.kind == "state"] == []
    journal = Journal(tmp_path)
    assert journal.stale() == {}
    journal.close()


KILLING_POINTS: dict[str, tuple[Any, str]] = {
    "save_stale": (Journal, "save_stale"),
    "keep_notice": (Journal, "keep_notice"),
    "drop_notices": (Journal, "drop_notices"),
    "add": (Outbox, "add"),
    "step": (LiveStream, "step"),
    "write": (CollectingSink, "write"),
    "flush": (CollectingSink, "flush"),
}


@pytest.mark.parametrize("point", KILLING_POINTS)
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_step_loses_neither_start_nor_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str, after: bool
) -> None:
    """Killed at each call in turn; forecasts are as without the kill, and the story is whole."""
    play, _ = pieces(
        lambda play: (play.regularly(12, 0.5), play.quiet(8)),  # type: ignore[arg-type]
        lambda play: (play.regularly(2, 0.5), play.quiet(8)),  # type: ignore[arg-type]
    )
    whole = run(play, tmp_path / "uncut", every="500ms")
    assert phases(whole) == ["start", "end", "start"]
    owner, name = KILLING_POINTS[point]
    original, calls, die_at = getattr(owner, name), 0, -1

    def dying(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == die_at and not after:
            raise Abort
        result = original(self, *arguments)
        if calls == die_at:
            raise Abort
        return result

    monkeypatch.setattr(owner, name, dying)
    kills = 0
    while calls >= die_at or kills == 0:
        calls, die_at, sink = 0, die_at + 3, CollectingSink()
        source = ScriptedSource(play.items)
        for _ in range(2):
            try:
                run(play, tmp_path / str(die_at), sink, source, every="500ms")
                break
            except Abort:
                kills += 1
        assert by_seq(sink) == by_seq(whole)
        story = dict.fromkeys((event["id"], event["phase"]) for event in told(sink))
        assert list(story) == [(event["id"], event["phase"]) for event in told(whole)]
    assert kills > 0


def by_seq(sink: CollectingSink) -> dict[int, bytes]:
    found = {}
    for one in sink.outputs:
        if one.kind == "forecast":
            found[json.loads(one.payload)["seq"]] = one.payload
    return found


def test_forecasts_state_and_other_events_know_nothing_of_it(tmp_path: Path) -> None:
    """Live, with silences told, or as a recording, where nothing is told: the same, bit for bit."""
    play = Play()
    play.regularly(100, 0.5)
    play.quiet(10)
    play.regularly(20, 0.5)
    said: list[Any] = []
    for finite in (False, True):
        play.clock.now = FakeClock().now
        source = ScriptedSource(play.items)
        source.finite = finite  # type: ignore[attr-defined]
        sink = run(play, tmp_path / str(finite), source=source)
        assert bool(told(sink)) is not finite
        journal = Journal(tmp_path / str(finite))
        [row] = journal.streams().values()
        kept = [state for _, state in journal.snapshots(row)]
        assert journal.watermark("collecting") == journal.last_lsn == 120
        assert journal.notices("collecting") == []
        journal.close()
        others = [one for one in sink.durable if one.identity.get("type") != "stale"]
        said.append((others, row.clock, kept))
    assert said[0] == said[1]


def test_a_stream_that_was_reset_is_waited_for_without_a_word(tmp_path: Path) -> None:
    """It has said nothing since it began anew: nobody knows whether it ever will."""
    play, (first, second) = pieces(
        lambda play: play.regularly(20, 1.0), lambda play: play.quiet(60)
    )
    run(play, tmp_path, source=Acts(play.items, 0, first), every="1s")
    journal = Journal(tmp_path)
    reset_stream(journal, journal.streams()["pump"])
    journal.close()
    assert phases(run(play, tmp_path, source=Acts(play.items, first, second), every="1s")) == []


# ------------------------------------------------------------------------------- what it costs


def many(count: int) -> tuple[StaleWatch, dict[str, LiveStream], Journal]:
    """So many streams of one source, all with a given cadence of a second, sharing one model."""
    journal, play = Journal(None), Play()
    play.say()
    streams = StreamMap([StreamSettings(**{**TABLE, "every": "1s"})], JsonCodec())
    pipeline = Pipeline(
        journal,
        [(ScriptedSource(play.items), streams)],
        [],
        Observer(),
        instance="i",
        model=ModelSettings(units=8),
        clock=play.clock,
    )
    with journal.transaction():
        reading = streams.read(play.items[0])[0]
        live = pipeline._intake._live(reading)
    live.step(1, Record("pump", reading.time, reading.values))
    lives = {f"s{n}": live for n in range(count)}
    watch = StaleWatch(journal, ["scripted"])
    for name in lives:
        watch.expect(name, "scripted")
    return watch, lives, journal


def test_ten_thousand_streams_are_looked_at_a_few_at_a_time() -> None:
    watch, lives, journal = many(10_000)
    fallen = []
    watch.listen(0, ["scripted"])
    for turn in range(1, 20 * 15):
        watch.listen(turn * NANOSECONDS // 20, ["scripted"])
        fallen.append(len(watch.fallen(lives)))
    assert max(fallen) <= stale.AT_ONCE
    assert sum(fallen[:199]) == 0, "10 s have not passed"
    assert sum(fallen) == 10_000, "all are told within the next seconds"
    journal.close()


def test_a_notice_moves_no_watermark_and_is_not_kept_twice() -> None:
    sink, held = CollectingSink(), CollectingSink()
    held.holds = True
    event = Output("event", b"stale", "s", lsn=7, notice=3)
    for target in (sink, held):
        journal = Journal(None)
        with journal.transaction():
            journal.save_watermark(target.id, 7)
        box = Outbox(target, journal)
        box.add([event, Output("forecast", b"f", "s", 8)])
        box.push(0.0)
        assert [one.payload for one in target.durable] == [b"stale", b"f"]
        with journal.transaction():
            box.keep({"s": 8})
        kept = journal.kept_outputs(target.id)
        assert kept == [Output("forecast", b"f", "s", 8)] * (target is held)
        assert (box.watermark, box.told) == ((7, []) if target is held else (8, [3]))


def test_a_notice_of_an_earlier_run_comes_behind_and_turns_nothing_back() -> None:
    journal, sink = Journal(None), CollectingSink()
    with journal.transaction():
        journal.save_watermark(sink.id, 3)
    box = Outbox(sink, journal)
    box.add([Output("forecast", b"f", "s", 9), Output("event", b"stale", "s", 5, notice=1)])
    box.push(0.0)
    assert (box.watermark, box.told, len(box)) == (9, [1], 0)


def test_a_stream_that_learned_nothing_yet_knows_no_limit() -> None:
    streams = StreamMap([StreamSettings(**TABLE)], JsonCodec())
    play = Play()
    play.say()
    journal = Journal(None)
    pipeline = Pipeline(
        journal,
        [(ScriptedSource(play.items), streams)],
        [],
        Observer(),
        instance="i",
        model=ModelSettings(units=8),
        clock=play.clock,
    )
    with journal.transaction():
        live = pipeline._intake._live(streams.read(play.items[0])[0])
    assert (live.stale_after, live.usual_silence) == (None, 0.0)
    assert Silence().limit(None, records=0, every=1.0) is None
    assert Silence().limit(None, records=1, every=1.0) == 10.0
    assert begin(live.row, "i").stale is False
    journal.close()
