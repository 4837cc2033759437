"""Corrupt files. Injected: bits flipped, blocks zeroed, ends cut off and pages swapped, in 1,000
places (`make soak`: 3,000) of a store that a kill has left behind, every table having its turn.
Must hold: found and told, or made good from an older snapshot; never a wrong forecast, nor an error
without a way out.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import apsw
import pytest
from runs import batches, limited, pipeline, said, uncut

from streamlnn.errors import StoreError
from streamlnn.pipeline import loop, snapshots
from streamlnn.pipeline.journal import FILE
from streamlnn.pipeline.store import open_file
from streamlnn.pipeline.testing import ABORT, Abort, CollectingSink, ScriptedSource

PLACES = int(os.environ.get("STREAMLNN_EXAMPLES", "500"))
RUNS = 40
"""Batches before the kill; three more come behind it."""

Damage = Callable[[bytearray, int, random.Random], None]


def flip_a_bit(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def change_a_byte(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] = chance.randrange(256)


def zero_a_block(data: bytearray, at: int, chance: random.Random) -> None:
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def zero_a_page(data: bytearray, at: int, chance: random.Random) -> None:
    start = at // 4096 * 4096
    data[start : start + 4096] = bytes(len(data[start : start + 4096]))


def swap_two_pages(data: bytearray, at: int, chance: random.Random) -> None:
    one, other = (n // 4096 * 4096 for n in (at, chance.randrange(len(data))))
    if len(data) >= max(one, other) + 4096:
        kept = data[one : one + 4096]
        data[one : one + 4096] = data[other : other + 4096]
        data[other : other + 4096] = kept


def cut_off_the_end(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at:]


DAMAGES: list[Damage] = [
    flip_a_bit,
    flip_a_bit,
    change_a_byte,
    zero_a_block,
    zero_a_page,
    swap_two_pages,
    cut_off_the_end,
]


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store as a kill leaves it: snapshots of two generations, and records behind them."""
    monkeypatch.setattr(snapshots, "REDO_LIMIT", 60)
    monkeypatch.setattr(loop, "RECOVERED_LIMIT", 10**9)
    monkeypatch.setattr(loop, "IDLE_SECS", 0.0)
    running, folder = tmp_path / "running", tmp_path / "killed"
    sink = CollectingSink()
    sink.holds = True
    script = [*items()[:RUNS], lambda: shutil.copytree(running, folder), ABORT]
    with suppress(Abort):
        limited(pipeline(running, ScriptedSource(script), sink)).run()
    return folder


def items() -> Any:
    return batches((RUNS + 3) * 5)


def pages_of(file: Path) -> dict[str, list[int]]:
    """The pages of each table and index, numbered from 1."""
    found: dict[str, list[int]] = {}
    with closing(apsw.Connection(str(file))) as db:
        for name, page in db.execute("SELECT name, pageno FROM dbstat"):
            found.setdefault(name, []).append(page)
    return found


def settled(folder: Path) -> Path:
    """The same store, all of it in the one file: SQLite's log has been taken over."""
    copy = folder.with_name("settled")
    shutil.copytree(folder, copy)
    with closing(sqlite3.connect(copy / FILE)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return copy


def without_syncing(folder: Path, durable: bool, read_only: bool) -> Any:
    """What is on the disk is the same, sooner."""
    return open_file(folder, durable=False, read_only=read_only)


@pytest.mark.timeout(1800)
def test_damage_is_told_or_made_good_and_never_learned_from(
    killed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference, chance, outcomes = said(uncut(items()).durable), random.Random(1), Counter[str]()
    whole = settled(killed)
    monkeypatch.setattr("streamlnn.pipeline.journal.open_file", without_syncing)
    pages = pages_of(whole / FILE)
    assert {"log", "snapshots", "positions", "outbox", "streams", "watermarks"} <= set(pages)
    names = sorted(pages)
    for n in range(PLACES):
        damage = DAMAGES[n % len(DAMAGES)]
        if n % 5 == 0:
            file = chance.choice([FILE, f"{FILE}-wal"])
            folder = damaged(killed, file, damage, None, chance, tmp_path)
        else:
            page = chance.choice(pages[names[n % len(names)]])
            folder = damaged(whole, FILE, damage, page, chance, tmp_path)
        outcomes[outcome(folder, reference, f"{damage.__name__}, {n}")] += 1
    assert outcomes["told"] > PLACES / 10, outcomes
    assert outcomes["made good"] > PLACES / 10, outcomes


def damaged(
    source: Path,
    name: str,
    damage: Damage,
    page: int | None,
    chance: random.Random,
    tmp_path: Path,
) -> Path:
    folder = tmp_path / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder)
    data = bytearray((folder / name).read_bytes())
    start, size = (0, len(data)) if page is None else ((page - 1) * 4096, 4096)
    damage(data, start + chance.randrange(size), chance)
    (folder / name).write_bytes(data)
    return folder


def outcome(folder: Path, reference: Any, what: str) -> str:
    """Start twice on it, as a service manager would; the words of an error are for people."""
    sink, words = CollectingSink(), list[str]()
    for _ in range(2):
        try:
            limited(pipeline(folder, ScriptedSource(items()), sink)).run()
        except StoreError as error:
            words.append(str(error))
    assert said(sink.durable).items() <= reference.items(), f"a wrong forecast after {what}"
    assert all("; " in one for one in words), "no way out"
    if not words:
        end = max(seq for _, _, seq in reference) - 4  # not said before the kill
        late = {identity for identity in reference if identity[2] >= end}
        assert late <= set(said(sink.durable)), f"forecasts are missing after {what}"
    return "told" if words else "made good"
