"""Followed files: every line once and in order, whatever happens to the files and to us."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from connectors.generations import FINGERPRINT
from connectors.lines import LINE_LIMIT
from connectors.rotation import is_rotation_of
from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Batch, Context
from streamlnn.pipeline.testing import FakeClock, payloads

# So often that every read looks: the tests then need no waiting.
ALWAYS = "1us"


def tail(path: Path | str, position: str | None = None, **options: object) -> TailSource:
    chosen = {"paths": [str(path)], "poll": ALWAYS, "start": "saved-or-begin"} | options
    source = TailSource(TailSettings(**chosen), Context(clock=FakeClock()))
    source.connect(position)
    return source


def drain(source: TailSource) -> list[Batch]:
    batches = []
    while batch := source.read(0.0):
        batches.append(batch)
    return batches


def lines(source: TailSource) -> list[bytes]:
    return payloads(drain(source))


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def shift(path: Path) -> None:
    """Make room for `.1`, as logrotate does."""
    numbers = sorted(int(old.suffix[1:]) for old in path.parent.glob(path.name + ".*"))
    for number in reversed(numbers):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")


class Writer:
    """Writes numbered lines to a log file and rotates it; `written` is what a reader must see."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.header = header
        self.written: list[bytes] = []
        self._open()

    def write(self, cut: int) -> Iterator[None]:
        """Write a line in two parts; between them the reader may look."""
        line = b"%06d,%d" % (len(self.written), len(self.written) % 7)
        self._file.write(line[:cut])
        yield
        self._file.write(line[cut:] + b"\n")
        self.written.append(line)

    def write_whole(self) -> None:
        for _ in self.write(3):
            pass

    def rename(self) -> None:
        """Move the file away; lines still go there until the writer opens the new one."""
        shift(self.path)
        self.path.rename(f"{self.path}.1")
        self.write_whole()
        self._file.close()
        self._open()

    def delete(self) -> None:
        """Delete the file and begin a new one, which may well get the same inode."""
        self.path.unlink()
        self._file.close()
        self._open()

    def copytruncate(self) -> None:
        """Copy the file away and cut it, as logrotate does for writers that never reopen."""
        self.write_whole()
        shift(self.path)
        shutil.copy(self.path, f"{self.path}.1")
        os.truncate(self.path, 0)

    def close(self) -> None:
        self._file.close()

    def _open(self) -> None:
        self._file = self.path.open("ab", buffering=0)
        self._file.write(self.header)


ROTATIONS: dict[str, Callable[[Writer], None]] = {
    "rename": Writer.rename,
    "delete": Writer.delete,
    "copytruncate": Writer.copytruncate,
}

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


def test_a_message_tells_its_file_its_time_and_its_columns(tmp_path: Path) -> None:
    """Also after a rotation the origin is the name under which the line was written."""
    path = tmp_path / "x.csv"
    append(path, b"t;v\r\n1;2\r\n")
    source = tail(path)
    path.rename(tmp_path / "x.csv.1")
    append(path, b"t;v\r\n3;4\r\n")
    messages = [message for batch in drain(source) for message in batch.messages]
    assert [message.payload for message in messages] == [b"1;2", b"3;4"]
    for message in messages:
        told = (message.origin, message.received, message.columns)
        assert told == (str(path), FakeClock().now, ("t", "v"))
    source.close()


def test_a_file_begun_without_a_header_keeps_the_columns(tmp_path: Path) -> None:
    """After copytruncate most writers write no header again: the columns stay."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n")
    source = tail(path)
    assert lines(source) == [b"1,2"]
    os.truncate(path, 0)
    append(path, b"3,4\n")
    (batch,) = drain(source)
    assert batch.messages[0].columns == ("t", "v")
    source.close()


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


def test_the_end_is_saved_before_the_first_line_comes(tmp_path: Path) -> None:
    """A restart before the first line must not skip what came in between."""
    path = tmp_path / "x.csv"
    append(path, b"t,v\n1,2\n3,")
    source = tail(path, start="saved-or-end")
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


def test_files_that_come_later_are_read_from_their_beginning(tmp_path: Path) -> None:
    """A missing folder is waited for, and a new file belongs to it whole."""
    folder = tmp_path / "logs"
    source = tail(folder / "*.csv", start="saved-or-end")
    assert source.read(0.0) is None
    assert source.ready
    folder.mkdir()
    append(folder / "a.csv", b"t,v\n1,2\n")
    append(folder / "b.csv", b"t,v\n3,4\n")
    assert sorted(lines(source)) == [b"1,2", b"3,4"]
    source.close()


def test_that_nothing_is_there_is_told_once_and_again_when_it_happens_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A missing file is one line in the log, however often we look."""
    path = tmp_path / "x.csv"
    source = tail(path)
    for _ in range(5):
        source.read(0.0)
    assert [record.getMessage() for record in caplog.records] == [
        f"no file matches {path} yet: waiting"
    ]
    source.close()


def test_folders_pipes_and_unreadable_names_are_passed_over(tmp_path: Path) -> None:
    """A wildcard may match anything; only regular files are followed."""
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    append(tmp_path / "x.csv", b"1.5\n")
    source = tail(tmp_path / "*.csv")
    assert lines(source) == [b"1.5"]
    source.close()


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
    source = tail(path, start="saved-or-end")
    batch = source.read(0.0)
    source.close()
    path.unlink()
    again = tail(path, batch.position)
    assert lines(again) == []
    again.close()


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


def test_two_files_that_begin_alike_are_two_files(tmp_path: Path) -> None:
    """Idle sensors write the same lines: a common beginning alone makes no copy."""
    text = b"t,v\n" + b"0,0\n" * FINGERPRINT
    for name in ("a.csv", "b.csv"):
        append(tmp_path / name, text)
    source = tail(tmp_path / "*.csv")
    append(tmp_path / "a-1.csv", text)
    assert len(lines(source)) == 3 * FINGERPRINT
    source.close()


def test_every_file_gets_its_turn(tmp_path: Path) -> None:
    """A busy file does not keep a quiet one waiting."""
    append(tmp_path / "busy.csv", b"1\n" * 1_000_000)
    append(tmp_path / "quiet.csv", b"2\n")
    source = tail(tmp_path / "*.csv")
    seen = [message.payload for _ in range(3) for message in source.read(0.0).messages]
    assert b"2" in seen
    source.close()


def test_waiting_ends_when_a_line_comes(tmp_path: Path) -> None:
    """`read` waits for the first line, not for its whole time."""
    path = tmp_path / "x.jsonl"
    source = tail(path, poll="1ms")
    writer = threading.Thread(target=append, args=(path, b"1\n"))
    writer.start()
    assert payloads([source.read(60.0)]) == [b"1"]
    writer.join()
    source.close()


@pytest.mark.parametrize(
    ("paths", "form", "codec"),
    [
        (["a/*.csv"], None, "csv"),
        (["a/*.csv*"], None, "csv"),
        (["a/*.TXT"], None, "csv"),
        (["a/*.jsonl"], None, "json"),
        (["a/*.log"], None, "json"),
        (["a/*.log"], "csv", "csv"),
    ],
)
def test_the_format_is_told_by_the_name_unless_it_is_given(
    paths: list[str], form: str | None, codec: str
) -> None:
    """CSV by its usual endings, else JSON lines."""
    assert TailSource(TailSettings(paths=paths, format=form), Context()).format == codec


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
