"""Standard input to its end, standard output to its reader."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.lines import LINE_LIMIT, LineSplitter
from connectors.stdio import StdinSettings, StdinSource
from streamlnn.pipeline.contract import Context, EndOfSource
from streamlnn.pipeline.testing import FakeClock, payloads, read_all


def reading(fd: int, form: str = "json") -> StdinSource:
    source = StdinSource(StdinSettings(format=form), Context(clock=FakeClock(7)), fd=fd)
    source.connect(None)
    return source


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe's two ends; the test closes the second one."""
    ends = os.pipe()
    yield ends
    os.close(ends[0])


def test_lines_come_as_they_are_written(pipe: tuple[int, int]) -> None:
    """A line is given when its newline is there, and not before."""
    source = reading(pipe[0])
    assert source.read(0.0) is None
    os.write(pipe[1], b'{"v": 1}\n{"v"')
    message = source.read(0.0).messages[0]
    assert (message.origin, message.payload, message.received) == ("stdin", b'{"v": 1}', 7)
    assert source.read(0.0) is None
    os.write(pipe[1], b": 2}\n")
    assert payloads([source.read(0.0)]) == [b'{"v": 2}']
    os.close(pipe[1])


def test_the_last_line_may_lack_its_newline(pipe: tuple[int, int]) -> None:
    """At the end what is left is a line, and then there is the end, again and again."""
    source = reading(pipe[0])
    os.write(pipe[1], b"1\n\n2")
    os.close(pipe[1])
    assert payloads(read_all(source)) == [b"1", b"2"]
    for _ in range(2):
        with pytest.raises(EndOfSource):
            source.read(0.0)


@pytest.mark.parametrize(
    ("text", "lines", "columns"),
    [
        (b"t;v\r\n1;2\r\n", [b"1;2"], ("t", "v")),
        (b"1.5\n2.5\n", [b"1.5", b"2.5"], ("value",)),
        (b"t,v\n1,2", [b"1,2"], ("t", "v")),
    ],
)
def test_csv_has_the_columns_of_its_first_line(
    tmp_path: Path, text: bytes, lines: list[bytes], columns: tuple[str, ...]
) -> None:
    """A header names the columns; a file of numbers is read from its first line."""
    path = tmp_path / "input.csv"
    path.write_bytes(text)
    with path.open("rb") as file:
        batches = read_all(reading(file.fileno(), "csv"))
    assert payloads(batches) == lines
    assert {message.columns for batch in batches for message in batch.messages} == {columns}


def test_an_endless_line_is_left_out_and_counted(tmp_path: Path) -> None:
    """Memory stays bounded, and the lines around an endless one are read."""
    path = tmp_path / "input"
    path.write_bytes(b"1\n" + b"x" * (LINE_LIMIT + 1) + b"\n2\n")
    with path.open("rb") as file:
        source = reading(file.fileno())
        assert payloads(read_all(source)) == [b"1", b"2"]
    assert source.dropped == 1


def test_a_splitter_never_keeps_more_than_its_limit() -> None:
    """Of a line that goes on and on, nothing is kept, and its end is where it was read to."""
    splitter = LineSplitter(limit=10)
    for _ in range(5):
        assert list(splitter.split(b"x" * 7)) == []
    assert (splitter.rest, splitter.end, splitter.offset) == (b"", 35, 0)
    assert list(splitter.split(b"\nshort\n")) == [(b"short", 42)]
    assert splitter.dropped == 1


PRINTS = """
from connectors.stdio import StdoutSettings, StdoutSink
from streamlnn.pipeline.contract import Context, Output
sink = StdoutSink(StdoutSettings(events={events}), Context())
sink.connect()
sink.write([Output("forecast", b"1", "s", 1), Output("event", b"2", "s", 1), Output("info", b"3")])
assert sink.flush(0.0) == 2
sink.close()
"""


@pytest.mark.parametrize(("events", "text"), [(True, "1\n2\n"), (False, "1\n")])
def test_forecasts_and_events_are_printed_as_lines(events: bool, text: str) -> None:
    """What is durable is printed, events if wanted; an unwanted event counts as delivered."""
    code = PRINTS.format(events=events)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == text


def test_a_reader_that_goes_away_is_told_as_a_broken_pipe() -> None:
    """The command can end quietly: the sink lets BrokenPipeError through."""
    code = (
        "import sys\nfrom connectors.stdio import *\n"
        "sink = StdoutSink(StdoutSettings(), Context())\nsink.connect()\n"
        "sys.stdin.read()\n"
        "try:\n    sink.write([Output('forecast', b'1', 's', 1)])\n    sink.flush(0.0)\n"
        "except BrokenPipeError:\n    sys.stderr.write('told')\n    sys.stderr.flush()\n"
        "import os\nos._exit(0)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdin.close()
    assert process.stderr.read() == b"told"
    process.stderr.close()
    assert process.wait(30) == 0
