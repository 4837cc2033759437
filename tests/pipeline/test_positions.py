"""Where the sources stand: the text that was saved last, at the cost of what changed in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.positions import SCHEMA, Positions
from streamlnn.pipeline.testing import Abort

TEXTS = some.lists(some.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=5).map("\n".join)


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as made:
        made.executescript(SCHEMA)
        yield made


@settings(deadline=None)
@given(saved=some.lists(some.tuples(some.sampled_from(["s", "t"]), TEXTS, some.booleans())))
def test_the_text_saved_last_comes_back(saved: list[tuple[str, str, bool]]) -> None:
    """Whatever was there before, with more lines or fewer, and over restarts."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(SCHEMA)
        positions, newest = Positions(db), dict[str, str]()
        for source, text, restarts in saved:
            positions = Positions(db) if restarts else positions
            positions.save(source, text)
            newest[source] = text
            assert {name: positions.of(name) for name in newest} == newest


def test_only_lines_that_changed_are_written(db: sqlite3.Connection) -> None:
    """One file of a thousand that grew costs one row."""
    positions, lines = Positions(db), [f"file {n}" for n in range(1000)]
    positions.save("s", "\n".join(lines))
    before = db.total_changes
    positions.save("s", "\n".join([*lines[:500], "grown", *lines[501:]]))
    assert db.total_changes - before == 1
    assert positions.of("s") == "\n".join([*lines[:500], "grown", *lines[501:]])


def test_a_forgotten_source_is_new(db: sqlite3.Connection) -> None:
    """None of its lines stays behind."""
    positions = Positions(db)
    positions.save("s", "a\nb")
    positions.forget("s")
    assert positions.of("s") is None
    positions.save("s", "c")
    assert positions.of("s") == "c"


def test_what_was_rolled_back_is_written_again(tmp_path: Path) -> None:
    """The lines of a transaction that failed count as never written."""
    journal = Journal(tmp_path)

    def save(position: str, *, killed: bool) -> None:
        with journal.transaction():
            journal.save_position("s", position)
            if killed:
                raise Abort

    save("head\none", killed=False)
    with pytest.raises(Abort):
        save("head\ntwo", killed=True)
    assert journal.position("s") == "head\none"
    save("head\ntwo", killed=False)
    assert journal.position("s") == "head\ntwo"
    journal.close()
