"""Rows "rotation" of the fault matrix: whatever takes the file away, no line is lost or read twice.

Injected: the steps of logrotate by hand, each in its own order (rename, gzip at once or one
rotation later, dated names, another folder), and of those who replace files in one stroke (rsync,
editors, a symbolic link that is set anew). A writer that keeps the old file open writes on in it.

Must hold: 0 lines lost, 0 read twice, in order, also when many lines were not read yet at the
moment of the rotation. What cannot hold is told: a file that was compressed while we were down.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tails import Writer, append, drain, lines, shift, tail

from streamlnn.pipeline.testing import payloads


def zipped(path: Path) -> None:
    """Compress a file as gzip does: a new one appears, then the old one goes."""
    target = path.with_name(path.name + ".gz")
    target.write_bytes(gzip.compress(path.read_bytes(), 1))
    path.unlink()


def compress(writer: Writer) -> None:
    """`compress`: the file is gone as such as soon as the writer has the new one."""
    number = len(list(writer.path.parent.glob("*.gz"))) + 1
    moved = writer.path.with_name(f"x.csv.{number}")
    writer.rename_to(moved)
    zipped(moved)


def delay_compress(writer: Writer) -> None:
    """`delaycompress`: the file before the last one is compressed."""
    before = writer.path.with_name("x.csv.1")
    if before.exists():
        number = len(list(writer.path.parent.glob("*.gz"))) + 2
        before = before.rename(writer.path.with_name(f"x.csv.{number}"))
        zipped(before)
    writer.rename_to(writer.path.with_name("x.csv.1"))


def dated(writer: Writer) -> None:
    """`dateext`: the rotated file is called by the day, or by the second."""
    count = len(list(writer.path.parent.glob("x.csv-*")))
    writer.rename_to(writer.path.with_name(f"x.csv-202601{count + 1:02}"))


def dated_inside(writer: Writer) -> None:
    """`dateext` with `extension .csv`: the date stands before the ending."""
    count = len(list(writer.path.parent.glob("x-*.csv")))
    writer.rename_to(writer.path.with_name(f"x-2026010100{count + 1:02}.csv"))


def into_another_folder(writer: Writer) -> None:
    """`olddir`, on the same device."""
    folder = writer.path.parent / "old"
    folder.mkdir(exist_ok=True)
    writer.rename_to(folder / f"x.csv.{len(list(folder.iterdir())) + 1}")


WAYS: list[Callable[[Writer], None]] = [
    compress,
    delay_compress,
    dated,
    dated_inside,
    into_another_folder,
    Writer.delete,
]


@pytest.mark.parametrize("pattern", ["x.csv", "x*.csv*"])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_line_is_lost_or_read_twice(
    tmp_path: Path, way: Callable[[Writer], None], pattern: str
) -> None:
    """Twenty rotations, each with lines not read yet, and a restart after every fourth."""
    writer = Writer(tmp_path / "x.csv", b"t,v\n")
    source, read, position = tail(tmp_path / pattern), [], None
    for turn in range(20):
        for _ in range(3):
            writer.write_whole()
        way(writer)
        for batch in drain(source):
            read, position = [*read, *payloads([batch])], batch.position
        if turn % 4 == 3:
            source.close()
            source = tail(tmp_path / pattern, position)
    read += lines(source)
    assert read == writer.written
    source.close()
    writer.close()


def test_many_rotations_between_two_looks_with_the_old_ones_compressed(tmp_path: Path) -> None:
    """What is compressed had its turn as a plain file first; the others are read where they are."""
    writer = Writer(tmp_path / "x.csv", b"t,v\n")
    source, read = tail(writer.path), []
    for _ in range(5):
        for old in tmp_path.glob("x.csv.[0-9]"):
            zipped(old)
        for _ in range(4):
            writer.write_whole()
            writer.rename()
        read += lines(source)
    assert read == writer.written
    source.close()
    writer.close()


def test_compressed_files_that_match_are_passed_over_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Their bytes are no lines; a pattern such as `*.csv*` meets them every day."""
    for ending in ("gz", "xz", "zst"):
        append(tmp_path / f"x.csv.1.{ending}", gzip.compress(b"t,v\n1,2\n"))
    append(tmp_path / "x.csv", b"t,v\n3,4\n")
    source = tail(tmp_path / "*.csv*")
    assert lines(source) == [b"3,4"]
    assert [record.getMessage()[-74:] for record in caplog.records] == [
        "is compressed and passed over, as others like it: give paths that do not match it"[-74:]
    ]
    source.close()


def test_what_was_compressed_while_we_were_down_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It cannot be read on; the message names the file and the byte."""
    writer = Writer(tmp_path / "x.csv", b"t,v\n")
    writer.write_whole()
    source = tail(writer.path)
    (batch,) = drain(source)
    source.close()
    writer.write_whole()
    compress(writer)
    writer.write_whole()
    again = tail(writer.path, batch.position)
    assert lines(again) == writer.written[-1:]
    assert "x.csv is gone since the last run: what was written to it after byte 13" in caplog.text
    again.close()
    writer.close()


def test_a_file_replaced_by_a_longer_one_is_read_on(tmp_path: Path) -> None:
    """rsync brings a log in one stroke, each time with all that it held before."""
    path, fresh = tmp_path / "x.csv", tmp_path / ".x.csv.a1"
    text, read = b"t,v\n", []
    source = tail(path)
    for turn in range(10):
        text += b"".join(b"%d,%d\n" % (turn, number) for number in range(500))
        fresh.write_bytes(text)
        fresh.rename(path)
        read += lines(source)
    assert read == text.split(b"\n")[1:-1]
    source.close()


def test_a_file_replaced_by_another_is_read_from_its_beginning(tmp_path: Path) -> None:
    """A sensor that writes its newest value over the last one is heard each time."""
    path, fresh = tmp_path / "x.csv", tmp_path / ".x.csv.a1"
    source, read = tail(path), []
    for value in (b"21.5", b"21.5", b"21.6", b"21.5"):
        fresh.write_bytes(value + b"\n")
        fresh.rename(path)
        read += lines(source)
    assert read == [b"21.5", b"21.5", b"21.6", b"21.5"]
    source.close()


def test_a_link_that_is_set_to_another_file_is_followed(tmp_path: Path) -> None:
    """`current.csv` names one file after the other; what a former one still gets is read too."""
    link, read, written = tmp_path / "current.csv", [], []
    source = tail(link)
    for day in range(5):
        target = tmp_path / f"day{day}.log"
        append(target, b"t,v\n%d,1\n" % day)
        fresh = tmp_path / "fresh"
        fresh.symlink_to(target)
        fresh.rename(link)
        read += lines(source)
        append(target, b"%d,2\n" % day)
        written += [b"%d,1" % day, b"%d,2" % day]
    read += lines(source)
    assert read == written
    source.close()


def test_a_link_and_its_target_are_one_file(tmp_path: Path) -> None:
    """Under whichever of its names it is met, each line is read once."""
    append(tmp_path / "day1.csv", b"t,v\n1,2\n")
    (tmp_path / "current.csv").symlink_to(tmp_path / "day1.csv")
    os.link(tmp_path / "day1.csv", tmp_path / "hard.csv")
    source = tail(tmp_path / "*.csv")
    append(tmp_path / "day1.csv", b"3,4\n")
    assert lines(source) == [b"1,2", b"3,4"]
    source.close()


def test_a_link_to_nothing_to_itself_and_to_a_device_is_passed_over(tmp_path: Path) -> None:
    """Links are followed, and what is behind them must be a regular file."""
    (tmp_path / "nothing.csv").symlink_to(tmp_path / "missing")
    (tmp_path / "itself.csv").symlink_to(tmp_path / "itself.csv")
    (tmp_path / "device.csv").symlink_to("/dev/zero")
    append(tmp_path / "x.csv", b"1.5\n")
    source = tail(tmp_path / "*.csv")
    assert lines(source) == [b"1.5"]
    source.close()


def test_the_loss_by_copytruncate_is_what_came_between_its_two_steps(tmp_path: Path) -> None:
    """The documented bound: nothing before the copy, and nothing after the cut, is lost."""
    path, kept, lost, source = tmp_path / "x.csv", [], [], tail(tmp_path / "x.csv")
    read = []
    for turn in range(20):
        append(path, b"%d,before\n" % turn)
        read += lines(source) if turn % 2 else []
        shift(path)
        (tmp_path / "x.csv.1").write_bytes(path.read_bytes())
        append(path, b"%d,between\n" % turn)
        os.truncate(path, 0)
        append(path, b"%d,after\n" % turn)
        read += lines(source)
        kept += [b"%d,before" % turn, b"%d,after" % turn]
        lost += [b"%d,between" % turn]
    assert [line for line in read if line not in lost] == kept
    source.close()
