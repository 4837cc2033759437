"""Where the sources stand: the text that was saved last, at the cost of what changed in it."""

from __future__ import annotations

import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.testing import Abort

TEXTS = some.lists(some.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=5).map("\n".join)


def save(journal: Journal, source: str, position: str) -> None:
    with journal.transaction():
        journal.save_position(source, position)


@settings(deadline=None, max_examples=50)
@given(saved=some.lists(some.tuples(some.sampled_from(["s", "t"]), TEXTS, some.booleans())))
def test_the_text_saved_last_comes_back(saved: list[tuple[str, str, bool]]) -> None:
    """Whatever was there before, with more lines or fewer, and over restarts."""
    with tempfile.TemporaryDirectory() as folder:
        journal, newest = Journal(Path(folder)), dict[str, str]()
        for source, text, restarts in saved:
            if restarts:
                journal.close()
                journal = Journal(Path(folder))
            save(journal, source, text)
            newest[source] = text
            assert {name: journal.position(name) for name in newest} == newest
        journal.close()


def test_only_lines_that_changed_are_written() -> None:
    """One file of a thousand that grew costs one row."""
    with closing(Journal(None)) as journal:
        lines = [f"file {n}" for n in range(1000)]
        save(journal, "s", "\n".join(lines))
        before = journal._db.total_changes
        lines[500] = "grown"
        save(journal, "s", "\n".join(lines))
        assert journal._db.total_changes - before == 1
        assert journal.position("s") == "\n".join(lines)


def test_a_forgotten_source_is_new() -> None:
    """None of its lines stays behind."""
    with closing(Journal(None)) as journal:
        save(journal, "s", "a\nb")
        with journal.transaction():
            journal.forget_position("s")
        assert journal.position("s") is None
        save(journal, "s", "c")
        assert journal.position("s") == "c"


def test_what_was_rolled_back_is_written_again(tmp_path: Path) -> None:
    """The lines of a transaction that failed count as never written."""

    def killed(position: str) -> None:
        with journal.transaction():
            journal.save_position("s", position)
            raise Abort

    with closing(Journal(tmp_path)) as journal:
        save(journal, "s", "head\none")
        with pytest.raises(Abort):
            killed("head\ntwo")
        assert journal.position("s") == "head\none"
        save(journal, "s", "head\ntwo")
        assert journal.position("s") == "head\ntwo"
