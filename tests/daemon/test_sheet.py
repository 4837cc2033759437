"""The table of all streams: it fits every terminal, and the oddest stream is on top."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from streamlnn.daemon.overview import Facts, Overview, Rate, Standing, Steady, oddness
from streamlnn.daemon.sheet import Page, sheet, sparkline
from streamlnn.pipeline.messages import EventMessage

READY = Facts("works", "1.2.3", ())


def standing(stream: str, seq: int = 0, **told: Any) -> Standing:
    usual = {"status": "ok", "stale": False, "anomaly": False, "score": 0.5, "y": 1.0}
    one = {"stream": stream, "seq": seq, **usual, "unit": "l/s", "skill": 0.25} | told
    odd = oddness(one["anomaly"], one["stale"], one["status"], one["score"])
    return Standing(oddness=odd, **one)


def event(stream: str) -> EventMessage:
    nothing = dict.fromkeys(("target", "since", "score", "y", "yhat", "yhat_lower", "yhat_upper"))
    return EventMessage(
        v=1,
        id="1",
        instance="works",
        stream=stream,
        type="anomaly",
        phase="start",
        time="2026-11-28T10:00:00Z",
        severity="warning",
        text="it is odd",
        **nothing,
        **dict.fromkeys(("limit", "h", "p")),
    )


def drawn(
    overview: Overview,
    width: int,
    height: int | None = None,
    facts: Facts = READY,
    order: str = "odd",
    **page: Any,
) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=500, color_system=None)
    shown = overview.sorted(order)
    console.print(sheet(shown, overview, facts, None, Page(width, height, **page)))
    return console.file.getvalue().splitlines()


def of(*standings: Standing) -> Overview:
    overview = Overview()
    overview.take(standings)
    return overview


@given(
    names=st.lists(st.text("ab/é\x1b", min_size=1, max_size=50), max_size=40, unique=True),
    width=st.integers(1, 200),
    height=st.integers(5, 60),
    y=st.one_of(st.none(), st.floats()),
)
def test_it_fits_every_terminal(names: list[str], width: int, height: int, y: float) -> None:
    overview = of(*(standing(name, y=y, latest=[1.0, y, 2.0]) for name in names))
    overview.events.append(event("pump"))
    lines = drawn(overview, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(("height", "shown"), [(30, 12), (15, 12), (14, 10), (6, 2)])
def test_what_has_no_room_is_counted(height: int, shown: int) -> None:
    lines = drawn(of(*(standing(f"pump{n}") for n in range(12))), 80, height)
    assert sum(line.startswith("pump") for line in lines) == shown
    assert (f"and {12 - shown} more" in lines) == (shown < 12)


def test_events_take_the_room_that_is_left() -> None:
    overview = of(standing("pump"))
    overview.events.extend(event(f"pump{n}") for n in range(10))
    lines = drawn(overview, 80, 8)
    assert len(lines) == 8
    assert lines[-1] == "2026-11-28T10:00:00Z  pump9: it is odd"
    assert lines[-4].endswith("pump6: it is odd")


def test_the_name_is_the_last_to_go() -> None:
    overview = of(standing("north/hall3/pump7", latest=[1.0, 2.0]))
    heads = [drawn(overview, width)[2].split() for width in (100, 48, 30, 20)]
    assert heads == [
        ["stream", "value", "latest", "score", "skill", "status"],
        ["stream", "value", "score", "skill", "status"],
        ["stream", "value", "status"],
        ["stream", "status"],
    ]
    assert drawn(overview, 20)[3].split() == ["…ll3/pump7", "ok"]


def test_the_oddest_stream_is_on_top() -> None:
    overview = of(
        standing("calm", score=0.1, skill=0.9),
        standing("high", score=0.995, skill=None),
        standing("drifting", status="drifting", score=0.0),
        standing("stale", stale=True, score=math.nan, skill=-1.0),
        standing("odd", anomaly=True, score=math.nan),
        standing("also", score=0.1),
    )
    by = {order: [one.stream for one in overview.sorted(order)] for order in ("odd", "name")}
    assert by["odd"] == ["odd", "stale", "drifting", "high", "also", "calm"]
    assert by["name"] == sorted(by["odd"])
    by_skill = [one.stream for one in overview.sorted("skill")]
    assert (by_skill[0], by_skill[-2:]) == ("stale", ["calm", "high"])
    badges = [line.split()[-1] for line in drawn(overview, 80)[3:]]
    assert badges == ["ANOMALY", "stale", "drifting", "ok", "ok", "ok"]


def test_places_are_held_for_a_while_unless_a_badge_changes() -> None:
    steady, overview = Steady("odd"), of(standing("a", score=0.9), standing("b", score=0.1))

    def places(now: float) -> list[str]:
        return [one.stream for one in steady.sorted(overview, now)]

    assert places(0.0) == ["a", "b"]
    overview.take([standing("b", 1, score=0.995)])
    assert places(4.0) == ["a", "b"]
    assert places(5.0) == ["b", "a"]
    overview.take([standing("a", 1, anomaly=True)])
    assert places(5.1) == ["a", "b"]


def test_a_value_is_kept_once_and_outlives_a_restart_of_the_daemon() -> None:
    overview = of(standing("pump", 7, y=3.0, latest=[1.0, 2.0, 3.0]))
    overview.take([standing("pump", 7, y=3.0, latest=[1.0, 2.0, 3.0])])
    overview.take([standing("pump", 7, y=3.0, stale=True)])
    overview.take([standing("pump", 8, y=4.0)])
    assert [*overview.values["pump"]] == [1.0, 2.0, 3.0, 4.0]
    overview.begin()
    assert overview.sorted("odd") == []
    overview.take([standing("pump", 8, y=4.0, latest=[4.0])])
    overview.take([standing("pump", 9, y=5.0, latest=[5.0])])
    assert [*overview.values["pump"]] == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_what_is_missing_stands_above_the_table() -> None:
    troubled = Facts("works", "1.2.3", ("source 'plant' is connecting", "sink 'x' is lost"))
    lines = drawn(of(standing("pump", stale=True)), 80, facts=troubled)
    assert lines[:2] == [
        "streamlnn works  1 stream, 1 stale  1.2.3",
        "source 'plant' is connecting; sink 'x' is lost",
    ]


def test_a_terminal_that_knows_no_blocks_is_given_none() -> None:
    overview = of(standing("pump", latest=[1.0, 2.0]))
    assert "▁█" in drawn(overview, 80)[3]
    assert drawn(overview, 80, blocks=False)[3].isascii()


@given(st.lists(st.one_of(st.none(), st.floats(-1e9, 1e9), st.just(math.nan)), max_size=99))
def test_a_sparkline_is_highest_where_the_value_is(values: list[float | None]) -> None:
    line = sparkline(values, 60)
    assert len(line) == min(60, len(values))
    known = [
        (y, block) for y, block in zip(values[-60:], line, strict=True) if y is not None and y == y
    ]
    assert [block for _, block in sorted(known)] == sorted(block for _, block in known)
    assert line.count(" ") == len(line) - len(known)


def test_a_rate_is_that_of_the_last_looks() -> None:
    rate = Rate()
    assert [rate.note(100 * n, float(n)) for n in range(9)] == [None, *[100.0] * 8]
    assert [rate.note(800, 9.0 + n) for n in range(5)][-1] == 0.0
