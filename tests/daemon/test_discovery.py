"""What was heard is grouped, named and timed; whatever was heard, the proposal is sound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streamlnn.daemon.config import Config, loads
from streamlnn.daemon.discovery.cadence import exact, horizons, step_secs
from streamlnn.daemon.discovery.hearing import Ear
from streamlnn.daemon.discovery.proposal import MOST_FIELDS, propose
from streamlnn.daemon.discovery.stamps import recognise
from streamlnn.daemon.discovery.tables import Proposal, Table
from streamlnn.daemon.discovery.templates import cover, matches
from streamlnn.daemon.discovery.text import Broker, config_text
from streamlnn.daemon.run import stream_map
from streamlnn.model.records import NANOSECONDS
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.timestamps import parser

NOW = 1_780_000_000 * NANOSECONDS  # 2026-05-28T20:26:40Z
TEN_SECS = 10 * NANOSECONDS


def message(topic: str, payload: object, turn: int = 0) -> Message:
    text = payload if isinstance(payload, str) else json.dumps(payload)
    return Message(topic, text.encode(), NOW + turn * TEN_SECS)


def heard(said: Mapping[str, object], turns: int = 4) -> Proposal:
    """The proposal for topics that say the same thing every ten seconds."""
    ear = Ear()
    for turn in range(turns):
        for topic, payload in said.items():
            ear.take(message(topic, payload, turn))
    return propose(ear)


def tables(said: Mapping[str, object]) -> dict[str, str]:
    return {table.topic: table.id for table in heard(said).tables}


def only(said: Mapping[str, object]) -> Table:
    (table,) = heard(said).tables
    return table


# Topics

CLIMATE = {"temperature": 21.5, "humidity": 44}
GROUPS = {
    "a kind of message of many devices": (
        {f"sensors/{site}/{pump}/telemetry": {"temp": 1.5} for site in "ns" for pump in "12"},
        {"sensors/{site}/{device}/telemetry": "{site}/{device}"},
    ),
    "devices before the rest": (
        {"pump1/telemetry": {"temp": 1.5}, "pump2/telemetry": {"temp": 1.5}},
        {"{device}/telemetry": "{device}"},
    ),
    "rooms and what is measured in them": (
        {f"home/{room}/{what}": "1.5" for room in ("bath", "hall") for what in ("co2", "power")},
        {"home/{room}/{quantity}": "{room}/{quantity}"},
    ),
    "a switch in every room": (
        {
            f"home/{room}/{what}": "ON" if what == "lamp" else "1.5"
            for room in ("bath", "hall", "attic")
            for what in ("co2", "power", "lamp")
        },
        {"home/{room}/co2": "{room}/co2", "home/{room}/power": "{room}/power"},
    ),
    "devices of two kinds under one level": (
        {"zigbee2mqtt/bed": CLIMATE, "zigbee2mqtt/tv": {"power": 7.5, "state": "ON"}},
        {"zigbee2mqtt/bed": "bed", "zigbee2mqtt/tv": "tv"},
    ),
    "devices that differ in one field": (
        {"zigbee2mqtt/bed": CLIMATE, "zigbee2mqtt/bath": {**CLIMATE, "pressure": 1003.5}},
        {"zigbee2mqtt/{room}": "{room}"},
    ),
    "levels that have nothing in common": (
        {"kitchen/co2": "400.5", "kitchen/power": "1.5", "garage/co2": "390.5"},
        {"{room}/co2": "{room}/co2", "kitchen/power": "kitchen/power"},
    ),
    "one name in two places": (
        {"a/x/pump/data": {"rpm": 1.5}, "b/pump/data": {"flow": 1.5, "head": 2.5}},
        {"a/x/pump/data": "x/pump", "b/pump/data": "pump"},
    ),
    "a level in the plural": (
        {"plant/pumps/a/rpm": "1.5", "plant/pumps/b/rpm": "2.5"},
        {"plant/pumps/{pump}/rpm": "{pump}/rpm"},
    ),
    "a device far before what is measured": (
        {"shellies/shelly1pm-AB12/relay/0/power": "1.5"},
        {"shellies/shelly1pm-AB12/relay/0/power": "shelly1pm-AB12/relay/0/power"},
    ),
    "two relays of one device": (
        {f"shellies/shelly2-AB12/relay/{n}/power": "1.5" for n in "01"},
        {"shellies/shelly2-AB12/relay/{device}/power": "shelly2-AB12/relay/{device}/power"},
    ),
    "words that all topics have": (
        {"esphome/greenhouse/sensor/temp/state": "1.5"},
        {"esphome/greenhouse/sensor/temp/state": "greenhouse/temp"},
    ),
    "a device on the first level": (
        {"shelly1-AB/relay/0/power": "1.5", "garage/door/temperature": "2.5"},
        {
            "shelly1-AB/relay/0/power": "shelly1-AB/relay/0/power",
            "garage/door/temperature": "garage/door/temperature",
        },
    ),
    "topics that begin with a slash": (
        {"/sensors/a": "1.5", "/sensors/b": "2.5"},
        {"/sensors/{device}": "{device}"},
    ),
    "topics with nothing around them": ({"t1": "1.5", "t2": "2.5"}, {"t1": "t1", "t2": "t2"}),
}


@pytest.mark.parametrize("case", GROUPS)
def test_topics_alike_become_one_template_with_telling_names(case: str):
    said, expected = GROUPS[case]
    assert tables(said) == expected


def test_very_many_topics_that_are_not_alike_are_put_together():
    said = {f"ha/sensor/s{n}/state": "sunny" if n % 3 else f"{n}.5" for n in range(60)}
    proposal = heard(said)
    (table,) = proposal.tables
    assert table.topic == "ha/sensor/{sensor}/state"
    assert table.is_wide
    assert "not all alike" in config_text(Broker(), proposal)


LEVEL = st.sampled_from(["a", "b", "c", "temp", "state", ""])
TOPICS = st.lists(st.lists(LEVEL, min_size=3, max_size=3).map("/".join), unique=True, max_size=20)


@given(TOPICS, st.randoms(use_true_random=False))
def test_every_topic_is_covered_once_and_no_other_is(topics: list[str], dice: Any):
    ours = [topic for topic in topics if dice.random() < 0.6]
    foreign = [topic for topic in topics if topic not in ours]
    covers = cover(ours, foreign)
    assert sorted(topic for one in covers for topic in one.topics) == sorted(ours)
    for topic in topics:
        found = [one for one in covers if matches(one.pattern, topic.split("/"))]
        assert len(found) == (topic in ours)
        assert all(topic in one.topics for one in found)


# Payloads


@pytest.mark.parametrize(
    ("payload", "fields", "not_taken"),
    [
        ("21.5", {"value": "value"}, ()),
        ({"temp": 21.5}, {"temp": "temp"}, ()),
        ({"a": {"b": {"Flow": 1.5}}}, {"flow": "a.b.Flow"}, ()),
        ({"t": 21.5, "h": 40}, {"t": "t", "h": "h"}, ()),
        ({"timestamp": 17, "h": 40}, {"h": "h"}, ("timestamp",)),
        ({"temp": "21.5", "unit": "C"}, {"temp": "temp"}, ()),
        ({"power": 4.5, "on": True, "state": "ON"}, {"power": "power"}, ()),
        ({"power": 4.5, "linkquality": 90}, {"power": "power"}, ("linkquality",)),
        ({"power": 4.5, "seq": [1, 2]}, {"power": "power"}, ("seq.0", "seq.1")),
        ({"voltage": 230.5, "power": 4.5}, {"voltage": "voltage", "power": "power"}, ()),
        ({"temp": 4.5, "voltage": 3000, "battery": 99}, {"temp": "temp"}, ("voltage", "battery")),
        (
            {"data": {"vib": {"x": 1.5, "y": 2.5}}},
            {"vib_x": "data.vib.x", "vib_y": "data.vib.y"},
            (),
        ),
        (
            {"pm": {"value": 1.5}, "values": {"t": 2.5}},
            {"pm_value": "pm.value", "t": "values.t"},
            (),
        ),
        (
            {"m1": {"a": {"rms": 1.5}}, "m2": {"a": {"rms": 2.5}, "b": {"rms": 3.5}}},
            {"m1_a_rms": "m1.a.rms", "m2_a_rms": "m2.a.rms", "b_rms": "m2.b.rms"},
            (),
        ),
        ({"A": {"T": 1.5}, "B": {"T": 2.5}}, {"a_t": "A.T", "b_t": "B.T"}, ()),
        ([1.5, 2.5], {"value_0": "0", "value_1": "1"}, ()),
        ({"wind speed": 1.5}, {"wind_speed": "wind speed"}, ()),
        ({"°C": 1.5}, {"c": "°C"}, ()),
    ],
)
def test_numbers_that_measure_are_fields_and_others_are_told(
    payload: object, fields: dict[str, str], not_taken: tuple[str, ...]
):
    table = only({"x/y": payload})
    assert table.fields == fields
    assert table.not_taken == not_taken


def test_the_name_of_a_bare_number_is_what_its_topic_says():
    assert only({"home/attic/humidity/state": "44.5"}).fields == {"humidity": "value"}


def test_not_every_number_of_a_large_payload_is_forecast():
    table = only({"x/y": {f"f{n}": n + 0.5 for n in range(40)}})
    assert list(table.fields) == [f"f{n}" for n in range(MOST_FIELDS)]
    assert len(table.not_taken) == 40 - MOST_FIELDS


@pytest.mark.parametrize(
    ("topic", "payload", "why"),
    [
        ("$SYS/broker/load", "1.5", "what the broker tells of itself"),
        ("spBv1.0/p/DDATA/e", "1.5", "Sparkplug: protobuf"),
        ("homeassistant/sensor/a/config", {"expire_after": 5}, "announcements"),
        ("streamlnn/a/stream/b/state", {"y": 5}, "forecasts, which streamlnn"),
        ("own/base/b", {"v": 1, "instance": "a", "stream": "b", "seq": 5}, "forecasts, which"),
        ("zigbee2mqtt/bridge/info", {"permit_join_timeout": 5}, "what a bridge"),
        ("cmnd/plug/Power", "1", "commands"),
        ("z/lamp/set", {"brightness": 5}, "commands"),
        ("a/{b}", "1.5", "braces"),
        ("a/b", "ON", "words and switches"),
        ("a/b", "true", "switches and contacts"),
        ("a/b", {"state": "ON", "on": True}, "switches and contacts"),
        ("a/b", {"contact": True, "battery": 97, "linkquality": 9}, "switches and contacts"),
        ("t/cpu", "cpu usage=1.5 17\ncpu usage=2.5 18", 'layout = "non-batch"'),
        ("t/log", 'log text="on" 17', "words and switches"),
        ("a/b", '{"broken": ', "neither a number nor JSON"),
        ("a/wifi_signal", "-55.5", "how the device is"),
        ("tele/a/STATE", {"Time": "2026-05-28T20:26:40", "Heap": 25}, "how the device is"),
    ],
)
def test_what_cannot_be_forecast_is_left_out_with_the_reason(topic: str, payload: object, why: str):
    proposal = heard({topic: payload})
    assert proposal.tables == ()
    ((reason, topics),) = proposal.left_out.items()
    assert why in reason
    assert topics == [topic]


def test_what_the_broker_had_kept_is_no_news():
    ear = Ear()
    ear.take(Message("a/b", b"1.5", NOW, retained=True))
    (reason,) = propose(ear).left_out
    assert reason.startswith("kept by the broker")
    ear.take(Message("a/b", b"1.5", NOW))
    assert [table.topic for table in propose(ear).tables] == ["a/b"]


# Times

SECS = NOW // NANOSECONDS


@pytest.mark.parametrize(
    ("value", "form", "zone"),
    [
        (SECS, "unix", "UTC"),
        (SECS + 0.5, "unix", "UTC"),
        (str(SECS), "unix", "UTC"),
        (SECS * 10**3, "unix_ms", "UTC"),
        (SECS * 10**6, "unix_us", "UTC"),
        (NOW, "unix_ns", "UTC"),
        ("2026-05-28T20:26:40Z", "rfc3339", "UTC"),
        ("2026-05-28T22:26:40.123+02:00", "rfc3339", "UTC"),
        ("2026-05-28T20:26:40", "rfc3339", "UTC"),
        ("2026-05-28T22:26:40", "rfc3339", "Europe/Berlin"),
        ("2026-05-28T15:26:41", "rfc3339", "Etc/GMT+5"),
        ("28.05.2026 22:26:40", "auto", "Europe/Berlin"),
        ("2022-03-01T00:00:00", "rfc3339", "UTC"),
        (1_646_092_800, "unix", "UTC"),
    ],
)
def test_times_are_recognised_beside_the_time_of_arrival(value: object, form: str, zone: str):
    (stamp,) = recognise({"ts": [(value, NOW)]}, home="Europe/Berlin")
    assert (stamp.format, stamp.zone) == (form, zone)


def test_a_zone_of_half_an_hour_is_found():
    (stamp,) = recognise({"Time": [("2026-05-29T01:56:40", NOW)]})
    assert stamp.offset_secs == 5.5 * 3600
    assert parser(stamp.format, stamp.zone)("2026-05-29T01:56:40") == NOW


@pytest.mark.parametrize("value", [21.5, 0, -1, 17_000, "soon", "", "1970-01-01T00:00:00", 2**70])
def test_what_shows_no_present_or_past_time_is_no_stamp(value: object):
    assert recognise({"t": [(value, NOW)]}) == []


def test_a_clock_that_is_ahead_by_days_or_stands_still_is_no_stamp():
    assert recognise({"ts": [(SECS + 3 * 86_400, NOW)]}) == []
    assert recognise({"ts": [(SECS, NOW), (SECS, NOW + TEN_SECS)]}) == []


def test_of_several_times_the_one_with_the_usual_name_is_taken():
    seen = {name: [(SECS, NOW)] for name in ("last_seen", "inner.ts", "Time")}
    assert [stamp.path for stamp in recognise(seen)] == ["Time", "last_seen", "inner.ts"]


def test_a_number_that_is_a_time_is_no_field():
    ear = Ear()
    for turn in range(3):
        ear.take(message("a/b", {"ts": SECS + 10 * turn, "t": 21.5}, turn))
    (table,) = propose(ear).tables
    assert table.fields == {"t": "t"}
    assert table.stamp is not None
    assert table.stamp.path == "ts"


def test_a_time_that_only_some_messages_have_is_not_relied_on():
    ear = Ear()
    for turn, payload in enumerate([{"ts": SECS, "a": 1.5}, {"a": 2.5}, {"ts": SECS + 20, "a": 1}]):
        ear.take(message("a/b", payload, turn))
    (table,) = propose(ear).tables
    assert (table.stamp, table.fields) == (None, {"a": "a"})


def test_a_field_that_is_a_word_elsewhere_is_not_looked_for_there():
    said = {"m/a": {"rpm": 1.5, "load": 2.5}, "m/b": {"rpm": 1.5, "load": "none yet"}}
    assert tables(said) == {"m/a": "a", "m/b": "b"}


# Pace


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0.01, ["100ms", "1s"]),
        (1.1, ["1s", "10s", "1m"]),
        (3.0, ["5s", "20s", "5m"]),
        (60.0, ["1m", "10m", "1h"]),
        (900.0, ["15m", "2h", "1d"]),
        (86_400.0, ["1d", "1w", "4w"]),
        (1e9, ["4w"]),
        (None, [1, 12, 48]),
    ],
)
def test_horizons_are_friendly_multiples_of_the_step(step: float | None, expected: list[Any]):
    assert horizons(step) == expected


@given(st.floats(1e-3, 1e9))
def test_horizons_rise_whatever_the_step(step: float):
    found = horizons(step)
    loads(f'[[source]]\nkind = "stdin"\n[[stream]]\nhorizons = {json.dumps(found)}')


def test_the_step_is_that_of_the_topics_that_were_heard_often_enough():
    assert step_secs([]) is None
    assert step_secs([[NOW], [NOW, NOW + TEN_SECS]]) is None
    assert step_secs([[NOW], [NOW, NOW + TEN_SECS, NOW + 2 * TEN_SECS]]) == 10.0


def test_a_sender_in_bursts_has_the_pace_of_its_bursts():
    bursts = [NOW + burst * 60 * NANOSECONDS + n for burst in range(10) for n in range(10)]
    step = step_secs([bursts])
    assert step is not None
    assert 3 < step < 60


def test_streams_heard_too_seldom_count_samples_and_say_why():
    proposal = heard({"a/b": "1.5"}, turns=2)
    assert proposal.tables[0].horizons == [1, 12, 48]
    assert "Heard too seldom" in config_text(Broker(), proposal)


# Whatever is heard

NAMES = st.sampled_from(["temp", "ts", "a.b", "$x", "${HOME}", "°C", 'q"', "x y", "0", "battery"])
NUMBERS = st.floats(-1e9, 1e9) | st.integers(-5, 2**62)
LINE = f"cpu,host=a usage=1.5 {NOW}"
PAYLOADS = st.recursive(
    NUMBERS | st.sampled_from(["ON", "21.5", LINE, True, None, "2026-05-28T22:26:40"]),
    lambda inside: st.dictionaries(NAMES, inside, max_size=4) | st.lists(inside, max_size=3),
    max_leaves=8,
)
WORD = st.sampled_from(["a", "b", "c", "set", "$SYS", "${X}", "a b", "ä", '"', "\\", "\x7f"])
NAMED = st.lists(WORD, min_size=1, max_size=4).map("/".join)


@settings(deadline=None)
@given(st.dictionaries(NAMED, PAYLOADS, max_size=8))
@example({"a/b": LINE, "a/c": LINE, "a": LINE, "b/a": LINE, "b/c": 1.5})
@example({"a/b": {"temp": 1.5}, "a/c": {"temp": 1.5, "a.b": 2.5}})
def test_whatever_is_heard_the_proposal_is_sound_and_reads_it(said: dict[str, object]):
    proposal = heard(said)
    left_out = {topic for topics in proposal.left_out.values() for topic in topics}
    assert left_out == said.keys() - {t for table in proposal.tables for t in table.topics}
    if proposal.tables:
        config = loads(config_text(Broker(), proposal))
        reads(config, {topic: said[topic] for topic in said.keys() - left_out})


def reads(config: Config, said: Mapping[str, object]) -> None:
    """Each topic that is followed feeds one stream, which no other topic feeds."""
    maps = [stream_map(config.streams_of(one.id), one.settings.format) for one in config.sources]
    ids = []
    for topic, payload in said.items():
        (reading,) = [one for found in maps for one in found.read(message(topic, payload))]
        ids.append(reading.stream)
    assert len(set(ids)) == len(ids)


# Line protocol

CPU = "cpu,host=a usage=1.5"


def test_series_of_one_topic_keep_their_pace_and_their_time():
    ear = Ear()
    for turn in range(4):
        for core in range(30):
            stamp = NOW + turn * TEN_SECS
            ear.take(message("telegraf/a/cpu", f"cpu,cpu=c{core} usage=1.5 {stamp}", turn))
    (table,) = propose(ear).tables
    assert (table.topic, table.id) == ("telegraf/a/cpu", "{topic}/{_series}")
    assert (table.step, table.horizons) == (10.0, ["10s", "1m", "10m"])
    assert table.stamp is not None
    assert (table.stamp.path, table.stamp.format) == ("time", "unix_ns")


def test_points_without_a_time_have_that_of_their_receipt():
    assert only({"telegraf/a/cpu": CPU}).stamp is None


def test_line_protocol_beside_other_payloads_gets_topics_that_match_none_of_them():
    said = {"t/a/cpu": CPU, "t/b/cpu": CPU, "t/a/x": "1.5", "t/b/x": "2.5"}
    assert {table.topic: table.form for table in heard(said).tables} == {
        "t/{device}/x": "json",
        "t/{device}/cpu": "influx",
    }


def test_a_broker_of_line_protocol_alone_is_one_source():
    config = loads(config_text(Broker(), heard({"telegraf/a/cpu": CPU, "telegraf/b/cpu": CPU})))
    assert [(one.id, one.settings.format) for one in config.sources] == [("plant", "influx")]
    assert [(one.from_, one.topic) for one in config.streams] == [("plant", "telegraf/#")]


def test_payloads_of_several_points_among_single_ones_are_told():
    ear = Ear()
    for turn, payload in enumerate([CPU, f"{CPU}\n{CPU}", CPU]):
        ear.take(message("telegraf/a/cpu", payload, turn))
    text = config_text(Broker(), propose(ear))
    assert "# 1 payloads had several points" in text


# What is forecast, in which unit, how often

ENERGY = ("Power", "Voltage", "Current", "Total", "Today", "Yesterday", "Period", "Factor")


def test_of_a_plug_what_moves_and_matters_is_forecast():
    table = only({"tele/plug/SENSOR": {"ENERGY": dict.fromkeys(ENERGY, 1.5)}})
    assert table.targets == ["power", "voltage", "current"]
    assert len(table.fields) == len(ENERGY)
    assert table.units == {
        "power": "W",
        "voltage": "V",
        "current": "A",
        **dict.fromkeys(("total", "today", "yesterday"), "kWh"),
    }
    (stream,) = loads(config_text(Broker(), Proposal((table,), {}))).streams
    assert stream.targets == table.targets
    assert stream.units == table.units


def test_a_number_that_never_moved_is_no_target_but_a_quantity_is():
    ear = Ear()
    for turn in range(6):
        ear.take(message("m/a", {"rpm": 900, "setup": 3, "load": turn, "temp": 21.5}, turn))
    (table,) = propose(ear).tables
    assert list(table.fields) == ["rpm", "setup", "load", "temp"]
    assert table.targets == ["rpm", "load", "temp"]


@pytest.mark.parametrize("turns", [3, 6])
def test_where_nothing_stands_out_all_are_forecast(turns: int):
    (table,) = heard({"m/a": {"x1": 1.5, "x2": 2.5}}, turns).tables
    assert table.targets is None


@pytest.mark.parametrize(
    ("topic", "payload", "units"),
    [
        ("zigbee2mqtt/a", CLIMATE, {"temperature": "°C", "humidity": "%"}),
        ("zigbee2mqtt/a", {"power": 1.5, "voltage": 230}, {"power": "W", "voltage": "V"}),
        ("zigbee2mqtt/a", {"voltage": 3000, "angle": 1.5}, {}),
        ("sensors/a", CLIMATE, {}),
        ("tele/a/SENSOR", {"SI7021": {"Temperature": 71.5, "Humidity": 4}}, {"humidity": "%"}),
    ],
)
def test_a_unit_is_written_only_where_the_sender_has_no_other(
    topic: str, payload: object, units: dict[str, str]
):
    assert only({topic: payload}).units == units


def paced(steps: Sequence[float], stamps: bool = False, speed: float = 1.0) -> Table:
    ear, at = Ear(), NOW
    for step in (0.0, *steps):
        at += int(step * NANOSECONDS)
        said = {"t": 1.5, "ts": NOW / NANOSECONDS + speed * (at - NOW) / NANOSECONDS}
        payload = said if stamps else {"t": 1.5}
        ear.take(Message("a/b", json.dumps(payload).encode(), at))
    (table,) = propose(ear).tables
    return table


@pytest.mark.parametrize(
    ("table", "every"),
    [
        (paced([1.02, 0.98, 1, 1, 1.1, 0.9]), 'every = "1s"'),
        (paced([3] * 6), 'every = "3s"'),
        (paced([1] * 6, stamps=True), 'every = "1s"'),
        (paced([1] * 6, stamps=True, speed=3600.0), '# every = "1s"'),
        (paced([1, 1, 1]), '# every = "1s"'),
        (paced([1, 1, 5, 1, 1, 1, 9]), '# every = "1s"'),
    ],
)
def test_the_time_between_samples_holds_only_where_it_was_steady(table: Table, every: str):
    text = config_text(Broker(), Proposal((table,), {}))
    assert every in text.splitlines()
    (stream,) = loads(text).streams
    assert (stream.every is None) == every.startswith("#")


@given(st.floats(1e-3, 1e6))
def test_a_pace_is_written_to_within_a_tenth(secs: float):
    assert parse_duration(exact(secs)) == pytest.approx(secs, rel=0.11, abs=1e-3)
