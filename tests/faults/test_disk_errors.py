"""Failing disks. Injected: one operation of the disk fails, as on a full disk or a bad sector; a
file system of 3 MB that is full for real. Must hold: nothing is acknowledged after it, the process
ends with the way out, and the next start goes on with nothing lost.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import apsw
import pytest
from lossy_disk import LossyDisk, journals_on
from runs import BrokerLike, batches, limited, often, pipeline, said, uncut

from streamlnn.errors import StoreError
from streamlnn.pipeline.testing import CollectingSink

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    often(monkeypatch, records=15)


@pytest.mark.parametrize("error", [apsw.IOError, apsw.FullError], ids=["EIO", "ENOSPC"])
def test_one_failing_operation_costs_nothing(error: type[Exception]) -> None:
    """Every eleventh has its turn; then a restart, after EIO with what was synced alone."""
    items = batches(40)
    reference, chance = said(uncut(items).durable), random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        with journals_on(LossyDisk()) as whole:
            pipeline(Path(name), BrokerLike(items), CollectingSink()).run()
        for at in range(1, whole.count + 1, 11):
            disk, source, sink = LossyDisk(), BrokerLike(items), CollectingSink()
            disk.error_at, disk.error = at, error
            with journals_on(disk), suppress(StoreError):
                limited(pipeline(Path(name), source, sink)).run()
            acked = len(source.acks)
            disk = disk.power_cut(chance) if error is apsw.IOError else disk.stopped()
            with journals_on(disk):
                pipeline(Path(name), source, sink).run()
            assert said(sink.durable) == reference, f"operation {at}"
            assert acked <= len(source.acks)


def test_an_error_of_the_disk_tells_the_way_out() -> None:
    items = batches(40)
    with tempfile.TemporaryDirectory() as name:
        for error, words in ((apsw.FullError, "make room on the disk"), (apsw.IOError, "fails")):
            disk = LossyDisk()
            disk.error_at, disk.error = 30, error
            with journals_on(disk), pytest.raises(StoreError, match=words):
                pipeline(Path(name), BrokerLike(items), CollectingSink()).run()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB; where we may not mount, a limit to the size of files."""
    where = tmp_path / "small"
    where.mkdir()
    if os.geteuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=3m,mode=700", "tmpfs", str(where)],
        stderr=subprocess.DEVNULL,
    ):
        yield where
        subprocess.check_call(["umount", str(where)])
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    yield where
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_that_is_really_full_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    """The store fills it; the daemon ends, starts in vain, and goes on where there is room."""
    items = batches(4_000, 500)
    source, sink = BrokerLike(items), CollectingSink()
    ballast = small_disk / "ballast"
    folder = small_disk / "store"
    pipeline(folder, BrokerLike(items[:1]), CollectingSink(id="before")).run()
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    for _ in range(3):
        with pytest.raises(StoreError):
            limited(pipeline(folder, source, sink)).run()
    ballast.unlink()
    moved = tmp_path / "store"
    shutil.copytree(folder, moved)
    pipeline(moved, source, sink).run()
    whole = uncut(items)
    assert said(sink.durable).items() <= said(whole.durable).items()
    assert set(said(whole.durable)) == set(said(sink.durable)) | set(said(uncut(items[:1]).durable))
