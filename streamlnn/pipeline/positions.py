"""Where the sources stand, line by line: what did not change is not written again.

A source that follows a thousand files gives each a line of its position. Written as a whole with
every batch they would wear the disk out, a quarter of a megabyte at a time.
"""

from __future__ import annotations

import sqlite3

SCHEMA = """
CREATE TABLE IF NOT EXISTS positions (
    source TEXT PRIMARY KEY, position TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS more_position (
    source TEXT NOT NULL, nth INTEGER NOT NULL, line TEXT NOT NULL, PRIMARY KEY (source, nth)
) WITHOUT ROWID;
"""


class Positions:
    """The positions in a journal's database; the caller holds the transaction.

    `positions` has the first line of each, `more_position` the others by their number.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._written: dict[str, list[str]] = {}

    def of(self, source: str) -> str | None:
        """Return where a source stands; None for a new one."""
        query = "SELECT position FROM positions WHERE source = ?"
        first = self._db.execute(query, (source,)).fetchone()
        if first is None:
            return None
        query = "SELECT line FROM more_position WHERE source = ? ORDER BY nth"
        return "\n".join([first[0], *(line for (line,) in self._db.execute(query, (source,)))])

    def save(self, source: str, position: str) -> None:
        """Note where a source stands. Costs what the lines cost that changed."""
        if source not in self._written:
            self.forget(source)
        lines, before = position.split("\n"), self._written.get(source, [])
        if lines[:1] != before[:1]:
            self._db.execute("INSERT OR REPLACE INTO positions VALUES (?, ?)", (source, lines[0]))
        changed = [
            (source, nth, line)
            for nth, line in enumerate(lines)
            if nth > 0 and (nth >= len(before) or line != before[nth])
        ]
        self._db.executemany("INSERT OR REPLACE INTO more_position VALUES (?, ?, ?)", changed)
        if len(lines) < len(before):
            query = "DELETE FROM more_position WHERE source = ? AND nth >= ?"
            self._db.execute(query, (source, len(lines)))
        self._written[source] = lines

    def forget(self, source: str) -> None:
        """Let a source begin anew."""
        self._written.pop(source, None)
        self._db.execute("DELETE FROM positions WHERE source = ?", (source,))
        self._db.execute("DELETE FROM more_position WHERE source = ?", (source,))

    def rolled_back(self) -> None:
        """Take note that what was saved last may not be there."""
        self._written = {}
