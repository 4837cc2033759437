"""Tables whose topics overlap: one message is one sample, or the configuration is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from brokers import Broker
from hypothesis import given
from hypothesis import strategies as st
from invoked import run

from connectors.mqtt import MqttSource
from connectors.mqtt.source import Position
from streamlnn.daemon.config import Config, loads
from streamlnn.daemon.run import make_sources, stream_map
from streamlnn.daemon.topics import apart, covers, meet, overlaps, widest
from streamlnn.errors import ConfigError, DecodeError
from streamlnn.pipeline.contract import Message

FILTERS = st.lists(st.sampled_from(["a", "b", "+", "$c"]), min_size=1, max_size=3).flatmap(
    lambda levels: st.sampled_from(["/".join(levels), "/".join([*levels, "#"]), "#"])
)
TOPICS = st.lists(st.sampled_from(["a", "b", "$c"]), min_size=1, max_size=4).map("/".join)


def matches(one: str, topic: str) -> bool:
    """What the MQTT library says of a filter and a topic."""
    from paho.mqtt.client import topic_matches_sub

    return topic_matches_sub(one, topic)


def config(*tables: tuple[str, str], source: str = "", url: str = "mqtt://localhost") -> Config:
    """A broker, and a `[[stream]]` for each (topic, id)."""
    head = f'[[source]]\nkind = "mqtt"\nid = "plant"\nurl = "{url}"\n{source}\n'
    return loads(head + "\n".join(f'[[stream]]\ntopic = "{t}"\nid = "{i}"' for t, i in tables))


@given(FILTERS, FILTERS, TOPICS)
def test_what_the_narrow_filter_matches_the_wide_one_does(wide: str, narrow: str, topic: str):
    if covers(wide, narrow) and matches(narrow, topic):
        assert matches(wide, topic)


@given(st.lists(FILTERS, max_size=5), TOPICS)
def test_filters_apart_match_all_that_was_asked_for_and_each_topic_once(
    filters: list[str], topic: str
):
    wanted = any(matches(one, topic) for one in filters)
    assert any(matches(one, topic) for one in widest(filters)) == wanted
    found = apart(filters)
    assert not [*overlaps(found)]
    assert sum(matches(one, topic) for one in found) <= 1
    assert not wanted or any(matches(one, topic) for one in found)


@pytest.mark.parametrize(
    ("wide", "narrow"), [("a/#", "a"), ("#", "+/a"), ("+/#", "a/b/#"), ("a/+", "a/+"), ("+", "a")]
)
def test_a_filter_covers(wide: str, narrow: str):
    assert covers(wide, narrow)
    assert meet(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"), [("a/+", "a/#"), ("a/+", "a"), ("+", "a/b"), ("+/b", "a/+"), ("#", "$SYS")]
)
def test_a_filter_does_not_cover(wide: str, narrow: str):
    assert not covers(wide, narrow)


CLASHES = {
    "a device that is named": [("z/{device}", "{device}"), ("z/kitchen", "kitchen")],
    "the other way round": [("z/kitchen", "kitchen"), ("z/{device}", "{device}")],
    "the topic itself": [("z/#", "{topic}"), ("z/kitchen", "z/kitchen")],
    "the level above": [("z/{rest...}", "{rest}"), ("z/a/{b}", "a/{b}")],
    "a part of a level": [("z/sensor_{n}", "{n}"), ("z/{d}", "{d}-x"), ("z/sensor_1", "1")],
    "a name within the payload": [("z/+", "{topic}/{_series}"), ("z/a", "z/a/{_series}")],
}


@pytest.mark.parametrize("tables", CLASHES.values(), ids=CLASHES)
def test_a_message_that_two_tables_read_into_one_stream_is_refused(tables: list[tuple[str, str]]):
    with pytest.raises(ConfigError) as caught:
        config(*tables)
    (problem,) = caught.value.problems
    line = 5 + 3 * len(tables)  # the id of the last table
    assert re.match(rf"config:{line}: stream\.id: a message on '.*' would feed the stream", problem)
    assert repr(tables[0][0]) in problem


APART = {
    "another stream": [("z/{device}", "{device}"), ("z/kitchen", "special")],
    "other topics": [("z/{device}", "{device}"), ("tele/kitchen/SENSOR", "kitchen")],
    "names that cannot be the same": [("z/{a}/t", "{a}"), ("z/{b}/u", "{b}-u")],
    "what only the payload tells": [("z/+", "{topic}/{_series}"), ("z/a", "fixed")],
}


@pytest.mark.parametrize("tables", APART.values(), ids=APART)
def test_tables_of_different_streams_are_sound(tables: list[tuple[str, str]]):
    assert len(config(*tables).streams) == 2


def test_a_stream_named_by_payload_and_table_alike_is_fed_once_and_the_second_put_aside():
    """Which names the payload will tell, nobody knows beforehand."""
    streams = config(("z/{d}", "{d}-{kind}"), ("z/a", "a-t")).streams
    told = stream_map(streams, "json").read_each(Message("z/a", b'{"v": 1, "kind": "t"}', 1))
    assert [type(one) for one in told] == [type(told[0]), DecodeError]
    assert "another [[stream]] has fed 'a-t' from it" in str(told[1])


def test_a_wildcard_at_the_beginning_leaves_out_what_begins_with_a_dollar():
    streams = config(("#", "{topic}"), ("$SYS/{rest...}", "sys/{rest}")).streams
    told = stream_map(streams, "json").read_each(Message("$SYS/load", b"1", 1))
    assert [one.stream for one in told if not isinstance(one, DecodeError)] == ["sys/load"]


OVERLAPPING = [("a/{x}", "one-{x}"), ("{y}/b", "two-{y}"), ("c/d", "c")]


def test_a_partial_overlap_is_told_with_both_tables_and_the_way_out(tmp_path: Path):
    (doubt,) = config(*OVERLAPPING).doubts()
    assert "'a/{x}'" in doubt
    assert "'{y}/b'" in doubt
    way_out = re.search(r"topics = \[.*?\]", doubt)
    assert way_out
    mended = config(*OVERLAPPING, source=way_out[0])
    assert mended.filters("plant") == ("+/+",)
    assert not mended.doubts()


def test_check_shows_what_is_subscribed_to_and_warns(tmp_path: Path):
    file = tmp_path / "f.toml"
    tables = [*OVERLAPPING, ("c/{x}", "other-{x}")]
    written = "\n".join(f'[[stream]]\ntopic = "{t}"\nid = "{i}"' for t, i in tables)
    file.write_text(f'[[source]]\nkind = "mqtt"\nurl = "mqtt://localhost"\n{written}')
    said = run("check", file).output
    assert re.findall("subscribes to (.*)", said) == ["a/+", "+/b", "c/+"]
    assert said.count("may come from the broker twice") == 2  # a/b, and c/b


def samples(source: MqttSource, made: Config) -> Iterator[str]:
    """The streams that are fed until the topic `end` has been heard."""
    streams = stream_map(made.streams, "json")
    while True:
        batch = source.read(5)
        assert batch, "nothing came"
        for message in batch.messages:
            told = [one for one in streams.read_each(message) if not isinstance(one, DecodeError)]
            yield from (one.stream for one in told)
            if message.origin == "end":
                return


@pytest.mark.parametrize("version", ["3.1.1", "5"])
@pytest.mark.parametrize(
    ("tables", "more"),
    [
        ([("z/{device}", "{device}"), ("z/kitchen", "special")], ""),
        ([("z/{d}", "{d}"), ("{z}/kitchen", "{z}-special")], 'topics = ["+/+", "end"]'),
        ([("z/{device}", "{device}"), ("z/kitchen", "special")], 'topics = ["#", "z/#", "z/+"]'),
    ],
)
def test_a_message_on_a_real_broker_is_one_sample_of_each_stream(
    broker: Broker, version: str, tables: list[tuple[str, str]], more: str
):
    """In a session of before that was subscribed to each filter, which is kept."""
    more += f'\nversion = "{version}"'
    made = config(*tables, ("end", "end"), source=more, url=broker.url)
    before = ("z/+", "z/kitchen", "+/kitchen", "end")
    (old,) = make_sources(
        config(*((one, "{topic}") for one in ("x/y",)), url=broker.url), daemon=True
    )
    assert isinstance(old, MqttSource)
    old.filters = before
    old.connect(None)
    old.close()
    (source,) = make_sources(made, daemon=True)
    assert isinstance(source, MqttSource)
    source.connect(Position(1, 0, before).text())
    try:
        broker.publish_all([("z/kitchen", '{"v": 1}'), ("z/hall", '{"v": 1}'), ("end", '{"v": 1}')])
        found = sorted(samples(source, made))
    finally:
        source.close()
    special = "z-special" if "{z}" in tables[1][0] else "special"
    assert found == sorted(["kitchen", special, "hall", "end"])


def test_a_topic_that_is_no_template_is_told_and_compared_with_nothing():
    with pytest.raises(ConfigError) as caught:
        config(("z/{d}/{d}", "{d}"), ("z/{d e}", "x"), ("z/a/b", "b"))
    told = [problem.split(": ")[1] for problem in caught.value.problems]
    assert "stream.topic" in told
    assert len(told) >= 2
