"""After a crash: the newest sound snapshots, and the log behind them done once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal, LogRow
from streamlnn.pipeline.live import LiveStream, record_of, restore
from streamlnn.pipeline.store import damaged

BLOCK = 512
"""So many records of a stream are redone in one go, where nobody waits for their forecasts."""


def recover(
    journal: Journal, instance: str, *, outputs_after: int, beat: Callable[[], None]
) -> tuple[dict[str, LiveStream], list[Output]]:
    """Return every stream as it stood when the log ended, and the outputs of the redone steps.

    Outputs up to the log number `outputs_after` are left out: every sink has confirmed them.
    `beat` is called now and then: whoever watches shall see that this is work, not a standstill.
    Raises `StoreError` when a record that has to be redone is damaged or missing.
    """
    lives = {}
    for name, row in journal.streams().items():
        beat()
        lives[name] = restore(row, journal, instance)
    outputs: list[Output] = []
    for rows in _blocks(journal, lives, outputs_after):
        beat()
        live = lives[rows[0][1]]
        if rows[-1][0] <= outputs_after:
            live.catch_up(rows)
        else:
            for one in rows:
                outputs += live.step(one[0], record_of(one))
    for name, live in lives.items():
        if live.lsn < live.row.last_lsn:
            raise damaged(f"record {live.row.last_lsn} of stream {name!r} is missing")
    outputs.sort(key=lambda output: output.lsn or 0)
    return lives, outputs


def _blocks(
    journal: Journal, lives: dict[str, LiveStream], outputs_after: int
) -> Iterator[list[LogRow]]:
    """Yield what is to be redone, in blocks of one stream, a stream's records in order.

    No block goes over the number `outputs_after`.
    """
    known = {name: live.lsn for name, live in lives.items()}
    behind = [live.lsn for live in lives.values() if live.lsn < live.row.last_lsn]
    waiting: dict[str, list[LogRow]] = defaultdict(list)
    confirmed = True
    for row in journal.rows_after(min(behind), known) if behind else ():
        if confirmed and row[0] > outputs_after:
            confirmed = False
            yield from waiting.values()
            waiting.clear()
        block = waiting[row[1]]
        block.append(row)
        if len(block) == BLOCK:
            yield waiting.pop(row[1])
    yield from waiting.values()
