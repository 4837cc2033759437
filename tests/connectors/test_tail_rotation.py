"""Rotated files: every line once and in order, whatever they are called meanwhile."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from tails import ROTATIONS, Writer, append, drain, lines, shift, tail

from connectors.generations import FINGERPRINT
from connectors.rotation import is_rotation_of
from streamlnn.pipeline.testing import payloads

# A cut (write a line in two parts and look between them or not), a look, a restart, a rotation.
STEPS = some.lists(
    some.integers(0, 8) | some.sampled_from(["look", "look", "restart", "rotate", "rotate"]),
    max_size=60,
)


def follow(steps: list[int | str], rotation: str, pattern: str, header: bytes) -> None:
    """Do the steps, restarting from the last position, and compare with what was written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.csv")
        writer = Writer(path, header)
        read: list[bytes] = []
        position = None
        source = tail(Path(folder, pattern))

        def look() -> None:
            nonlocal position
            for batch in drain(source):
                read.extend(payloads([batch]))
                position = batch.position

        for step in [*steps, "look", "look"]:
            if isinstance(step, int):
                for _ in writer.write(step):
                    if step % 2:
                        look()
            elif step == "look":
                look()
            elif step == "restart" and position is not None:
                source.close()
                source = tail(Path(folder, pattern), position)
            elif step == "rotate":
                # What a deleted file held is gone, and truncation cuts what was not seen yet.
                if rotation != "rename":
                    writer.write_whole()
                    look()
                ROTATIONS[rotation](writer)
                if rotation == "copytruncate":
                    look()
        source.close()
        writer.close()
        assert read == writer.written


@pytest.mark.parametrize("pattern", ["x.csv", "*.csv*"])
@pytest.mark.parametrize("rotation", sorted(ROTATIONS))
@pytest.mark.parametrize("header", [b"t,v\n", b""])
@settings(deadline=None, max_examples=25)
@given(steps=STEPS)
def test_every_line_is_read_once_and_in_order(
    rotation: str, pattern: str, header: bytes, steps: list[int | str]
) -> None:
    """Through partial lines, rotations and restarts, the lines read are the lines written."""
    follow(steps, rotation, pattern, header)


def test_many_rotations_between_two_looks_lose_nothing(tmp_path: Path) -> None:
    """Files that came and were moved away between two looks are found, in their order."""
    writer = Writer(tmp_path / "x.csv", b"t,v\n")
    source = tail(writer.path)
    read = lines(source)
    for _ in range(5):
        for _ in range(4):
            writer.write_whole()
            writer.rename()
        read += lines(source)
    assert read == writer.written
    source.close()
    writer.close()


def test_sensors_with_numbered_names_are_no_rotations_of_each_other(tmp_path: Path) -> None:
    """`pump.csv` and `pump-1.csv` are two streams, each under its own name."""
    names = ["pump.csv", "pump-1.csv", "pump_2.csv"]
    for name in names:
        append(tmp_path / name, b"t,v\n1,2\n")
    source = tail(tmp_path / "*.csv")
    origins = [message.origin for batch in drain(source) for message in batch.messages]
    assert sorted(origins) == sorted(str(tmp_path / name) for name in names)
    source.close()


def test_old_rotated_files_are_not_read_unless_they_match(tmp_path: Path) -> None:
    """What was rotated away before we came is past."""
    path = tmp_path / "x.csv"
    append(tmp_path / "x.csv.2", b"t,v\n1,1\n")
    append(tmp_path / "x.csv.1", b"t,v\n2,2\n")
    append(path, b"t,v\n3,3\n")
    source = tail(path)
    assert lines(source) == [b"3,3"]
    shift(path)
    path.rename(tmp_path / "x.csv.1")
    append(path, b"t,v\n4,4\n")
    assert lines(source) == [b"4,4"]
    source.close()
    all_of_them = tail(f"{path}*")
    assert lines(all_of_them) == [b"1,1", b"2,2", b"3,3", b"4,4"]
    all_of_them.close()


@pytest.mark.parametrize("size", [9, 2 * FINGERPRINT])
def test_a_file_that_shrank_is_read_from_its_beginning(tmp_path: Path, size: int) -> None:
    """Cut to nothing or to a part of itself, the file holds something new from its start."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n" + b"".join(b"%d,1\n" % number for number in range(1000)))
    source = tail(path)
    assert len(lines(source)) == 1000
    os.truncate(path, size)
    append(path, b"\n7,7\n")
    assert lines(source) == [line for line in path.read_bytes().split(b"\n")[1:] if line]
    source.close()


def test_a_file_written_anew_to_the_same_size_is_noticed(tmp_path: Path) -> None:
    """The size alone does not tell whether a file is the same."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(path)
    assert lines(source) == [b"1,2"]
    with path.open("r+b") as file:
        file.write(b"t,v\n3,4\n")
    os.utime(path, ns=(1, 1))
    assert lines(source) == [b"3,4"]
    source.close()


def test_rotated_files_that_match_are_not_read_again(tmp_path: Path) -> None:
    """Closed files stay known through later rotations and restarts, each once."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n0,0\n")
    source = tail(f"{path}*", rotate_wait="1us")
    batches = drain(source)
    for number in range(1, 6):
        shift(path)
        path.rename(tmp_path / "x.csv.1")
        append(path, b"t,v\n%d,0\n" % number)
        batches += drain(source)
        source.read(0.0)
        if number == 3:
            source.close()
            source = tail(f"{path}*", batches[-1].position, rotate_wait="1us")
    assert payloads(batches) == [b"%d,0" % number for number in range(6)]
    source.close()


def test_a_closed_file_that_is_overwritten_is_a_new_one(tmp_path: Path) -> None:
    """The old one, whose place it took, is forgotten."""
    path, moved = tmp_path / "x.csv", tmp_path / "x.csv.1"
    append(path, b"t,v\n1,2\n")
    source = tail(f"{path}*", rotate_wait="1us")
    batches = drain(source)
    path.rename(moved)
    append(path, b"t,v\n3,4\n")
    batches += drain(source)
    for _ in range(3):
        source.read(0.0)
    with moved.open("r+b") as file:
        file.write(b"t,v\n5,6\n7,8\n")
    batches += drain(source)
    assert payloads(batches) == [b"1,2", b"3,4", b"5,6", b"7,8"]
    assert batches[-1].position.count('"ino"') == 2
    source.close()


def test_a_rotated_file_is_let_go_when_it_is_quiet(tmp_path: Path) -> None:
    """The disk space of a deleted file comes back, and its last half line is told."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n2")
    source = tail(path, rotate_wait="1us")
    assert lines(source) == [b"1"]
    path.unlink()
    append(path, b"3\n")
    batches = drain(source)
    while not source.dropped:
        source.read(0.0)
    append(path, b"4\n")
    batches += drain(source)
    assert payloads(batches) == [b"3", b"4"]
    assert batches[-1].position.count('"ino"') == 1
    source.close()


def test_a_closed_file_that_grows_again_is_read_on(tmp_path: Path) -> None:
    """A writer that kept a rotated file open for long is heard if the file still matches."""
    path, moved = tmp_path / "x.csv", tmp_path / "x.csv.1"
    append(path, b"t,v\n1,2\n")
    source = tail(f"{path}*", rotate_wait="1us")
    assert lines(source) == [b"1,2"]
    path.rename(moved)
    append(path, b"t,v\n3,4\n")
    assert lines(source) == [b"3,4"]
    for _ in range(3):
        source.read(0.0)
    append(moved, b"5,6\n")
    os.utime(moved, ns=(1, 1))
    assert lines(source) == [b"5,6"]
    source.close()


def test_two_files_that_begin_alike_are_two_files(tmp_path: Path) -> None:
    """Idle sensors write the same lines: a common beginning alone makes no copy."""
    text = b"t,v\n" + b"0,0\n" * FINGERPRINT
    for name in ("a.csv", "b.csv"):
        append(tmp_path / name, text)
    source = tail(tmp_path / "*.csv")
    append(tmp_path / "a-1.csv", text)
    assert len(lines(source)) == 3 * FINGERPRINT
    source.close()


@pytest.mark.parametrize(
    ("name", "yes"),
    [
        ("a.csv.1", True),
        ("a.csv-20260101", True),
        ("a.csv.2026-01-01T10:00", True),
        ("a.csv.old", True),
        ("a.csv~", True),
        ("a-20260101.csv", True),
        ("a.csv.1.gz", False),
        ("a.csv", False),
        ("ab.csv", False),
        ("a1.csv", False),
        ("b.csv.1", False),
    ],
)
def test_names_that_rotation_gives_are_known(name: str, yes: bool) -> None:
    """Numbers, dates and `old`, behind the name or before its ending; nothing compressed."""
    assert is_rotation_of(f"logs/{name}", "logs/a.csv") is yes
