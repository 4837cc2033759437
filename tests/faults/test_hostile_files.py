"""Files and payloads made to be run or to fill the memory.

Injected: pickles whose loading would create a file, of every protocol, wherever bytes are read: as
a payload, a model's file, a snapshot in a store, `state import`, a recording; and recordings of
some kilobytes that decompress to a line of 64 MiB.

Must hold: each is refused or dropped with a reason, the file is never created, and the memory in
use stays within a few lines.
"""

from __future__ import annotations

import gzip
import os
import pickle
import re
import sqlite3
import tracemalloc
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from connectors.codecs import CsvCodec, JsonCodec
from connectors.recordings import Recording
from streamlnn import Forecaster
from streamlnn.daemon.cli import cli
from streamlnn.errors import DecodeError, InputUnavailable, StateError
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.store import seal

ROOTS = [Path(__file__).parents[2] / name for name in ("streamlnn", "connectors", "benchmarks")]
UNSAFE = re.compile(
    r"\b(pickle|cPickle|dill|joblib|marshal|shelve|allow_pickle|cloudpickle)\b"
    r"|\btorch\.load\(|\byaml\.(unsafe_)?load\(|(?<![.\w])(eval|exec)\(|np\.load\("
)
ALLOWED = re.compile(r"^\s*#|never pickle|no pickle|without pickle")


class Bomb:
    """Loading it creates a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self._path),)


@pytest.fixture(params=range(pickle.HIGHEST_PROTOCOL + 1))
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[bytes, Path]:
    """A pickle, and what would be there if somebody had loaded it."""
    mark = tmp_path / "loaded"
    made = pickle.dumps(Bomb(mark), protocol=request.param)
    pickle.loads(made)
    mark.rmdir()  # it works
    return made, mark


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.name)
def test_no_code_reads_what_could_run(root: Path) -> None:
    for path in root.rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not UNSAFE.search(line) or ALLOWED.search(line.lower()), f"{path}: {line}"


def test_a_pickle_is_never_loaded_wherever_it_comes_in(
    bomb: tuple[bytes, Path], tmp_path: Path
) -> None:
    made, mark = bomb
    for codec in (JsonCodec(), CsvCodec()):
        with suppress(DecodeError):
            codec.decode(Message("t", made, None, ("a",)))
    file = tmp_path / "model.slnn"
    file.write_bytes(made)
    with pytest.raises(StateError):
        Forecaster.load(file)
    for name in ("recording.csv", "recording.jsonl"):
        (tmp_path / name).write_bytes(made)
        with suppress(InputUnavailable):
            list(Recording(tmp_path / name).entries())
    assert not mark.exists()


def test_a_pickle_in_a_store_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As a snapshot with its right checksum, and by `state import`."""
    store, mark = tmp_path / "store", tmp_path / "loaded"
    recording = tmp_path / "pump.csv"
    recording.write_text("\n".join(["time,flow", *(f"{n},{n % 7}" for n in range(40)), ""]))
    run = CliRunner().invoke
    assert run(cli, ["replay", str(recording), "--into", str(store)]).exit_code == 0
    made = pickle.dumps(Bomb(mark))
    with closing(sqlite3.connect(store / "journal.db")) as db, db:
        db.create_function("seal", -1, seal)
        changed = db.execute(
            "UPDATE snapshots SET state = ?1, crc = seal(stream, lsn, ?2)", (made, made[-32:])
        )
        assert changed.rowcount > 0
    (tmp_path / "x.slnn").write_bytes(made)
    told = run(cli, ["state", "import", str(tmp_path / "x.slnn"), str(store)])
    assert told.exit_code != 0
    run(cli, ["state", "show", "pump", str(store)])
    assert run(cli, ["replay", str(recording), "--into", str(store)]).exit_code == 69
    assert "snapshot 40 is unsound, left out" in caplog.text
    assert not mark.exists()


def test_a_decompression_bomb_takes_no_more_memory_than_a_line(tmp_path: Path) -> None:
    path = tmp_path / "pump.csv.gz"
    with gzip.open(path, "wb", 6) as out:
        out.write(b"time,flow\n1,2\n")
        for _ in range(64):
            out.write(bytes([65]) * (1 << 20))
        out.write(b"\n3,4\n")
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    try:
        recording = Recording(path)
        payloads = [message.payload for message, _ in recording.entries()]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert payloads == [b"1,2", b"3,4"]
    assert recording.dropped == 1
    assert peak < 8 << 20
