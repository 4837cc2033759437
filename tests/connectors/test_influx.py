"""InfluxDB line protocol: what was written by the rules is read as it was meant, nothing else."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from connectors.influx import InfluxCodec, Point, parse
from connectors.recordings import Recording
from connectors.replay import ReplaySettings, ReplaySource
from connectors.tail import TailSettings, TailSource
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, DecodeError, Message
from streamlnn.pipeline.testing import CodecSuite, FakeClock, payloads

EXPORT = (
    b"# DDL\r\nCREATE DATABASE plant WITH NAME autogen\r\n# DML\r\n\r\n"
    b"pump,site=north,id=7 flow=12.5,on=t 1700000000000000000\r\n"
    b"pump,site=south,id=7 flow=9.5,on=f 1700000000000000000\r\n"
    b"# again\r\n"
    b"pump,site=north,id=7 flow=12.75,on=t 1700000060000000000\r\n"
)


class TestInfluxCodec(CodecSuite):
    def make(self) -> InfluxCodec:
        return InfluxCodec()


def write(point: Point) -> bytes:
    """The rules of InfluxDB's reference, from the writer's side."""
    tags = "".join(f",{escaped(key)}={escaped(tag)}" for key, tag in point.tags.items())
    fields = ",".join(f"{escaped(key)}={value(one)}" for key, one in point.fields.items())
    stamp = "" if point.time is None else f" {point.time}"
    return f"{escaped(point.measurement, ', ')}{tags} {fields}{stamp}".encode()


def escaped(token: str, special: str = ",= ") -> str:
    return "".join(f"\\{letter}" if letter in special else letter for letter in token)


def value(one: float | int | bool | str) -> str:
    if isinstance(one, str):
        return '"' + one.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(one, bool):
        return str(one).lower()
    if isinstance(one, float):
        return repr(one)
    return f"{one}{'i' if one < 2**63 else 'u'}"


# A token must not end in a backslash, which would escape what follows; no line holds its own end.
LETTERS = some.characters(blacklist_characters="\n\r", blacklist_categories=("Cs",))
TOKENS = some.text(LETTERS, min_size=1, max_size=12).filter(lambda text: not text.endswith("\\"))
VALUES = (
    some.floats(allow_nan=False, allow_infinity=False)
    | some.integers(-(2**63), 2**64 - 1)
    | some.booleans()
    | some.text(LETTERS, max_size=12)
)
POINTS = some.builds(
    Point,
    TOKENS.filter(lambda text: text.strip() == text),
    some.dictionaries(TOKENS, TOKENS, max_size=3),
    some.dictionaries(TOKENS, VALUES, min_size=1, max_size=3),
    some.none() | some.integers(-(10**18), 10**18),
)


@given(POINTS)
def test_what_was_written_is_read_again(point: Point) -> None:
    """Names and values of any letters, all kinds of values, with a time stamp and without."""
    assert parse(write(point)) == point


@given(some.text(some.sampled_from('m,=" \\1.eitf\\'), max_size=30))
def test_any_text_of_its_own_letters_is_a_point_or_a_value_error(text: str) -> None:
    """And what is a point means the same when it is written down again."""
    try:
        point = parse(text.encode())
    except ValueError:
        return
    assert parse(write(point)) == point


@pytest.mark.parametrize(
    ("line", "tree"),
    [
        ("t v=1 1700000000", {"v": 1.0, "_series": "t", "time": 1_700_000_000}),
        ("t,b=2,a=1 v=-1.5e3", {"v": -1500.0, "_series": "t/a=1/b=2", "a": "1", "b": "2"}),
        (r"we\ ather,lo\,c=a\=b v=2u", {"v": 2, "_series": "we ather/lo,c=a=b", "lo,c": "a=b"}),
        (r'm s="a\"b\\c, d=1",v=.5', {"s": 'a"b\\c, d=1', "v": 0.5, "_series": "m"}),
        (r"m,p=C:\dir v=TRUE", {"p": "C:\\dir", "v": True, "_series": "m/p=C:\\dir"}),
        ("m,v=tag v=1", {"v": 1.0, "_series": "m/v=tag"}),
        ("m time=1,v=2 3", {"time": 3, "v": 2.0, "_series": "m"}),
        ("# told by a writer\nm v=1\n\n", {"v": 1.0, "_series": "m"}),
    ],
)
def test_a_point_is_a_flat_tree(line: str, tree: dict[str, object]) -> None:
    """Tags and fields by their names; of one name the field, and the stamp before all."""
    told = InfluxCodec().decode(Message("t", line.encode(), None))
    assert {key: told[key] for key in told if key != "_measurement"} == tree
    assert {type(told[key]) for key in tree} == {type(one) for one in tree.values()}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cpu", "no measurement with fields"),
        ("cpu,host usage=1", "no measurement with fields"),
        (",host=a usage=1", "no measurement with fields"),
        ("cpu,host= usage=1", "no measurement with fields"),
        ("cpu usage", "is no field"),
        ("cpu usage=1,", "is no field"),
        ("cpu usage=", "is no field"),
        ('cpu state="on', "is no field"),
        ("cpu usage=NaN", "field 'usage' is 'NaN'"),
        ("cpu usage=1e999", "beyond a double's range"),
        ("cpu usage=99999999999999999999u", "beyond 64 bits"),
        ("cpu usage=1 2 3", "is no time stamp"),
        ("cpu usage=1 soon", "is no time stamp"),
        ("cpu a=1\ncpu a=2", "2 points in one payload"),
        ("# nothing", "0 points in one payload"),
        ("m " + "a=1," * 10_001, "more than 10000"),
    ],
)
def test_what_is_no_point_is_refused_with_the_reason(line: str, reason: str) -> None:
    """The reason names the part that is wrong."""
    with pytest.raises(DecodeError, match=reason):
        InfluxCodec().decode(Message("t", line.encode(), None))


def test_an_export_is_recognised_and_its_comments_passed_over(tmp_path: Path) -> None:
    """Also compressed; comments and the statements of an export are no messages."""
    path = tmp_path / "export"
    path.write_bytes(gzip.compress(EXPORT))
    recording = Recording(path)
    entries = list(recording.entries())
    assert (recording.format, recording.codec, recording.dropped) == ("influx", "influx", 0)
    assert [m.payload.split()[0] for m, _ in entries] == [
        b"pump,site=north,id=7",
        b"pump,site=south,id=7",
        b"pump,site=north,id=7",
    ]
    for at, (_, offset) in enumerate(entries):
        assert list(recording.entries(offset)) == entries[at + 1 :]


def test_an_export_cut_at_any_byte_gives_only_what_it_held_whole(tmp_path: Path) -> None:
    """A stamp that lost its last digits would be another time."""
    path = tmp_path / "export.lp"
    lines = [line for line in EXPORT.split(b"\r\n") if line.startswith(b"pump")]
    for end in range(EXPORT.index(b"\r\npump,site=south"), len(EXPORT)):
        path.write_bytes(EXPORT[:end])
        cut = [message.payload for message, _ in Recording(path).entries()]
        assert cut == lines[: len(cut)]
        assert len(cut) == len(re.findall(rb" \d{19}", EXPORT[:end]))


def test_a_line_that_is_torn_is_told_with_its_number(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Blank lines and comments count, as in an editor."""
    path = tmp_path / "export.lp"
    path.write_bytes(EXPORT + b"pump,site=north,id=7 flow=12")
    recording = Recording(path)
    assert len(list(recording.entries())) == 3
    assert recording.dropped == 1
    assert f"{path}:9: left out" in caplog.text


def test_a_daemon_is_told_to_name_the_format_that_it_cannot_know_in_time(tmp_path: Path) -> None:
    """It reads by the codec that the configuration names; a command looks first."""
    path = tmp_path / "export.lp"
    path.write_bytes(EXPORT)
    with pytest.raises(ConfigError, match="format = 'influx'"):
        ReplaySource(ReplaySettings(path=str(path)), Context()).connect(None)
    for options, daemon in (({"format": "influx"}, True), ({}, False)):
        source = ReplaySource(ReplaySettings(path=str(path), **options), Context(daemon=daemon))
        source.connect(None)
        assert source.format == "influx"


def test_a_followed_file_may_be_line_protocol(tmp_path: Path) -> None:
    """As Telegraf's file output writes it."""
    path = tmp_path / "metrics.out"
    path.write_bytes(b"cpu usage=1 17\ncpu usage=2 18\n")
    settings = TailSettings(paths=[str(path)], format="influx", start="begin", poll="1ms")
    source = TailSource(settings, Context(clock=FakeClock()))
    source.connect(None)
    assert source.format == "influx"
    batches = [source.read(0.0) for _ in range(3)]
    source.close()
    assert payloads(batch for batch in batches if batch) == [b"cpu usage=1 17", b"cpu usage=2 18"]
