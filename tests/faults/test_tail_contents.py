"""Rows "contents" of the fault matrix: whatever stands in a file, its whole lines are read once.

Injected: writes cut at every byte, also inside a letter; line ends of other systems; zeros, of a
writer that takes its room beforehand and of a power cut (a file system may leave them where the
last bytes should be); lines beyond the limit; files that are empty, binary, or never end a line.

Must hold: every whole line once and in order; a line cut in two by a power cut is left out, as
half a number is a number; what is left out is counted with its reason and told once.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tails import append, lines, tail

from connectors.lines import CHUNK, LINE_LIMIT, LineSplitter
from streamlnn.pipeline.testing import payloads, read_all


def dropped(source: object) -> dict[str, int]:
    return source.stats["lines_dropped"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_write_may_end_anywhere_also_inside_a_letter(tmp_path: Path, end: bytes) -> None:
    """A look between any two bytes changes nothing."""
    path, text = tmp_path / "x.csv", "zeit,grün\n1,°ü€\n".encode().replace(b"\n", end) * 2
    source, read = tail(path, format="jsonl"), []
    for at in range(len(text)):
        append(path, text[at : at + 1])
        read += lines(source)
    assert read == text.split(end)[:-1]
    source.close()


PIECES = some.lists(
    some.tuples(some.just("line"), some.integers(0, 9))
    | some.tuples(some.just("hole"), some.integers(4, 30))
    | some.tuples(some.just("torn"), some.integers(4, 30)),
    max_size=12,
)


@settings(deadline=None)
@given(pieces=PIECES, cuts=some.lists(some.integers(1, 9), min_size=1))
def test_holes_and_torn_lines_are_passed_over_wherever_the_chunks_end(
    pieces: Sequence[tuple[str, int]], cuts: Sequence[int]
) -> None:
    """The lines around zeros are read, those cut by them are counted, and every byte is passed."""
    text, whole, torn, splitter = b"", [], 0, LineSplitter()
    for number, (kind, size) in enumerate(pieces):
        if kind == "line":
            whole.append(b"%d" % number * (size + 1))
            text += whole[-1] + b"\n"
        else:
            text += (b"half%d" % number if kind == "torn" else b"") + b"\0" * size
            torn += kind == "torn"
    read, at = [], 0
    while at < len(text):
        size = cuts[at % len(cuts)]
        read += [line for line, _ in splitter.split(text[at : at + size])]
        at = min(at + size, len(text))
        assert splitter.end == at
    assert (read, splitter.torn) == (whole, torn)


def test_room_taken_beforehand_is_filled_and_read_line_by_line(tmp_path: Path) -> None:
    """A writer may take a megabyte of zeros first; it is waited at what is not written yet."""
    path, size = tmp_path / "x.csv", 20 * CHUNK
    path.write_bytes(b"\0" * size)
    source, read, at = tail(path), [], 0
    for number in range(50):
        line = b"%d,%d\n" % (number, number % 3)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(line[:2])
            file.flush()
            read += lines(source)
            file.write(line[2:])
        at += len(line)
        read += lines(source)
    assert read == [b"%d,%d" % (number, number % 3) for number in range(50)]
    path.rename(tmp_path / "x.csv.1")
    append(path, b"7,7\n")
    assert lines(source) == [b"7,7"]
    assert source.dropped == 0
    source.close()


@pytest.mark.parametrize("same_tick", [False, True])
def test_room_that_is_filled_faster_than_it_is_read_is_read_to_its_end(
    tmp_path: Path, same_tick: bool
) -> None:
    """More than a chunk between two looks, or two writes of the very same time."""
    path, gone, size = tmp_path / "x.jsonl", tmp_path / "gone", 5 * CHUNK
    path.write_bytes(b"\0" * size)
    source = tail(path, rotate_wait="1us")
    assert lines(source) == []
    written = [b"%d,%d" % (number, number % 7) for number in range(20_000)]
    parts = [written[:1], written[1:]] if same_tick else [written]
    with path.open("r+b") as file:
        for part in parts:
            file.write(b"\n".join(part) + b"\n")
            file.flush()
            os.utime(path, (1, 1))
            if part is not parts[-1]:
                assert lines(source) == part
    path.rename(gone)
    read = [line for _ in range(5) for line in lines(source)]
    assert read == (written[1:] if same_tick else written)
    assert not opened(gone)
    source.close()


def test_room_that_is_given_back_in_part_costs_no_time(tmp_path: Path) -> None:
    """A writer that ends may leave less room than it took."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"1\n" + b"\0" * 1000)
    source = tail(path, poll="100ms")
    assert lines(source) == [b"1"]
    assert source.read(0.0) is None
    os.truncate(path, 500)
    before = time.process_time()
    assert source.read(0.5) is None
    assert time.process_time() - before < 0.1
    append(path, b"2\n")
    assert payloads([source.read(1.0)]) == [b"2"]
    source.close()


def test_room_that_is_never_filled_costs_no_time_and_is_let_go(tmp_path: Path) -> None:
    """Zeros at the end are no news, and a file that was moved away with them is closed."""
    path, gone = tmp_path / "x.jsonl", tmp_path / "gone"
    path.write_bytes(b"1\n" + b"\0" * 1000)
    source = tail(path, rotate_wait="1us")
    assert lines(source) == [b"1"]
    before = os.times().user
    assert source.read(0.5) is None
    assert os.times().user - before < 0.4
    path.rename(gone)
    for _ in range(3):
        source.read(0.0)
    assert not opened(gone)
    source.close()


def opened(path: Path) -> bool:
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
    return str(path) in [os.readlink(link) for link in links if os.path.islink(link)]


@pytest.mark.parametrize("size", [4, 4096, CHUNK, LINE_LIMIT + CHUNK + 1])
@pytest.mark.parametrize("torn", [b"", b"3,"])
def test_zeros_of_a_power_cut_cost_the_line_they_cut(
    tmp_path: Path, size: int, torn: bytes
) -> None:
    """What the writer writes after the cut is read, however long the hole, over a restart too."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n" + torn + b"\0" * size)
    source = tail(path)
    [batch] = read_all(source, 1)
    assert payloads([batch]) == [b"1,2"]
    again = tail(path, batch.position)
    append(path, b"5,6\n7,8\n")
    for one in (source, again):
        assert payloads(read_all(one, 2)) == [b"5,6", b"7,8"]
        assert dropped(one) == {"too_long": 0, "torn": int(bool(torn)), "no_newline": 0}
        one.close()


def test_lines_beyond_the_limit_are_counted_each_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A file full of them must not fill the log as well."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n" + 5 * (b"x" * (LINE_LIMIT + 1) + b"\n") + b"2\n")
    source = tail(path)
    assert payloads(read_all(source, 2)) == [b"1", b"2"]
    assert dropped(source) == {"too_long": 5, "torn": 0, "no_newline": 0}
    assert caplog.text.count("is left out") == 1
    source.close()


def test_a_line_as_long_as_allowed_is_read(tmp_path: Path) -> None:
    """The limit itself is within it."""
    path = tmp_path / "x.jsonl"
    append(path, b"x" * LINE_LIMIT + b"\n")
    source = tail(path)
    assert [len(line) for line in lines(source)] == [LINE_LIMIT]
    source.close()


def test_empty_files_and_files_without_an_end_of_line_wait(tmp_path: Path) -> None:
    """Nothing is made up, and nothing is lost when the rest comes."""
    empty, half = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    empty.touch()
    append(half, b"1")
    source = tail(tmp_path / "*.jsonl")
    assert source.read(0.0) is None
    append(half, b"2\n")
    append(empty, b"3\n")
    assert sorted(lines(source)) == [b"12", b"3"]
    source.close()


def test_a_binary_file_gives_lines_that_somebody_else_refuses(tmp_path: Path) -> None:
    """Whatever the bytes are: none is lost between line ends, and nothing breaks."""
    noise = bytes(range(256)) * 3000
    append(tmp_path / "x.csv", noise)
    source = tail(tmp_path / "x.csv", format="jsonl")
    read = lines(source)
    assert b"\n".join(read) == noise.rpartition(b"\n")[0]
    source.close()


@pytest.mark.parametrize("name", [b"\xff\xfe.csv", b"a\nb.csv", "grün €.csv".encode()])
def test_a_name_may_be_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    """It is told as text that can be stored and sent, and found again after a restart."""
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    append(path, b"1\n")
    source = tail(tmp_path / "*.csv", format="jsonl")
    (batch,) = [source.read(0.0)]
    assert (
        batch.messages[0]
        .origin.encode()
        .endswith(name if b"\xff" not in name else rb"\xff\xfe.csv")
    )
    batch.position.encode()
    append(path, b"2\n")
    again = tail(tmp_path / "*.csv", batch.position, format="jsonl")
    assert lines(again) == [b"2"]
    source.close()
    again.close()
