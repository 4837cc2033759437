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
import time
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
from streamlnn.model.records import NANOSECONDS
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


HEARD = (
    b'{"topic":"a","qos":0,"retain":0,"payloadlen":1,"payload":"%d","tst":"%s"}\n',
    [
        b"0001-01-01T00:00:00+2359",
        b"9999-12-31T23:59:59.9-2359",
        b"2262-04-11T23:47:16.854775808Z",
        b"2026-13-01T00:00:00Z",
        b"1969-12-31T23:59:59Z",
    ],
)
OURS = (
    b'{"source":"s","topic":"a","payload":"%d","received":"%s"}\n',
    [
        b"9999-01-01T00:00:00Z",
        b"0001-01-01T00:00:00Z",
        b"2262-04-11T23:47:16.854775808Z",
        b"2026-01-01T00:00:00.00000000000000000000000000000e99Z",
        b"2026-01-01T00:00:00." + b"9" * 5000 + b"e99Z",
        b"2026-01-01T00:00:00.x",
        b"2026-01-01T00:00:00+02:00",
        b"soon",
    ],
)


@pytest.mark.parametrize(
    ("line", "bad"), [(line, bad) for line, ones in (HEARD, OURS) for bad in ones]
)
def test_a_moment_that_no_journal_can_keep_costs_its_line(
    tmp_path: Path, line: bytes, bad: bytes
) -> None:
    """A recording from elsewhere may tell any time."""
    path, last = tmp_path / "recording", b"2262-04-11T23:47:16.854775807Z"
    path.write_bytes(line % (1, last) + line % (2, bad) + line % (3, last))
    recording = Recording(path)
    heard = [(message.payload, message.received) for message, _ in recording.entries()]
    assert heard == [(b"1", 2**63 - 1), (b"3", 2**63 - 1)]
    assert recording.dropped == 1


@pytest.mark.parametrize("bad", [b"1e999980", b"-1e999980", b"1e-999980", b"nan", b"inf"])
def test_a_number_as_a_moment_costs_no_time(tmp_path: Path, bad: bytes) -> None:
    """A few letters may name a number of a million digits."""
    path = tmp_path / "recording"
    path.write_bytes(b"topic,message,time_now\na,1,1\na,2,%s\n" % bad)
    recording, before = Recording(path), time.process_time()
    heard = [message.received for message, _ in recording.entries()]
    assert heard == ([NANOSECONDS, 0] if bad == b"1e-999980" else [NANOSECONDS])
    assert time.process_time() - before < 1


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
