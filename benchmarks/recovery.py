"""What a crash costs, and what it costs to be ready for one: recovery and snapshots.

A pipeline learns so many streams from a scripted source and is cut off. Recovery first loads the
states and then redoes the records behind them; that second part is timed beside `Forecaster.replay`
on the same records from the same states, in turns; medians. A snapshot's pause is how long a turn
of the loop is held up by it, its commit to the disk included.
"""

from __future__ import annotations

import json
import math
import statistics
import tempfile
import time
from collections import defaultdict
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.common import figure, markdown, quick_option
from connectors.codecs import JsonCodec
from streamlnn.model import stepping
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.live import restore
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.recovery import BLOCK, recover
from streamlnn.pipeline.snapshots import Snapshots
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import ABORT, Abort, CollectingSink, ScriptedSource

TABLE = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix"}}
EVERYTHING = 2**62
AT_ONCE = 256


def messages(count: int, streams: int) -> list[Any]:
    """Return `count` records of so many streams, in batches."""
    made = [
        Message(
            f"s/{n % streams}",
            json.dumps({"t": n // streams, "v": math.sin(n / 50)}).encode(),
            10**9 * n,
        )
        for n in range(count)
    ]
    return [Batch(made[at : at + AT_ONCE], "") for at in range(0, count, AT_ONCE)]


def cut_off(folder: Path, items: list[Any]) -> list[float]:
    """Run until the script aborts; return the milliseconds that turns with snapshots took."""
    pauses: list[float] = []
    original = Snapshots._write

    def timed(self: Snapshots, lives: Any) -> None:
        began = time.perf_counter()
        original(self, lives)
        if lives:
            pauses.append(1e3 * (time.perf_counter() - began))

    Snapshots._write = timed  # type: ignore[method-assign]
    pipeline = Pipeline(
        Journal(folder),
        [
            (
                ScriptedSource([*items, ABORT]),
                StreamMap([StreamSettings(**TABLE)], JsonCodec()),
            )
        ],
        [CollectingSink()],
        Observer(),
        instance="bench",
        model=ModelSettings(),
    )
    with suppress(Abort):
        pipeline.run()
    Snapshots._write = original  # type: ignore[method-assign]
    return pauses


def replayed(journal: Journal) -> tuple[int, float, float]:
    """Replay in the model what recovery has to redo.

    Returns how many records those are, the seconds to load the states, and the seconds to replay.
    """
    began = time.perf_counter()
    lives = {name: restore(row, journal, "") for name, row in journal.streams().items()}
    loaded = time.perf_counter() - began
    todo: dict[str, list[Any]] = defaultdict(list)
    for row in journal.rows_after(0, {name: live.lsn for name, live in lives.items()}):
        todo[row[1]].append(row)
    plans = [
        (
            lives[name].forecaster,
            np.array([row[2] for row in rows]) / 1e9,
            np.frombuffer(b"".join(row[4] for row in rows)),
        )
        for name, rows in todo.items()
    ]
    began = time.perf_counter()
    for model, times, values in plans:
        for at in range(0, len(times), BLOCK):
            model.replay(times[at : at + BLOCK], values[at : at + BLOCK])
    return sum(map(len, todo.values())), loaded, time.perf_counter() - began


def recovered(journal: Journal) -> float:
    """Return the seconds that recovery takes."""
    began = time.perf_counter()
    recover(journal, "", outputs_after=EVERYTHING, beat=lambda: None)
    return time.perf_counter() - began


def row(streams: int, count: int, rounds: int) -> list[str]:
    """Return a line of the table."""
    with tempfile.TemporaryDirectory() as name:
        pauses = cut_off(Path(name), messages(count, streams))
        with closing(Journal(Path(name))) as journal:
            found = [(*replayed(journal), recovered(journal)) for _ in range(rounds)]
    count = found[0][0]
    loaded, secs = (statistics.median(one[k] for one in found) for k in (1, 3))
    redone = statistics.median(recovery - loading for _, loading, _, recovery in found)
    ratio = statistics.median(
        replay / (recovery - loading) for _, loading, replay, recovery in found
    )
    told = [f"{np.percentile(pauses, q):.1f} ms" if pauses else "-" for q in (50, 99)]
    return [
        f"{streams:,} streams",
        f"{secs:.2f} s",
        f"{loaded:.2f} s",
        f"{count:,}",
        f"{count / redone:,.0f}/s",
        figure(ratio),
        *told,
    ]


@click.command(help=__doc__)
@quick_option
def main(quick: bool) -> None:
    """Print the table."""
    stepping.warm()
    plans = [(20, 28_000), (200, 60_000), (1_000, 62_000)]
    rows = [
        row(streams, count // (10 if quick else 1), 1 if quick else 5) for streams, count in plans
    ]
    header = [
        "what",
        "recovery",
        "of it loading",
        "records redone",
        "rate",
        "of replay (0.7 wanted)",
        "snapshot pause",
        "99 %",
    ]
    click.echo(markdown(header, rows))


if __name__ == "__main__":
    main()
