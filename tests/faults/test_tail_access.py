"""Rows "access" of the fault matrix: files and folders that cannot be read, or not yet, or no more.

Injected: rights taken away (as another user when the tests run as root), folders that are moved
away and back as a mount is, the n-th read failing with EIO, fewer descriptors than files, pipes
and devices in the place of files, ten thousand files.

Must hold: the other files are read meanwhile; each trouble is told once, and once that it is over;
when it is over reading goes on behind the last line, also over a restart in between.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tails import append, drain, lines, tail
from users import open_folder, ordinary_user

from connectors import openings
from connectors.generations import Generation
from streamlnn.pipeline.testing import payloads


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any user may enter and write to."""
    with open_folder() as made:
        yield made


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_file_that_may_not_be_read_is_told_once_and_read_when_it_may(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are read meanwhile."""
    locked, other = folder / "locked.csv", folder / "other.csv"
    append(locked, b"t,v\n1,2\n")
    append(other, b"t,v\n3,4\n")
    locked.chmod(0)
    with ordinary_user():
        source = tail(folder / "*.csv")
        assert lines(source) == [b"3,4"]
        source.read(0.01)
    assert messages(caplog) == [
        f"cannot read {locked}: Permission denied; trying again until it can be read"
    ]
    locked.chmod(0o644)
    with ordinary_user():
        assert lines(source) == [b"1,2"]
        source.close()


@pytest.mark.parametrize("has_grown", [False, True])
def test_a_file_that_may_not_be_read_after_a_restart_is_read_on_when_it_may(
    folder: Path, has_grown: bool
) -> None:
    """Its position is kept, over several restarts: nothing is read twice."""
    path, other = folder / "x.csv", folder / "other.csv"
    append(path, b"t,v\n1,2\n")
    append(other, b"t,v\n")
    with ordinary_user():
        source = tail(folder / "*.csv")
        (batch,) = drain(source)
        source.close()
    path.chmod(0)
    append(path, b"5,6\n" if has_grown else b"")
    for value in (b"1,1", b"2,2"):
        append(other, value + b"\n")
        with ordinary_user():
            source = tail(folder / "*.csv", batch.position)
            (batch,) = drain(source)
            assert payloads([batch]) == [value]
            source.close()
    with ordinary_user():
        source = tail(folder / "*.csv", batch.position)
        assert lines(source) == []
    path.chmod(0o644)
    append(path, b"7,8\n")
    with ordinary_user():
        assert lines(source) == ([b"5,6"] if has_grown else []) + [b"7,8"]
        source.close()


def test_a_folder_that_is_not_there_at_a_restart_is_read_on_when_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """We may start before the disk is mounted; its files then come back in other inodes."""
    mounted, away, other = tmp_path / "mnt", tmp_path / "away", tmp_path / "other.csv"
    mounted.mkdir()
    append(mounted / "x.csv", b"t,v\n1,2\n")
    append(other, b"t,v\n")
    paths = {"paths": [str(mounted / "*.csv"), str(other)]}
    source = tail("", **paths)
    (batch,) = drain(source)
    source.close()
    mounted.rename(away)
    mounted.mkdir()
    for value in (b"1,1", b"2,2"):
        append(other, value + b"\n")
        source = tail("", batch.position, **paths)
        (batch,) = drain(source)
        assert payloads([batch]) == [value]
        source.close()
    assert caplog.text.count("x.csv is gone since the last run") == 1
    source = tail("", batch.position, **paths)
    assert lines(source) == []
    append(away / "x.csv", b"3,4\n")
    shutil.copy(away / "x.csv", mounted)
    assert lines(source) == [b"3,4"]
    append(mounted / "x.csv", b"5,6\n")
    assert lines(source) == [b"5,6"]
    source.close()


def test_a_file_that_is_gone_for_good_is_forgotten_when_its_name_is_taken(tmp_path: Path) -> None:
    """Another file of that name is a new one."""
    path, other = tmp_path / "x.csv", tmp_path / "other.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(tmp_path / "*.csv")
    (batch,) = drain(source)
    source.close()
    path.unlink()
    source = tail(tmp_path / "*.csv", batch.position)
    append(path, b"a,b\n3,4\n")
    append(other, b"t,v\n1,1\n")
    batches = drain(source)
    assert sorted(payloads(batches)) == [b"1,1", b"3,4"]
    assert batches[-1].position.count('"ino"') == 2
    source.close()


def test_a_folder_that_is_removed_and_made_anew_is_followed(tmp_path: Path) -> None:
    """Its new files are new, even if they have the old names."""
    folder = tmp_path / "logs"
    source = tail(folder / "*.csv", rotate_wait="1us")
    read = []
    for turn in range(3):
        folder.mkdir()
        append(folder / "x.csv", b"t,v\n%d,1\n" % turn)
        read += lines(source)
        append(folder / "x.csv", b"%d,2\n" % turn)
        shutil.rmtree(folder)
        read += lines(source)
    assert read == [b"%d,%d" % (turn, part) for turn in range(3) for part in (1, 2)]
    source.close()


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE])
def test_a_read_error_costs_nothing_and_is_told_once(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: int,
    error: int,
) -> None:
    """The n-th read of one file fails, and all after it for a while; the other file is read."""
    bad, good = tmp_path / "bad.csv", tmp_path / "good.csv"
    append(good, b"t,v\n")
    append(bad, b"t,v\n")
    source, reads, failing = tail(tmp_path / "*.csv"), 0, True
    pread, ino = os.pread, bad.stat().st_ino

    def failing_pread(fd: int, size: int, at: int) -> bytes:
        nonlocal reads
        reads += os.fstat(fd).st_ino == ino
        if failing and reads >= number and os.fstat(fd).st_ino == ino:
            raise OSError(error, os.strerror(error))
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", failing_pread)
    read = []
    for turn in range(6):
        append(bad, b"%d,0\n" % turn)
        append(good, b"%d,1\n" % turn)
        read += lines(source)
    assert reads >= number
    assert [line for line in read if line.endswith(b"1")] == [b"%d,1" % turn for turn in range(6)]
    assert caplog.text.count(f"cannot read {bad}: {os.strerror(error)}") == 1
    failing = False
    read += lines(source)
    assert [line for line in read if line.endswith(b"0")] == [b"%d,0" % turn for turn in range(6)]
    source.close()


def refuse(monkeypatch: pytest.MonkeyPatch, call: str, error: int, number: int, ino: int) -> None:
    """Make `os.call` fail for the file `ino` from the `number`-th time on."""
    real, fstat, count = getattr(os, call), os.fstat, 0

    def refusing(fd: int, *others: int) -> object:
        nonlocal count
        count += (is_it := fstat(fd).st_ino == ino)
        if is_it and count >= number:
            if call == "close":
                real(fd)
            raise OSError(error, os.strerror(error))
        return real(fd, *others)

    monkeypatch.setattr(os, call, refusing)


@pytest.mark.parametrize("number", range(1, 7))
@pytest.mark.parametrize("error", [errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("call", ["fstat", "pread", "close"])
@pytest.mark.parametrize("goes_on", [True, False])
def test_a_handle_of_no_use_holds_up_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    error: int,
    call: str,
    goes_on: bool,
) -> None:
    """A server forgets the file that was deleted; what took its place is read on, or read whole."""
    path, ready = tmp_path / "x.jsonl", tmp_path / "ready"
    before = [b"%d" % line for line in range(1000)]
    append(path, b"\n".join(before) + b"\n")
    append(ready, path.read_bytes() if goes_on else b"x\ny\n")
    append(ready, b"z\n")
    source = tail(path, rotate_wait="1us")
    assert lines(source) == before
    refuse(monkeypatch, call, error, number, path.stat().st_ino)
    ready.rename(path)
    read = [line for _ in range(8) for line in lines(source)]
    append(path, b"last\n")
    read += lines(source)
    assert read == [*([b"z"] if goes_on else [b"x", b"y", b"z"]), b"last"]
    source.close()


def test_a_cut_file_is_read_anew_once_it_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With no descriptor left it waits, and that is told once."""
    path, other = tmp_path / "x.jsonl", tmp_path / "y.jsonl"
    append(path, b"1\n2\n")
    append(other, b"0\n")
    source = tail(tmp_path / "*.jsonl")
    assert sorted(lines(source)) == [b"0", b"1", b"2"]
    with monkeypatch.context() as patch:
        refuse(patch, "dup", errno.EMFILE, 1, path.stat().st_ino)
        path.write_bytes(b"3\n")
        for line in (b"4", b"5"):
            append(other, line + b"\n")
            assert lines(source) == [line]
        assert messages(caplog) == [
            f"cannot read {path}: {os.strerror(errno.EMFILE)}; trying again until it can be read"
        ]
    before = descriptors()
    assert lines(source) == [b"3"]
    assert descriptors() == before
    assert messages(caplog)[-1] == f"{path} can be read again"
    source.close()


def test_a_file_that_may_not_be_read_at_the_first_look_is_read_from_its_end_of_then(
    folder: Path,
) -> None:
    """And not from the middle of the line that was being written."""
    path, half = folder / "x.jsonl", folder / "half.jsonl"
    append(path, b"1\n")
    append(half, b"1\n2")
    path.chmod(0)
    half.chmod(0)
    with ordinary_user():
        source = tail(folder / "*.jsonl", start="saved-or-end")
        assert lines(source) == []
    append(path, b"3\n")
    append(half, b"3\n4\n")
    path.chmod(0o644)
    half.chmod(0o644)
    with ordinary_user():
        assert sorted(lines(source)) == [b"3", b"4"]
        assert source.stats["lines_dropped"]["torn"] == 1
        source.close()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_takes_a_files_place_is_refused_without_waiting(tmp_path: Path, make: object) -> None:
    """A pipe without a writer would hold up whoever opens it."""
    path = tmp_path / "x.csv"
    append(path, b"1,2\n")
    file = Generation(str(path), str(path))
    file.attach(str(path))
    path.unlink()
    make(path)
    with pytest.raises(OSError, match="not a regular file"):
        file.attach(str(path))
    assert not file.begins_like(str(path))
    file.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_with_fewer_descriptors_than_files_all_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The quietest ones are closed to make room, and opened again when they grow."""
    monkeypatch.setattr(openings, "MOST_DESCRIPTORS", 20)
    paths = [tmp_path / f"s{number:02}.jsonl" for number in range(50)]
    before, source, read, position = descriptors(), tail(tmp_path / "*.jsonl"), list[bytes](), None
    for turn in range(8):
        written = [b"%d%02d" % (turn + 1, number) for number in range(50)]
        for path, line in zip(paths, written, strict=True):
            append(path, line + b"\n")
        if turn == 3:
            paths[7].rename(tmp_path / "s07.jsonl.1")
        for _ in range(12):
            for batch in drain(source):
                read, position = read + payloads([batch]), batch.position
            assert descriptors() - before <= 10
        if turn == 5:
            source.close()
            source = tail(tmp_path / "*.jsonl", position)
    assert sorted(read) == [b"%d%02d" % (turn + 1, n) for turn in range(8) for n in range(50)]
    source.close()


def test_with_fewer_descriptors_than_files_the_end_of_each_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`start = "end"` holds for those that had to be closed again, too."""
    monkeypatch.setattr(openings, "MOST_DESCRIPTORS", 20)
    for number in range(50):
        append(tmp_path / f"s{number:02}.jsonl", b"1\n")
    source = tail(tmp_path / "*.jsonl", start="end")
    append(tmp_path / "s49.jsonl", b"2\n")
    append(tmp_path / "s00.jsonl", b"3\n")
    assert sorted(lines(source)) == [b"2", b"3"]
    source.close()


def test_ten_thousand_files_are_read_each(tmp_path: Path) -> None:
    """And one of them that grows is found among the others."""
    for number in range(10_000):
        (tmp_path / f"s{number}.jsonl").write_bytes(b"1\n")
    source = tail(tmp_path / "*.jsonl")
    assert len(lines(source)) == 10_000
    append(tmp_path / "s1234.jsonl", b"2\n")
    deadline = time.monotonic() + 60
    while not (read := lines(source)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert read == [b"2"]
    source.close()
