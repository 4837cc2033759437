"""From messages to readings: topics, ids, fields and times."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from pydantic import ValidationError

from connectors.codecs import CsvCodec, JsonCodec
from streamlnn.errors import DecodeError
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.settings import MAX_FIELDS
from streamlnn.pipeline.streams import FoundTime, Reading, StreamMap, StreamSettings

RECEIVED = 1_700_000_000_000_000_000


def read(table: dict[str, Any], topic: str, payload: bytes, **more: Any) -> list[Reading]:
    streams = StreamMap([StreamSettings(**table)], JsonCodec(), **more)
    return streams.read(Message(topic, payload, RECEIVED))


def csv_row(table: dict[str, Any], columns: tuple[str, ...], row: bytes) -> Reading:
    streams = StreamMap([StreamSettings(**table)], CsvCodec(), found=FoundTime())
    return streams.read(Message("/data/pump7.csv.gz", row, None, columns))[0]


def test_a_template_takes_the_levels_of_a_topic_into_the_id() -> None:
    table = {"topic": "sensors/{site}/{device}/telemetry", "id": "{site}/{device}"}
    [reading] = read(table, "sensors/north/pump7/telemetry", b'{"temp": 1.5}')
    assert (reading.stream, reading.owner) == ("north/pump7", "sensors/north/pump7/telemetry")
    assert reading.layout.names == ("temp",)
    assert reading.values.tolist() == [1.5]
    assert reading.time == RECEIVED


@pytest.mark.parametrize(
    ("template", "topic", "stream"),
    [
        ("sensors/+/telemetry", "sensors/a/telemetry", "sensors/a/telemetry"),
        ("sensors/#", "sensors/a/b", "sensors/a/b"),
        ("sensors/#", "sensors", "sensors"),
        ("{site}/{rest...}", "north/a/b/c", "north/a/b/c"),
        ("tele/sensor_{name}/STATE", "tele/sensor_7/STATE", "tele/sensor_7/STATE"),
        ("a.b/c", "a.b/c", "a.b/c"),
    ],
)
def test_wildcards_match_as_in_mqtt(template: str, topic: str, stream: str) -> None:
    [reading] = read({"topic": template}, topic, b"1")
    assert reading.stream == stream


@pytest.mark.parametrize(
    ("template", "topic"),
    [("sensors/+/telemetry", "sensors/a/b/telemetry"), ("a.b/c", "axb/c"), ("{a}/x", "/x")],
)
def test_other_topics_give_nothing(template: str, topic: str) -> None:
    assert read({"topic": template}, topic, b"1") == []


def test_a_plain_number_is_the_field_value() -> None:
    [reading] = read({"topic": "t"}, "t", b"21.5")
    assert (reading.layout.names, reading.values.tolist()) == (("value",), [21.5])


def test_named_fields_are_found_by_dotted_path_and_a_missing_one_is_nan() -> None:
    table = {"topic": "t", "fields": {"temp": "values.temp", "rms": "values.rms"}}
    [reading] = read(table, "t", b'{"values": {"temp": true}}')
    assert reading.values[0] == 1.0
    assert math.isnan(reading.values[1])


def test_when_no_named_field_is_there_the_error_names_the_nearest_path() -> None:
    table = {"topic": "t", "fields": {"temp": "values.temp"}}
    with pytest.raises(DecodeError, match=r"no field at 'values.temp' \(nearest: 'value.temp'\)"):
        read(table, "t", b'{"value": {"temp": 1}}')


@pytest.mark.parametrize("gap", ["null", '"unavailable"', '"nan"', '""'])
def test_a_gap_is_a_missing_value_not_an_error(gap: str) -> None:
    table = {"topic": "t", "fields": {"temp": "temp"}}
    [reading] = read(table, "t", f'{{"temp": {gap}}}'.encode())
    assert math.isnan(reading.values[0])


def test_text_in_a_named_field_is_an_error_that_quotes_it() -> None:
    with pytest.raises(DecodeError, match="field 'temp' is 'hot', not a number"):
        read({"topic": "t", "fields": {"temp": "temp"}}, "t", b'{"temp": "hot"}')


def test_all_numbers_become_fields_with_those_of_lists_last() -> None:
    payload = b'{"name": "x", "list": [{"a": 1}], "on": true, "deep": {"b": 2}, "no": null}'
    [reading] = read({"topic": "t"}, "t", payload)
    assert reading.layout.names == ("on", "deep.b", "list.0.a")


def test_the_first_message_decides_the_fields_of_a_stream() -> None:
    streams = StreamMap([StreamSettings(topic="t")], JsonCodec())
    streams.read(Message("t", b'{"a": 1}', RECEIVED))
    [reading] = streams.read(Message("t", b'{"b": 5, "a": 2}', RECEIVED))
    assert reading.values.tolist() == [2.0]


def test_a_message_without_numbers_is_no_reading() -> None:
    assert read({"topic": "t"}, "t", b'{"state": "idle"}') == []


def test_at_most_so_many_fields_are_taken() -> None:
    payload = "{" + ",".join(f'"f{n}": {n}' for n in range(MAX_FIELDS + 8)) + "}"
    [reading] = read({"topic": "t"}, "t", payload.encode())
    assert len(reading.layout.names) == MAX_FIELDS


def test_the_time_is_where_the_table_says() -> None:
    table = {"topic": "t", "time": {"path": "ts", "format": "unix_ms"}}
    [reading] = read(table, "t", b'{"ts": 1700000000500, "a": 1}')
    assert reading.time == 1_700_000_000_500_000_000
    assert reading.layout.names == ("a",)


def test_a_missing_time_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(DecodeError, match="no time at 'ts'"):
        read({"topic": "t", "time": {"path": "ts"}}, "t", b'{"a": 1}')


def test_without_a_configuration_the_usual_name_is_the_time() -> None:
    [reading] = read({"topic": "t"}, "t", b'{"Timestamp": 1700000000, "a": 1}', found=FoundTime())
    assert (reading.time, reading.layout.names) == (RECEIVED, ("a",))


def test_a_csv_row_has_its_file_as_stream_and_its_columns_as_fields() -> None:
    columns = ("Time", "Demand", "Date", "Holiday")
    reading = csv_row({}, columns, b"2011-12-31T13:00:00Z,4382.8,2012-01-01,TRUE")
    assert reading.stream == "pump7"
    assert reading.layout.names == ("Demand", "Holiday")
    assert reading.values.tolist() == [4382.8, 1.0]
    assert reading.time == 1_325_336_400_000_000_000


def test_an_id_can_come_from_a_column() -> None:
    reading = csv_row({"id": "{stem}/{unit}"}, ("unit", "flow"), b"A,1.5")
    assert reading.stream == "pump7/A"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("horizons", [1, "10s"], "all as samples"),
        ("horizons", [12, 1], "rising order"),
        ("horizons", [], "at least 1"),
        ("horizons", ["10 parsecs"], "not a duration"),
        ("horizons", ["1m", "500000w"], "'500000w' is too long"),
        ("horizons", [10**9], "less than or equal to 10000000"),
        ("seasons", ["9" * 400 + "s"], "too long"),
        ("targets", [], "at least 1"),
        ("targets", ["a", "a"], "each target once"),
        ("level", 1.0, "less than or equal to 0.9999"),
        ("level", 1.0 - 2**-53, "less than or equal to 0.9999"),
        ("every", 5, "a duration is a string with a unit"),
        ("every", "0s", "greater than 0"),
        ("time", {"path": "t", "format": "%Q"}, "'Q' is a bad directive"),
        ("time", {"path": "t", "format": "%Y-%"}, "stray %"),
        ("time", {"path": "t", "format": "%Y %Y"}, "names something twice"),
        ("time", {"path": "t", "format": "unix_mss"}, "did you mean 'unix_ms'"),
        ("time", {"path": "t", "zone": "Mars/Olympus"}, "no time zone"),
        ("colour", "red", "Extra inputs"),
    ],
)
def test_wrong_settings_are_refused_with_the_way_out(key: str, value: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        StreamSettings(**{key: value})


def test_two_files_of_one_stem_are_told_once_with_the_way_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    streams = StreamMap([StreamSettings()], JsonCodec())
    for path in ("/a/pump.csv", "/b/pump.csv", "/a/pump.csv", "/b/pump.csv", "/a/tank.csv"):
        streams.read(Message(path, b"1", RECEIVED))
    [warning] = [record.getMessage() for record in caplog.records]
    assert "'pump' is fed by two files, /a/pump.csv and /b/pump.csv" in warning
    assert 'id = "{path}"' in warning


@pytest.mark.parametrize("name", ["{path}", "{device}", "{stem}/{device}"])
def test_files_that_are_told_apart_are_no_news(name: str, caplog: pytest.LogCaptureFixture) -> None:
    streams = StreamMap([StreamSettings(id=name)], JsonCodec())
    for n, path in enumerate(("/a/pump.csv", "/b/pump.csv")):
        streams.read(Message(path, b'{"v": 1, "device": %d}' % n, RECEIVED))
    assert not caplog.records


def test_a_field_that_is_not_there_is_told_with_what_holds_its_name_or_how_many_there_are() -> None:
    row = {"Volume Flow RateRMS": 1, **{f"x{n}": n for n in range(9)}}
    payload = json.dumps(row).encode()
    with pytest.raises(DecodeError, match="nearest: 'Volume Flow RateRMS'"):
        read({"topic": "t", "fields": {"flow": "flow"}}, "t", payload)
    with pytest.raises(DecodeError, match=r"x6 and 2 more\)"):
        read({"topic": "t", "fields": {"q": "qqq"}}, "t", payload)
