"""After a crash: the newest sound snapshots, the log behind them, and what was not confirmed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import LiveStream, restore
from streamlnn.pipeline.outbox import Outbox

BEAT_EVERY = 500


def recover(
    journal: Journal, instance: str, *, outputs_after: int, beat: Callable[[], None]
) -> tuple[dict[str, LiveStream], list[Output]]:
    """Return every stream as it stood when the log ended, and the outputs of the redone steps.

    Outputs up to the log number `outputs_after` are left out: every sink has confirmed them.
    `beat` is called now and then: whoever watches shall see that this is work, not a standstill.
    """
    lives = {name: restore(row, journal, instance) for name, row in journal.streams().items()}
    behind = [live.lsn for live in lives.values() if live.lsn < live.row.last_lsn]
    outputs: list[Output] = []
    if behind:
        for lsn, record in journal.records_after(min(behind)):
            if lsn % BEAT_EVERY == 0:
                beat()
            if lsn > lives[record.stream].lsn:
                made = lives[record.stream].step(lsn, record)
                outputs += made if lsn > outputs_after else []
    return lives, outputs


def refill(outbox: Outbox, kept: Iterable[Output], redone: list[Output]) -> None:
    """Give a sink again what it had not confirmed: what a snapshot passed, and what was redone."""
    known = {(output.lsn, output.payload) for output in redone}
    missing = [output for output in kept if (output.lsn, output.payload) not in known]
    outbox.add(sorted([*missing, *redone], key=lambda output: output.lsn or 0))
