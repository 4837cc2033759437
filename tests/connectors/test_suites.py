"""Every connector of files and pipes keeps what the shipped suites ask."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connectors.codecs import CsvCodec, JsonCodec
from connectors.jsonl import JsonLinesSettings, JsonLinesSink
from connectors.replay import ReplaySettings, ReplaySource
from connectors.stdio import StdinSettings, StdinSource, StdoutSettings, StdoutSink
from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Codec, Context, Message, NotConnected, Sink, Source
from streamlnn.pipeline.testing import (
    ABORT,
    DROP,
    Abort,
    CodecSuite,
    CollectingSink,
    ResumableSourceSuite,
    ScriptedSource,
    SinkSuite,
    SourceSuite,
    outputs,
    payloads,
    read_all,
)

LINES = [b'{"v": %d}' % number for number in range(50)]


class TestScriptedSource(ResumableSourceSuite):
    def make(self) -> Source:
        return ScriptedSource([Message("t", line, None) for line in LINES])

    def expected(self) -> list[bytes]:
        return LINES


class TestReplaySource(ResumableSourceSuite):
    @pytest.fixture(autouse=True)
    def recording(self, tmp_path: Path) -> None:
        self.path = tmp_path / "recording.jsonl"
        self.path.write_bytes(b"".join(line + b"\n" for line in self.expected()))

    def make(self) -> Source:
        return ReplaySource(ReplaySettings(path=str(self.path)), Context())

    def expected(self) -> list[bytes]:
        return [b'{"v": %d}' % number for number in range(2500)]


class TestTailSource(ResumableSourceSuite):
    @pytest.fixture(autouse=True)
    def log(self, tmp_path: Path) -> None:
        self.path = tmp_path / "sensor.csv"
        self.path.write_bytes(b"t,v\n" + b"".join(line + b"\n" for line in self.expected()))

    def make(self) -> Source:
        settings = TailSettings(paths=[str(self.path)], start="saved-or-begin", poll="1ms")
        return TailSource(settings, Context())

    def expected(self) -> list[bytes]:
        return [b"%d,%d" % (number, number % 7) for number in range(20_000)]


class TestStdinSource(SourceSuite):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> object:
        self.path = tmp_path / "input"
        self.path.write_bytes(b"".join(line + b"\n" for line in LINES))
        self.fds: list[int] = []
        yield
        for fd in self.fds:
            os.close(fd)

    def make(self) -> Source:
        self.fds.append(os.open(self.path, os.O_RDONLY))
        return StdinSource(StdinSettings(), Context(), fd=self.fds[-1])

    def expected(self) -> list[bytes]:
        return LINES


class TestJsonLinesSink(SinkSuite):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "out.jsonl"

    def make(self) -> Sink:
        return JsonLinesSink(JsonLinesSettings(path=str(self.path)), Context())

    def delivered(self) -> list[bytes]:
        return self.path.read_bytes().splitlines()


class TestStdoutSink(SinkSuite):
    @pytest.fixture(autouse=True)
    def capture(self, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self.captured = capfdbinary

    def make(self) -> Sink:
        return StdoutSink(StdoutSettings(), Context())

    def delivered(self) -> list[bytes]:
        return self.captured.readouterr().out.splitlines()


class TestCollectingSink(SinkSuite):
    def make(self) -> Sink:
        self.sink = CollectingSink()
        return self.sink

    def delivered(self) -> list[bytes]:
        return [output.payload for output in self.sink.durable]


class TestJsonCodec(CodecSuite):
    def make(self) -> Codec:
        return JsonCodec()


class TestCsvCodec(CodecSuite):
    def make(self) -> Codec:
        return CsvCodec()

    def message(self, payload: bytes) -> Message:
        return Message("f", payload, None, columns=("time", "flow"))


class TestCsvCodecWithoutColumns(CodecSuite):
    def make(self) -> Codec:
        return CsvCodec()


def test_a_scripted_source_aborts_and_drops_once_where_the_script_says() -> None:
    """A kill or a lost connection happens at its place, and not again after the restart."""
    source = ScriptedSource([Message("t", b"1", None), ABORT, DROP, Message("t", b"2", None)])
    source.connect(None)
    position = source.read(0.0).position
    with pytest.raises(Abort):
        source.read(0.0)
    source.connect(position)
    with pytest.raises(NotConnected):
        source.read(0.0)
    source.connect(position)
    assert payloads(read_all(source)) == [b"2"]
    assert source.connects == [None, position, position]


def test_an_abort_is_not_caught_by_those_who_catch_all_errors() -> None:
    """A simulated kill passes every `except Exception`."""
    assert not issubclass(Abort, Exception)


def test_a_collecting_sink_can_hold_and_fail() -> None:
    """It confirms nothing while it holds, and fails once when told to."""
    sink = CollectingSink()
    sink.connect()
    sink.holds = sink.fail_next = True
    with pytest.raises(NotConnected):
        sink.write(outputs(1))
    sink.write(outputs(2))
    assert sink.flush(0.0) == 0
    sink.holds = False
    assert sink.flush(0.0) == 2


class Forgetful(ScriptedSource):
    """Breaks the contract: it begins at the beginning, whatever position it is given."""

    def connect(self, position: str | None) -> None:
        super().connect(None)


class Careless:
    """Breaks the contract: lets what json raises come through."""

    def decode(self, message: Message) -> object:
        return message.payload.decode()


def test_the_suites_find_connectors_that_break_the_contract() -> None:
    """A suite that passes everything would be worth nothing."""

    class Sources(ResumableSourceSuite):
        def make(self) -> Source:
            return Forgetful([Message("t", line, None) for line in LINES])

        def expected(self) -> list[bytes]:
            return LINES

    class Codecs(CodecSuite):
        def make(self) -> Codec:
            return Careless()

    with pytest.raises(AssertionError):
        Sources().test_reading_goes_on_behind_every_position()
    with pytest.raises(UnicodeDecodeError):
        Codecs().test_any_bytes_give_a_tree_or_a_decode_error()
