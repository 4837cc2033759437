"""After a crash: the newest sound snapshots, and the log behind them done once more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from streamlnn.model.records import Record
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream, restore
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
    for lsn, records in _blocks(journal, lives, outputs_after):
        beat()
        live = lives[records[0][1].stream]
        if lsn <= outputs_after:
            live.catch_up(records)
        else:
            outputs += [
                output for number, record in records for output in live.step(number, record)
            ]
    for name, live in lives.items():
        if live.lsn < live.row.last_lsn:
            raise damaged(f"record {live.row.last_lsn} of stream {name!r} is missing")
    outputs.sort(key=lambda output: output.lsn or 0)
    return lives, outputs


def _blocks(
    journal: Journal, lives: dict[str, LiveStream], outputs_after: int
) -> Iterator[tuple[int, list[tuple[int, Record]]]]:
    """Yield what is to be redone, a stream's records in order, each block behind its last number.

    No block goes over the number `outputs_after`.
    """
    known = {name: live.lsn for name, live in lives.items()}
    behind = [live.lsn for live in lives.values() if live.lsn < live.row.last_lsn]
    waiting: dict[str, list[tuple[int, Record]]] = defaultdict(list)
    confirmed = True
    for lsn, record in journal.records_after(min(behind), known) if behind else ():
        if confirmed and lsn > outputs_after:
            confirmed = False
            yield from ((block[-1][0], block) for block in waiting.values())
            waiting.clear()
        block = waiting[record.stream]
        block.append((lsn, record))
        if len(block) == BLOCK:
            yield lsn, waiting.pop(record.stream)
    yield from ((block[-1][0], block) for block in waiting.values())
