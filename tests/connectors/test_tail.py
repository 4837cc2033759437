"""Followed files: what is read, as what, and when."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from tails import append, drain, lines, tail

from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Context
from streamlnn.pipeline.testing import FakeClock, payloads


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
