"""Followed files over our own restarts: nothing twice, nothing left out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tails import ROTATIONS, Writer, append, drain, lines, shift, tail

from connectors.lines import LINE_LIMIT
from streamlnn.pipeline.testing import payloads

OTHERS = [
    '{"epoch":1,"n":2,"filters":["a/#"]}',
    '{"offset":7}',
    '{"read":7}',
    '{"files":[{}]}',
    "[1]",
    "null",
    "7",
    "seven",
    "",
]


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("rotation", ["rename", "copytruncate"])
def test_rotations_while_we_were_down_lose_nothing(
    tmp_path: Path, rotation: str, count: int
) -> None:
    """After a restart the files are found under names that `paths` does not match."""
    writer = Writer(tmp_path / "x.csv", b"t,v\n")
    source = tail(writer.path)
    for _ in range(count):
        writer.write_whole()
    batches = drain(source)
    source.close()
    for _ in range(3):
        writer.write_whole()
        ROTATIONS[rotation](writer)
    again = tail(writer.path, batches[-1].position)
    assert payloads(batches) + lines(again) == writer.written
    again.close()
    writer.close()


def test_a_restart_after_every_line_reads_each_once(tmp_path: Path) -> None:
    """A position is good wherever it was saved, with a line half written too."""
    path, read, position = tmp_path / "x.csv", [], None
    append(path, b"t,v\n")
    for number in range(20):
        append(path, b"%d," % number)
        source = tail(path, position)
        assert source.read(0.0) is None
        append(path, b"7\n")
        batch = source.read(0.0)
        read, position = read + payloads([batch]), batch.position
        assert {message.columns for message in batch.messages} == {("t", "v")}
        source.close()
    assert read == [b"%d,7" % number for number in range(20)]


@pytest.mark.parametrize(
    ("start", "first", "restarted"),
    [
        ("saved-or-end", [b"2"], [b"3"]),
        ("saved-or-begin", [b"1", b"2"], [b"3"]),
        ("begin", [b"1", b"2"], [b"1", b"2", b"3"]),
        ("end", [b"2"], []),
    ],
)
def test_start_says_where_to_begin(
    tmp_path: Path, start: str, first: list[bytes], restarted: list[bytes]
) -> None:
    """Behind the saved position, at the end, or at the beginning."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n")
    source = tail(path, start=start)
    append(path, b"2\n")
    batches = drain(source)
    assert payloads(batches) == first
    source.close()
    append(path, b"3\n")
    again = tail(path, batches[-1].position, start=start)
    assert lines(again) == restarted
    again.close()


@pytest.mark.parametrize("position", OTHERS)
def test_the_position_of_another_kind_of_source_is_told_and_ignored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, position: str
) -> None:
    """A source may keep its name and change its kind: it begins as one without a position."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n")
    source = tail(path, position)
    assert lines(source) == [b"1"]
    assert caplog.text.count("is not of followed files: ignored") == 1
    source.close()


def test_the_end_is_saved_before_the_first_line_comes(tmp_path: Path) -> None:
    """A restart before the first line must not skip what came in between."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n3,")
    source = tail(path, start="saved-or-end", begun=False)
    batch = source.read(0.0)
    assert batch.messages == []
    source.close()
    append(path, b"4\n")
    again = tail(path, batch.position, start="saved-or-end")
    (later,) = drain(again)
    assert [(it.payload, it.columns) for it in later.messages] == [(b"3,4", ("t", "v"))]
    again.close()


def test_a_lost_connection_goes_on_where_the_run_was(tmp_path: Path) -> None:
    """`start = "begin"` is about the start of the program, not about every connect."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n")
    source = tail(path, start="begin")
    (batch,) = drain(source)
    append(path, b"2\n")
    source.connect(batch.position)
    assert lines(source) == [b"2"]
    source.close()


def test_a_new_file_with_the_inode_of_a_deleted_one_is_new(tmp_path: Path) -> None:
    """After a restart an inode that came back with other content is read from its beginning."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n" + b"".join(b"%d,1\n" % number for number in range(100)))
    source = tail(path)
    (batch,) = drain(source)
    source.close()
    with path.open("r+b") as file:
        file.truncate(0)
        file.write(b"t,v\n" + b"".join(b"%d,2\n" % number for number in range(200)))
    again = tail(path, batch.position)
    assert lines(again) == [b"%d,2" % number for number in range(200)]
    again.close()


def test_a_restart_does_not_bring_old_rotated_files_back(tmp_path: Path) -> None:
    """What was rotated away before our first run stays past, also after a rotation meanwhile."""
    path, old = tmp_path / "x.csv", tmp_path / "x.csv.1"
    append(old, b"t,v\n1,1\n")
    os.utime(old, ns=(1, 1))
    append(path, b"t,v\n2,2\n")
    source = tail(path)
    (batch,) = drain(source)
    source.close()
    shift(path)
    path.rename(old)
    append(path, b"t,v\n3,3\n")
    again = tail(path, batch.position)
    assert lines(again) == [b"3,3"]
    again.close()


def test_an_old_file_with_the_same_header_does_not_stand_in_for_a_lost_one(tmp_path: Path) -> None:
    """A fingerprint of a header alone says little: the copy must be newer than what it copies."""
    path, old = tmp_path / "x.csv", tmp_path / "x.csv.1"
    append(old, b"t,v\n1,1\n")
    os.utime(old, ns=(1, 1))
    append(path, b"t,v\n")
    source = tail(path, start="saved-or-end", begun=False)
    batch = source.read(0.0)
    source.close()
    path.unlink()
    again = tail(path, batch.position)
    assert lines(again) == []
    again.close()


def test_a_file_moved_to_another_disk_goes_on(tmp_path: Path) -> None:
    """Restored from a backup a file has another inode and the same beginning: it is the same."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(path)
    (batch,) = drain(source)
    source.close()
    copy = path.read_bytes()
    path.rename(tmp_path / "kept")
    append(path, copy + b"3,4\n")
    (tmp_path / "kept").unlink()
    again = tail(path, batch.position)
    assert lines(again) == [b"3,4"]
    again.close()


def test_a_lost_file_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What we could not read any more after a restart is said, with the place."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(path)
    (batch,) = drain(source)
    source.close()
    path.unlink()
    again = tail(path, batch.position)
    assert "x.csv is gone since the last run" in caplog.text
    assert "after byte 8" in caplog.text
    again.close()


def test_a_file_that_was_read_whole_and_deleted_is_not_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Old files are deleted all the time: that is no loss if they were read to their end."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(path)
    batches = drain(source)
    path.unlink()
    source.read(0.0)
    append(path, b"t,v\n3,4\n")
    batches += drain(source)
    source.close()
    caplog.clear()
    again = tail(path, batches[-1].position)
    assert lines(again) == []
    assert caplog.text == ""
    again.close()


def test_an_endless_line_is_left_out_also_over_a_restart(tmp_path: Path) -> None:
    """A line beyond the limit is counted and passed over; a restart within it changes nothing."""
    path = tmp_path / "x.jsonl"
    append(path, b"1\n" + b"x" * (LINE_LIMIT + 10))
    source = tail(path)
    (batch,) = drain(source)
    source.close()
    append(path, b"x\n2\n")
    again = tail(path, batch.position)
    assert payloads([batch]) + lines(again) == [b"1", b"2"]
    assert again.dropped == 1
    again.close()


@pytest.mark.parametrize("existed", [False, True])
def test_what_is_rotated_before_the_first_line_was_taken_is_read(
    tmp_path: Path, existed: bool
) -> None:
    """A daemon that is killed right after it was ready knows at the next start when it began."""
    path = tmp_path / "x.csv"
    append(tmp_path / "x.csv.9", b"t,v\nlong,ago\n")
    os.utime(tmp_path / "x.csv.9", ns=(1, 1))
    writer = Writer(path, b"t,v\n") if existed else None
    source = tail(path, begun=False)
    assert not source.ready
    begin = source.read(0.0)
    assert begin.messages == []
    source.read(0.0)
    assert source.ready
    source.close()
    writer = writer or Writer(path, b"t,v\n")
    for _ in range(3):
        writer.write_whole()
        writer.rename()
    again = tail(path, begin.position)
    assert lines(again) == writer.written
    again.close()
    writer.close()
