"""Row "memory and descriptors" of the fault matrix, the short part: what comes back leaves nothing.

Injected: twenty rotations, twenty connects of the same source and sink, twenty whole runs of a
pipeline in one process.

Must hold: the number of open descriptors is the same from the second time on, and no objects pile
up. An hour under load is the soak's part.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from runs import pipeline
from tails import Writer, drain, tail

from connectors.jsonl import JsonLinesSettings, JsonLinesSink
from connectors.tail import TailSettings, TailSource
from streamlnn.pipeline.contract import Context
from streamlnn.pipeline.testing import outputs


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def objects() -> int:
    gc.collect()
    return len(gc.get_objects())


@contextmanager
def rotations(folder: Path) -> Iterator[Callable[[], None]]:
    """A followed file is rotated, read, and let go; of the old ones three are kept."""
    writer = Writer(folder / "x.csv", b"t,v\n")
    source = tail(writer.path, rotate_wait="1us")

    def again() -> None:
        writer.write_whole()
        drain(source)
        writer.rename()
        (folder / "x.csv.4").unlink(missing_ok=True)
        for _ in range(3):
            drain(source)
        writer.written.clear()

    yield again
    source.close()
    writer.close()


@contextmanager
def connects(folder: Path) -> Iterator[Callable[[], None]]:
    """A source and a sink connect again and again."""
    writer = Writer(folder / "x.csv", b"t,v\n")
    source = tail(writer.path)
    sink = JsonLinesSink(JsonLinesSettings(path=str(folder / "out.jsonl")), Context())

    def again() -> None:
        writer.write_whole()
        [batch] = drain(source)
        source.connect(batch.position)
        sink.connect()
        sink.write(outputs(1))
        sink.flush(0.0)
        writer.written.clear()

    yield again
    source.close()
    sink.close()
    writer.close()


@contextmanager
def runs(folder: Path) -> Iterator[Callable[[], None]]:
    """A pipeline with a journal on disk begins, reads, and ends."""
    (folder / "x.jsonl").write_bytes(b'{"t": 1, "v": 2}\n')

    def again() -> None:
        settings = TailSettings(paths=[str(folder / "x.jsonl")], start="saved-or-begin")
        sink = JsonLinesSink(JsonLinesSettings(path=str(folder / "out.jsonl")), Context())
        table = {"topic": None, "id": "{stem}"}
        made = pipeline(folder / "data", TailSource(settings, Context()), sink, table)
        made.stop.set()
        made.run()

    yield again


@pytest.mark.parametrize("make", [rotations, connects, runs], ids=lambda make: make.__name__)
def test_the_twentieth_time_leaves_as_much_as_the_second(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[Callable[[], None]]]
) -> None:
    with make(tmp_path) as again:
        for _ in range(6):
            again()
        before = objects(), descriptors()
        for _ in range(20):
            again()
        after = objects(), descriptors()
    assert after[1] == before[1]
    assert after[0] - before[0] < 40
