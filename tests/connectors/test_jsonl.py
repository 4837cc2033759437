"""The file of JSON lines: what is confirmed is in it, once, and no line is torn."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.jsonl import JsonLinesSettings, JsonLinesSink
from streamlnn.pipeline.contract import Context, NotConnected, Output
from streamlnn.pipeline.testing import outputs


def sink(path: Path, **options: object) -> JsonLinesSink:
    made = JsonLinesSink(JsonLinesSettings(path=str(path), **options), Context())
    made.connect()
    return made


def seqs(path: Path) -> list[int]:
    return [json.loads(line)["seq"] for line in path.read_text().splitlines()]


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: a write is cut short there, the next one fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_only_flushed_lines_are_confirmed_and_in_the_file(tmp_path: Path) -> None:
    """Written is not delivered: `flush` puts the lines on disk and counts them."""
    path = tmp_path / "out.jsonl"
    out = sink(path)
    out.write(outputs(3))
    assert path.read_bytes() == b""
    assert out.flush(0.0) == 3
    assert seqs(path) == [0, 1, 2]
    out.close()


def test_lines_are_appended_to_those_of_an_earlier_run(tmp_path: Path) -> None:
    """A restart goes on at the end of the file."""
    path = tmp_path / "out.jsonl"
    for first in (0, 2):
        out = sink(path)
        out.write(outputs(2, first=first))
        out.flush(0.0)
        out.close()
    assert seqs(path) == [0, 1, 2, 3]


def test_events_may_be_left_out_and_count_as_delivered(tmp_path: Path) -> None:
    """Without `events` the file holds forecasts alone, and nothing waits for the events."""
    path = tmp_path / "out.jsonl"
    out = sink(path, events=False)
    out.write([Output("event", b"{}", "s", 1), *outputs(1)])
    assert out.flush(0.0) == 2
    assert seqs(path) == [0]
    out.close()


@pytest.mark.parametrize("size", range(1, 40))
def test_a_torn_last_line_is_cut_off_at_the_next_start(tmp_path: Path, size: int) -> None:
    """Wherever a crash has cut the last line, the file goes on with whole lines."""
    path = tmp_path / "out.jsonl"
    whole = b"".join(output.payload + b"\n" for output in outputs(3) if output.lsn is not None)
    path.write_bytes(whole[: len(whole) - size])
    kept = path.read_bytes().count(b"\n")
    out = sink(path)
    out.write(outputs(1, first=7))
    out.flush(0.0)
    out.close()
    assert seqs(path) == [*range(kept), 7]


def test_a_torn_line_longer_than_a_chunk_is_cut_off_too(tmp_path: Path) -> None:
    """The last newline is looked for as far back as need be."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"seq": 0}\n{"seq": ' + b"1" * 200_000)
    out = sink(path)
    out.close()
    assert seqs(path) == [0]


def test_a_file_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    """A path given by mistake must not cost anybody's file."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"shopping list\nmilk")
    with pytest.raises(NotConnected, match="no JSON line: give the sink a file of its own"):
        sink(path)
    assert path.read_bytes() == b"shopping list\nmilk"


def test_a_disk_that_fills_up_leaves_no_torn_line(tmp_path: Path) -> None:
    """A write cut short is taken back whole, told, and made good after the next connect."""
    path = tmp_path / "out.jsonl"
    out = sink(path)
    out.write(outputs(2))
    out.flush(0.0)
    room = path.stat().st_size + 10
    with room_for(room):
        out.write(outputs(2, first=2))
        with pytest.raises(NotConnected, match=r"cannot write .*out\.jsonl: File too large"):
            out.flush(0.0)
        assert seqs(path) == [0, 1]
    out.connect()
    out.write(outputs(2, first=2))
    assert out.flush(0.0) == 2
    assert seqs(path) == [0, 1, 2, 3]
    out.close()


def test_a_missing_folder_is_told_with_the_way_out(tmp_path: Path) -> None:
    """The pipeline tries again later; the user learns what to do meanwhile."""
    with pytest.raises(NotConnected, match="No such file or directory; create its folder"):
        sink(tmp_path / "missing" / "out.jsonl")


def test_a_file_moved_away_by_logrotate_is_begun_anew(tmp_path: Path) -> None:
    """After a rotation lines go to a new file under the old name."""
    path = tmp_path / "out.jsonl"
    out = sink(path)
    out.write(outputs(1))
    out.flush(0.0)
    path.rename(tmp_path / "out.jsonl.1")
    out.write(outputs(1, first=1))
    assert out.flush(0.0) == 2
    assert (seqs(tmp_path / "out.jsonl.1"), seqs(path)) == ([0], [1])
    out.close()


def test_writing_before_connecting_is_not_lost_silently(tmp_path: Path) -> None:
    """A sink that is not open says so when its lines should be written."""
    out = JsonLinesSink(JsonLinesSettings(path=str(tmp_path / "missing" / "o")), Context())
    out.write(outputs(1))
    with pytest.raises(NotConnected):
        out.flush(0.0)
