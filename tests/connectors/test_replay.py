"""Recordings: recognised, read to the last whole line, played in their time, resumed anywhere."""

from __future__ import annotations

import gzip
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard

from connectors.arrays import MOST_BYTES
from connectors.codecs import CsvCodec, JsonCodec
from connectors.lines import LINE_LIMIT
from connectors.recordings import Recording, open_recording
from connectors.replay import Pace, ReplaySettings, ReplaySource
from connectors.stdio import StdinSettings, StdinSource
from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline.contract import Context, EndOfSource, Message
from streamlnn.pipeline.testing import FakeClock, payloads, read_all

RECORDER = (
    b"topic,message,qos,retain,time_now,time_delta\r\n"
    b'a/b,"{""v"": 1}",0,1,1616700947.25,0.1\r\n'
    b'a/c,"{\r\n ""v"": 2}",1,false,1616700948.5,1.25\r\n'
    b"a/b,{},0,0,1616700949,0.5\r\n"
)
HEARD = (
    b'{"tst":"2026-11-23T23:43:04.418528Z+0000","topic":"a/b","qos":0,"retain":1,'
    b'"payloadlen":8,"payload":"{\\"v\\": 1}"}\n'
    b'{"tst":"2026-11-24T01:43:05.5Z+0200","topic":"a/c","qos":0,"retain":0,'
    b'"payloadlen":4,"payload":"12.5"}\n'
    b'{"tst":"2026-11-23T23:43:06Z+0000","topic":"a/n","qos":0,"retain":0,'
    b'"payloadlen":0,"payload":null}\n'
    b'{"tst":"2026-11-23T23:43:07Z+0000","topic":"a/x","qos":0,"retain":0,'
    b'"payloadlen":3,"payload":"a\xffz"}\n'
)
HEARD_AS_JSON = (
    b'{"tst":"2026-11-23T23:43:04.4Z+0000","topic":"a/b","qos":0,"retain":0,'
    b'"payloadlen":11,"payload":{"v":1.5}}\n'
    b'{"tst":"2026-11-23T23:43:05Z+0000","topic":"a/s","qos":0,"retain":0,'
    b'"payloadlen":6,"payload":"text"}\n'
)
FIRST = 1_795_477_384_418_528_000

# File, format, messages, and lines left out, as the folder's README tells them.
FILES = [
    ("ETTh1.csv.gz", "csv", 17_420, 0),
    ("ETTm1_prefix.csv.gz", "csv", 19_557, 1),
    ("WTH.csv.gz", "csv", 35_064, 0),
    ("nab_machine_temperature.csv.gz", "csv", 22_695, 0),
    ("vic_electricity.csv.gz", "csv", 52_608, 0),
    ("skab_anomaly-free.csv.gz", "csv", 9_405, 0),
    ("skab_valve1_0.csv.gz", "csv", 1_147, 0),
    ("skab_valve1_1.csv.gz", "csv", 1_145, 0),
    ("skab_valve1_2.csv.gz", "csv", 1_075, 0),
    ("skab_valve1_3.csv.gz", "csv", 1_148, 0),
    ("helium_ems.ndjson.gz", "jsonl", 8_110, 0),
    ("well_log.txt.gz", "csv", 4_050, 0),
    ("occupancy_datatraining.txt.gz", "csv", 8_143, 0),
    ("mqtt_print_apply_run7.csv.gz", "mqtt-recorder", 1_394, 0),
    ("mqtt_cutter_partial.csv.gz", "mqtt-recorder", 99, 0),
]


def data(name: str) -> Path:
    folder = os.environ.get("STREAMLNN_DATA")
    if not folder:
        pytest.skip("STREAMLNN_DATA does not name the folder of the recordings")
    path = Path(folder, name)
    assert path.exists(), f"STREAMLNN_DATA is set, but {path} is missing"
    return path


def write(folder: Path, content: bytes, name: str = "recording") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def source(path: Path, **options: object) -> ReplaySource:
    made = ReplaySource(ReplaySettings(path=str(path), **options), Context(clock=FakeClock()))
    made.connect(None)
    return made


@pytest.mark.parametrize(("name", "form", "count", "dropped"), FILES)
def test_real_recordings_are_recognised_read_whole_and_decoded(
    name: str, form: str, count: int, dropped: int
) -> None:
    """Every message of the recordings is there, and its payload is a tree of its columns."""
    recording = Recording(data(name))
    messages = [message for message, _ in recording.entries()]
    assert (recording.format, len(messages), recording.dropped) == (form, count, dropped)
    codec = CsvCodec() if recording.codec == "csv" else JsonCodec()
    for message in messages:
        tree = codec.decode(message)
        if message.columns:
            assert tuple(tree) == message.columns


def read_messages(path: Path) -> list[Message]:
    return [message for message, _ in Recording(path).entries()]


def test_mqtt_recorder_rows_have_topic_payload_time_and_retained(tmp_path: Path) -> None:
    """The recorder's rows become messages as they were heard, also over several lines."""
    first, second, third = read_messages(write(tmp_path, RECORDER))
    assert first == Message("a/b", b'{"v": 1}', 1_616_700_947_250_000_000, retained=True)
    assert json.loads(second.payload) == {"v": 2}
    assert (second.origin, second.received) == ("a/c", 1_616_700_948_500_000_000)
    assert (third.payload, third.retained) == (b"{}", False)


def test_mosquitto_lines_give_the_payload_byte_for_byte(tmp_path: Path) -> None:
    """With `%j` text, numbers, nothing and bytes that are no UTF-8 come back as they were."""
    messages = read_messages(write(tmp_path, HEARD))
    assert [message.payload for message in messages] == [b'{"v": 1}', b"12.5", b"", b"a\xffz"]
    assert [message.origin for message in messages] == ["a/b", "a/c", "a/n", "a/x"]
    assert [message.received for message in messages[:2]] == [FIRST, FIRST + 1_081_472_000]
    assert [message.retained for message in messages] == [True, False, False, False]


def test_mosquitto_lines_with_json_payloads_are_read(tmp_path: Path) -> None:
    """With `%J` the payload is the JSON as it stands in the line."""
    messages = read_messages(write(tmp_path, HEARD_AS_JSON))
    assert [message.payload for message in messages] == [b'{"v":1.5}', b'"text"']


def test_a_file_is_the_origin_of_its_lines(tmp_path: Path) -> None:
    """JSON lines and CSV have no topic: the path stands for it, and no time of receipt."""
    path = write(tmp_path, b'\xef\xbb\xbf{"v": 1}\n\n{"v": 2}')
    assert read_messages(path) == [
        Message(str(path), b'{"v": 1}', None),
        Message(str(path), b'{"v": 2}', None),
    ]
    assert not Recording(path).has_topics


@pytest.mark.parametrize(
    ("content", "lines", "columns"),
    [
        (b"time;v\r\n1;2\r\n3;4\r\n", [b"1;2", b"3;4"], ("time", "v")),
        (b"a\tb\n1\t2\n", [b"1\t2"], ("a", "b")),
        (b"1.5\n2.5\n", [b"1.5", b"2.5"], ("value",)),
        (b"1,2\n3,4\n", [b"1,2", b"3,4"], ("c0", "c1")),
        (b"a,b\n1,2\n3,4", [b"1,2", b"3,4"], ("a", "b")),
        (b"a,b\n1,2\n3", [b"1,2"], ("a", "b")),
        (b"a,b\n1,2\n3,4.", [b"1,2"], ("a", "b")),
        (b"a,b\n1,2\n3,", [b"1,2"], ("a", "b")),
        (b'"a","b"\n"1",1,2\n"2",3', [b'"1",1,2'], ("a", "b")),
        (b"value\n7", [b"7"], ("value",)),
    ],
)
def test_plain_csv_is_read_to_its_last_whole_line(
    tmp_path: Path, content: bytes, lines: list[bytes], columns: tuple[str, ...]
) -> None:
    """A last line without a newline is given only if it has all its cells and a whole number."""
    messages = read_messages(write(tmp_path, content))
    assert [message.payload for message in messages] == lines
    assert {message.columns for message in messages} == {columns}


@pytest.mark.parametrize("content", [HEARD, RECORDER, b'{"v": 1}\n{"v": 2}\n', b"a,b\n1,2\n3,4\n"])
def test_a_recording_cut_at_any_byte_gives_only_what_it_held_whole(
    tmp_path: Path, content: bytes
) -> None:
    """However a recording ends, no message is made up from a torn line."""
    whole = [message.payload for message in read_messages(write(tmp_path, content))]
    begin = content.index(b"\n", content.index(b"\n") + 1)
    for end in range(begin, len(content)):
        cut = [message.payload for message in read_messages(write(tmp_path, content[:end]))]
        assert cut == whole[: len(cut)]


@pytest.mark.parametrize("content", [HEARD, RECORDER, b'{"v": 1}\n{"v": 2}', b"a,b\n1,2\n3,4\n"])
def test_reading_goes_on_behind_every_message(tmp_path: Path, content: bytes) -> None:
    """The offset beside each message is where the next one begins, in every format."""
    recording = Recording(write(tmp_path, content))
    entries = list(recording.entries())
    for at, (_, offset) in enumerate(entries):
        assert list(recording.entries(offset)) == entries[at + 1 :]


@pytest.mark.parametrize("ending", [".gz", ".zst"])
def test_compressed_recordings_are_known_by_their_first_bytes(tmp_path: Path, ending: str) -> None:
    """The name does not matter, several compressed parts are one recording, offsets resume."""
    squeeze = gzip.compress if ending == ".gz" else zstandard.compress
    path = write(tmp_path, squeeze(HEARD[:200]) + squeeze(HEARD[200:]), "name-without-ending")
    entries = list(Recording(path).entries())
    assert [message.payload for message, _ in entries] == [b'{"v": 1}', b"12.5", b"", b"a\xffz"]
    for at, (_, offset) in enumerate(entries):
        assert list(Recording(path).entries(offset)) == entries[at + 1 :]


def test_a_gzip_file_cut_off_gives_what_it_holds(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a compressed recording cut by a crash, what was before is used, and it is told."""
    lines = b"".join(b'{"v": %d}\n' % (number * 7919 % 10_007) for number in range(50_000))
    packed = gzip.compress(lines, mtime=0)
    messages = read_messages(write(tmp_path, packed[: len(packed) // 2]))
    assert 10_000 < len(messages) < 50_000
    assert (
        b"".join(message.payload + b"\n" for message in messages)
        == lines[: sum(len(message.payload) + 1 for message in messages)]
    )
    assert "cut off" in caplog.text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (gzip.compress(b"PAR1abc", mtime=0), "compressed once more"),
        (b"SQLite format 3\0", "SQLite"),
        (b"\x7fELF\0\0\n", "is no text: there are zero bytes in 1 of its first 1 lines"),
        (b"PK\x03\x04\x14\0\6\0", "Excel"),
        (b"a,b\r1,2\r3,4\r", "CR alone"),
        (b"this is\nno recording\n", "begins with 'this is', and no row of 1 cells"),
        (b"#group,false\n#datatype,string\n,result,_value,_field\n,,1.5,t\n", "pivot"),
        (b",result,table,_time,_value,_field\n,,0,2026-03-01T00:00:00Z,1.5,t\n", "pivot"),
        (b'[{"a": 1}, {"a": 2', "no whole JSON array"),
        ("a,b\n1,2\n".encode("utf-16"), "UTF-16"),
        (b"cpu,host=a usage=1.5,idle=two 1700000000\n# and\n", "no recording I know"),
        (b"# only\n# comments\n", "no recording I know"),
        (b'{\n  "v": 1\n}\n', "one value a line"),
        (b"# A title\n\nand some words about it\n", "no recording I know"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (b"\x1f\x8b\x08\x00damaged beyond all help", "is damaged"),
        (b"\x28\xb5\x2f\xfddamaged beyond all help", "is damaged"),
        (zstandard.compress(b"a,b\n1,2\n" * 99)[:12], "cut off"),
        (gzip.compress(b"x" * (9 << 20), mtime=0), "no line of 1 to"),
    ],
)
def test_what_is_no_recording_is_refused_with_the_way_out(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    """A wrong file is told at once, by name and reason."""
    path = write(tmp_path, content)
    with pytest.raises(InputUnavailable, match=reason) as caught:
        open_recording(path)
    assert str(path) in str(caught.value)
    assert "b'" not in str(caught.value)


ROWS = b"time;temp\n2026-03-01;1,5\n2026-03-02;2,5\n2026-03-03;3,5\n"


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (ROWS, ("time", "temp")),
        (b"sep=;\r\n" + ROWS, ("time", "temp")),
        (b"# of the loft\n# since March\n" + ROWS, ("time", "temp")),
        (b"# a word\n" * 300 + ROWS, ("time", "temp")),
        (ROWS.replace(b"\n", b"\ns;degree\n", 1), ("time", "temp")),
        (b"# " + ROWS, ("time", "temp")),
        (ROWS.split(b"\n", 1)[1], ("c0", "c1")),
        (ROWS.replace(b"\n2026-03-02", b"\n# the roof was open\n2026-03-02"), ("time", "temp")),
    ],
)
def test_what_stands_above_and_between_the_rows_is_no_row(
    tmp_path: Path, content: bytes, columns: tuple[str, ...]
) -> None:
    """Comments, Excel's separator and a row of units cost nothing and hide nothing."""
    recording = Recording(write(tmp_path, content))
    messages = [message for message, _ in recording.entries()]
    assert [message.payload[:10] for message in messages] == [
        b"2026-03-01",
        b"2026-03-02",
        b"2026-03-03",
    ]
    assert {message.columns for message in messages} == {columns}
    assert (recording.format, recording.dropped) == ("csv", 0)


def test_a_zero_byte_costs_its_line_and_not_the_file(tmp_path: Path) -> None:
    """A power cut leaves some; the rows around it are as good as ever."""
    path = write(tmp_path, ROWS.replace(b"1,5", b"1\0005"))
    first, *others = read_messages(path)
    with pytest.raises(DecodeError, match="NUL bytes in a CSV line"):
        CsvCodec().decode(first)
    assert [CsvCodec().decode(one)["temp"] for one in others] == ["2.5", "3.5"]


def test_a_first_line_that_rotation_has_cut_does_not_hide_the_rest(tmp_path: Path) -> None:
    """JSON lines are known by the lines behind it."""
    path = write(tmp_path, b'p": 7, "v": 0}\n{"v": 1}\n{"v": 2}\n')
    recording = Recording(path)
    payloads_ = [message.payload for message, _ in recording.entries()]
    assert (recording.format, payloads_[1:]) == ("jsonl", [b'{"v": 1}', b'{"v": 2}'])


@pytest.mark.parametrize(
    "content",
    [
        b'[{"t": 1, "v": 2}, {"t": 3, "v": 4}]',
        b'[{"t": 1, "v": 2}, {"t": 3, "v": 4}]\n\n',
        b'\xef\xbb\xbf[\n  {\n "t": 1, "v": 2},\n {"t": 3,\n "v": 4}\n]\n',
        gzip.compress(b'[\n{"t": 1, "v": 2},\n{"t": 3, "v": 4}\n]\n', mtime=0),
    ],
)
def test_each_element_of_an_array_of_objects_is_a_record(tmp_path: Path, content: bytes) -> None:
    """However it is laid out; playing it can go on behind any of them."""
    path = write(tmp_path, content)
    messages = payloads(read_all(source(path, format="json")))
    assert [json.loads(payload) for payload in messages] == [{"t": 1, "v": 2}, {"t": 3, "v": 4}]
    recording = open_recording(path)
    assert (recording.format, recording.size, recording.codec) == ("json", 2, "json")
    assert [end for _, end in recording.entries(1)] == [2]


def test_lines_that_are_arrays_stay_lines(tmp_path: Path) -> None:
    """SenML sends each message as an array of objects."""
    path = write(tmp_path, b'[{"n": "a", "v": 1}]\n[{"n": "a", "v": 2}]\n')
    recording = open_recording(path)
    assert (recording.format, len(list(recording.entries()))) == ("jsonl", 2)


def test_an_array_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    """It would have to be in memory as a whole, and a few bytes may unpack to any size."""
    path = write(tmp_path, gzip.compress(b'[{"v": 1}' + b" " * MOST_BYTES, 1, mtime=0))
    with pytest.raises(InputUnavailable, match=r"more than 100 MB: .* jq -c '\.\[\]'"):
        open_recording(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    """Neither a missing file nor a folder is a recording."""
    with pytest.raises(InputUnavailable, match="No such file"):
        Recording(tmp_path / "missing.csv")
    with pytest.raises(InputUnavailable, match="Is a directory"):
        Recording(tmp_path)


def test_a_file_is_not_read_as_a_format_that_it_has_not(tmp_path: Path) -> None:
    """A named format that does not fit is told, not guessed around."""
    path = write(tmp_path, b"a,b\n1,2\n")
    with pytest.raises(InputUnavailable, match="not a recording of the format 'mqtt-recorder'"):
        Recording(path, "mqtt-recorder")


def test_bad_lines_are_left_out_counted_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged line costs itself and no other."""
    header, rest = RECORDER.split(b"\r\n", 1)
    bad = b"a/b,{},0,0,soon,1\r\nonly,three,cells\r\na/b,{},0,0,1e400,1\r\n"
    recording = Recording(write(tmp_path, header + b"\r\n" + bad + rest))
    assert len(list(recording.entries())) == 3
    assert recording.dropped == 3
    assert len(caplog.records) == 1
    assert "'soon'" in caplog.text


@pytest.mark.parametrize("end", [b"", b"a/b,1,0,0,1616700", b'a/b,"1,0,0,1616700950,1\r\n'])
def test_the_lines_behind_an_open_quote_are_counted(tmp_path: Path, end: bytes) -> None:
    """They are taken for its payload, to the next odd quote or to the end."""
    row = b"a/b,%d,0,0,1616700950,1\r\n"
    header = RECORDER.split(b"\r\n", 1)[0] + b"\r\n"
    content = header + row % 1 + b'a/b,"2,0,0,1616700950,1\r\n' + row % 3 + row % 4 + end
    recording = Recording(write(tmp_path, content))
    assert [message.payload for message, _ in recording.entries()] == [b"1"]
    assert recording.dropped == 3 + bool(end)


def test_an_open_quote_costs_no_more_than_a_payload_may_have_and_no_time(tmp_path: Path) -> None:
    """However short the lines are: every byte is looked at once."""
    header, lines = RECORDER.split(b"\r\n", 1)[0] + b"\r\n", LINE_LIMIT // 2
    row = b"a/b,1,0,0,1616700950,1\r\n"
    content = header + b'a/b,"2\n' + b"x\n" * lines + row
    recording, before = Recording(write(tmp_path, content)), time.process_time()
    assert [message.payload for message, _ in recording.entries()] == [b"1"]
    assert time.process_time() - before < 10
    assert recording.dropped == 1 + lines


def test_an_endless_line_is_left_out_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Lines are bounded: a longer one is left out, the next one is read."""
    path = write(tmp_path, b'{"v": 1}\n' + b"x" * 3_000_000 + b'\n{"v": 2}\n')
    recording = Recording(path)
    assert [message.payload for message, _ in recording.entries()] == [b'{"v": 1}', b'{"v": 2}']
    assert recording.dropped == 1
    assert "a line of more than 1048576 bytes" in caplog.text


def test_a_source_knows_its_codec_and_its_end(tmp_path: Path) -> None:
    """A connected source names the codec of what it recognised, and ends for good."""
    played = source(write(tmp_path, b"a,b\n1,2\n"))
    assert (played.format, played.ready) == ("csv", True)
    assert payloads(read_all(played)) == [b"1,2"]
    for _ in range(2):
        with pytest.raises(EndOfSource):
            played.read(0.0)


@pytest.mark.parametrize(
    "position",
    [
        '{"epoch":1,"n":2,"filters":["a/#"]}',
        '{"files": [], "began": 1}\n{"origin": "x"}',
        '{"read": 2}',
        '{"offset": -1}',
        '{"offset": "2"}',
        "null",
        "seven",
    ],
)
def test_the_position_of_another_kind_of_source_is_told_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, position: str
) -> None:
    """A source may keep its name and change its kind: the recording is played from its begin."""
    played = source(write(tmp_path, b"1\n2\n"))
    played.connect(position)
    assert payloads(read_all(played)) == [b"1", b"2"]
    assert caplog.text.count("is not of a recording: ignored") == 1


def test_standard_input_does_not_say_where_a_recording_stands(tmp_path: Path) -> None:
    """Both count bytes, of different things."""
    with write(tmp_path, b"1\n2\n").open("rb") as file:
        pipe = StdinSource(StdinSettings(), Context(clock=FakeClock()), fd=file.fileno())
        pipe.connect(None)
        batch = pipe.read(1.0)
        pipe.close()
    played = source(tmp_path / "recording")
    played.connect(batch.position)
    assert payloads(read_all(played)) == [b"1", b"2"]


def test_a_long_recording_comes_in_bounded_batches(tmp_path: Path) -> None:
    """A read gives at most a thousand messages."""
    path = write(tmp_path, b"".join(b"%d\n" % number for number in range(2500)))
    assert [len(batch.messages) for batch in read_all(source(path))] == [1000, 1000, 500]


def test_from_and_to_bound_the_recorded_time(tmp_path: Path) -> None:
    """Only messages within the bounds are played, both ends included."""
    bounds = {"from": "2021-03-25T19:35:48Z", "to": datetime(2021, 3, 25, 19, 35, 48, 500_000)}
    played = source(write(tmp_path, RECORDER), **bounds)
    assert [message.origin for batch in read_all(played) for message in batch.messages] == ["a/c"]


def test_times_in_the_payload_can_be_given_for_the_bounds(tmp_path: Path) -> None:
    """`time_of` tells the times of a recording that keeps them in its payloads."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    settings = ReplaySettings(path=str(write(tmp_path, b"1\n2\n3\n")), start=moment)
    played = ReplaySource(settings, Context())
    base = int(moment.timestamp()) * 1_000_000_000
    played.time_of = lambda message: base + int(message.payload) - 2
    played.connect(None)
    assert payloads(read_all(played)) == [b"2", b"3"]


def test_time_now_stamps_messages_as_they_are_played(tmp_path: Path) -> None:
    """With `time = "now"` the time of receipt is that of the clock."""
    played = source(write(tmp_path, RECORDER), time="now")
    stamps = {message.received for batch in read_all(played) for message in batch.messages}
    assert stamps == {FakeClock().now}


def test_a_loop_begins_again_and_resumes_in_it(tmp_path: Path) -> None:
    """A looped recording does not end; its positions still resume."""
    path = write(tmp_path, b"1\n2\n3\n")
    played = source(path, loop=True, time="now")
    batches = read_all(played, 1500)
    assert payloads(batches)[:7] == [b"1", b"2", b"3", b"1", b"2", b"3", b"1"]
    again = ReplaySource(ReplaySettings(path=str(path), loop=True, time="now"), Context())
    again.connect(batches[-1].position)
    assert payloads([again.read(0.0)])[:3] == payloads([played.read(0.0)])[:3]


def test_a_loop_over_recorded_times_is_refused() -> None:
    """Times that come again would all be late."""
    with pytest.raises(ValueError, match='time = "now"'):
        ReplaySettings(path="x", loop=True)


def test_a_pace_keeps_an_absolute_schedule() -> None:
    """Each message is due by its distance from the first one, however late those before came."""
    pace, second = Pace(speed=4.0), 1_000_000_000
    assert pace.wait(100 * second, now=5.0) == 0.0
    assert pace.wait(108 * second, now=5.5) == 1.5
    assert pace.wait(108 * second, now=9.0) == 0.0
    assert pace.wait(112 * second, now=7.0) == 1.0
    assert pace.wait(None, now=7.0) == 0.0
    assert pace.wait(90 * second, now=7.0) == 0.0


def test_no_time_is_asked_for_at_full_speed(tmp_path: Path) -> None:
    """Played as fast as possible, no payload is looked into."""
    played = source(write(tmp_path, b"1\n2\n"))
    played.time_of = lambda message: 1 // 0
    assert payloads(read_all(played)) == [b"1", b"2"]


def test_what_is_not_due_yet_is_waited_for(tmp_path: Path) -> None:
    """Played in its time, a recording gives what is due, then None, and all in the end."""
    played = source(write(tmp_path, RECORDER), speed=20.0)
    assert payloads([played.read(0.0)]) == [b'{"v": 1}']
    assert played.read(0.0) is None
    assert len(payloads(read_all(played))) == 2


def test_a_speed_without_times_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A recording without times cannot be played in its time: it says so, once."""
    played = source(write(tmp_path, b"1\n2\n"), speed=2.0)
    assert payloads(read_all(played)) == [b"1", b"2"]
    assert caplog.text.count("does not tell when") == 1
    timed = source(write(tmp_path, b"1\n2\n"), speed=1e9)
    timed.time_of = lambda message: int(message.payload)
    assert payloads(read_all(timed)) == [b"1", b"2"]
    assert caplog.text.count("does not tell when") == 1
