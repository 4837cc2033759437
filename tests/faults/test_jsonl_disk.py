"""Rows "jsonl sink" of the fault matrix: the disk under a file of forecasts fails, or is cut.

Injected: a disk of one megabyte (a tmpfs, where the tests may mount one, else a limit on the size
of files) that fills up while the pipeline runs and is freed later; zeros and torn lines that a
power cut leaves; the file renamed, cut by copytruncate, deleted, its folder removed, its rights
taken away; a second program that writes to the same file.

Must hold: every forecast is in the files exactly once, in order, no line is torn, and the pipeline
goes on by itself when there is room again. Each trouble is told once, with the way out.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from users import open_folder, ordinary_user

from connectors.codecs import JsonCodec
from connectors.jsonl import JsonLinesSettings, JsonLinesSink
from streamlnn.pipeline.contract import Batch, Context, Message, NotConnected
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ScriptedSource, outputs

MEGABYTE = 1 << 20


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """`folder` becomes a disk of a megabyte; where that is not allowed no file may be longer."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode == 0:
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(folder)], check=True)
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MEGABYTE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def sink(path: Path) -> JsonLinesSink:
    return JsonLinesSink(JsonLinesSettings(path=str(path), events=False), Context())


def connected(path: Path) -> JsonLinesSink:
    made = sink(path)
    made.connect()
    return made


def seqs(*paths: Path) -> list[int]:
    return [json.loads(line)["seq"] for path in paths for line in path.read_bytes().splitlines()]


def batch(begin: int, size: int = 20) -> Batch:
    return Batch(
        [Message("s/pump", b"%d.5" % n, 10**9 * n) for n in range(begin, begin + size)], ""
    )


def run(script: list[Batch | Callable[[], object]], out: JsonLinesSink) -> None:
    """Play a script into a sink; the last turns give it time to connect again."""
    table = StreamSettings(topic="s/{name}", id="{name}", horizons=[1])
    source = ScriptedSource([*script, *[lambda: None] * 50])
    feed = [(source, StreamMap([table], JsonCodec()))]
    Pipeline(
        Journal(None), feed, [out], Observer(), instance="i", model=ModelSettings(units=8)
    ).run()


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting again is tried at every turn."""
    monkeypatch.setattr("streamlnn.pipeline.link.FIRST_PAUSE_SECS", 0.0)


def test_a_full_disk_is_waited_for_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A thousand forecasts while the disk is full come when another file is removed."""
    disk = tmp_path / "disk"
    with small_disk(disk):
        path, full = disk / "out.jsonl", list[int]()
        path.write_bytes((b'{"seq": -1, "room": "%s"}\n' % (b"x" * 975)) * 900)

        def make_room() -> None:
            full.extend(seqs(path))
            os.truncate(path, 0)

        run([*(batch(n) for n in range(0, 1200, 20)), make_room], sink(path))
        assert 1000 < len(full) < 2000
        assert [seq for seq in [*full, *seqs(path)] if seq >= 0] == list(range(1200))
    assert caplog.text.count("cannot write") == 1
    assert caplog.text.count("sink 'jsonl': connected") == 1


def test_a_full_disk_after_copytruncate_leaves_no_zeros(tmp_path: Path) -> None:
    """What is taken back is what was written last, wherever the file ends by then."""
    path = tmp_path / "out.jsonl"
    out = connected(path)
    out.write(outputs(5))
    out.flush(0.0)
    os.truncate(path, 0)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        out.write(outputs(1, first=5))
        with pytest.raises(NotConnected):
            out.flush(0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b""


WHOLE = b'{"seq": 0}\n{"seq": 1}\n'


@pytest.mark.parametrize(
    ("tail", "kept"),
    [
        (b"\0" * 5000, [0, 1]),
        (b'{"seq": 2' + b"\0" * 5000, [0, 1]),
        (b"\0" * 5000 + b'": 3}\n{"seq": 4}\n', [0, 1]),
        (b'{"seq": 2}\n' + b"\0" * 200_000 + b'}\n{"seq": 4}\n{"se', [0, 1, 2]),
    ],
    ids=["zeros", "half a line and zeros", "zeros before lines", "lines around zeros"],
)
def test_zeros_of_a_power_cut_are_cut_off_at_the_next_start(
    tmp_path: Path, tail: bytes, kept: list[int]
) -> None:
    """They were never confirmed, nor what is behind them; it is written again."""
    path = tmp_path / "out.jsonl"
    path.write_bytes(WHOLE + tail)
    out = connected(path)
    out.write(outputs(1, first=7))
    assert out.flush(0.0) == 1
    assert seqs(path) == [*kept, 7]
    out.close()


def test_renamed_deleted_and_cut_files_are_begun_anew(tmp_path: Path) -> None:
    """Whatever is done to the file between two batches, no line is torn and none is missing."""
    path, old = tmp_path / "out.jsonl", tmp_path / "out.jsonl.1"
    kept: list[int] = []

    def copytruncate() -> None:
        kept.extend(seqs(path))
        os.truncate(path, 0)

    def rename() -> None:
        path.rename(old)

    def delete() -> None:
        kept.extend(seqs(old) + seqs(path))
        path.unlink()

    run([batch(0), copytruncate, batch(20), rename, batch(40), delete, batch(60)], sink(path))
    assert kept + seqs(path) == list(range(80))


def test_a_folder_that_is_removed_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The way out is told once; when the folder is there again, so are the lines."""
    folder = tmp_path / "out"
    folder.mkdir()
    path, kept = folder / "out.jsonl", []

    def remove() -> None:
        kept.extend(seqs(path))
        path.unlink()
        folder.rmdir()

    run([batch(0), remove, batch(20), batch(40), folder.mkdir, batch(60)], sink(path))
    assert kept + seqs(path) == list(range(80))
    assert caplog.text.count("No such file or directory; create its folder") == 1


def test_rights_that_are_taken_away_are_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the folder nor the file may be looked at for a while."""
    with open_folder() as folder, ordinary_user():
        inner = folder / "inner"
        inner.mkdir()
        path = inner / "out.jsonl"
        take_away, give_back = (lambda: inner.chmod(0)), (lambda: inner.chmod(0o700))
        run([batch(0), take_away, batch(20), batch(40), give_back, batch(60)], sink(path))
        assert seqs(path) == list(range(80))
    assert caplog.text.count("Permission denied; let the daemon's user write there") == 1


def test_a_file_that_another_one_writes_to_is_left_to_it(tmp_path: Path) -> None:
    """Two daemons on one file would cut off each other's lines; the second one waits."""
    path = tmp_path / "out.jsonl"
    first, second = connected(path), sink(path)
    with pytest.raises(NotConnected, match="another streamlnn: give the sink a file of its own"):
        second.connect()
    first.write(outputs(1))
    assert first.flush(0.0) == 1
    first.close()
    second.connect()
    second.write(outputs(1, first=1))
    assert second.flush(0.0) == 1
    assert seqs(path) == [0, 1]
    second.close()
