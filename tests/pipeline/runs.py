"""Whole runs of a pipeline on scripted input, and what they said."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from connectors.codecs import JsonCodec
from streamlnn.pipeline import loop, outbox, recovery, snapshots, store
from streamlnn.pipeline.contract import Batch, Message, Output
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import Abort, CollectingSink, ScriptedSource

MODEL = ModelSettings(units=8)
TABLE = {"topic": "s/{name}", "id": "{name}", "time": {"path": "t", "format": "unix"}}


def payload(time: int, value: float) -> bytes:
    return json.dumps({"t": time, "v": value}).encode()


def message(n: int) -> Message:
    """Two streams, one of them at half the pace."""
    name = "slow" if n % 3 == 0 else "fast"
    return Message(f"s/{name}", payload(n, math.sin(n / 5) + n % 7), 10**9 * n)


def batches(count: int, size: int = 5) -> list[Batch]:
    messages = [message(n) for n in range(count)]
    return [Batch(messages[at : at + size], "") for at in range(0, count, size)]


def often(patch: pytest.MonkeyPatch, records: int) -> None:
    """Let checkpoints, snapshots and full memories come so often that short runs meet them all.

    A snapshot is due after so many `records`.
    """
    patch.setattr(store, "AUTOCHECKPOINT_PAGES", 20)
    patch.setattr(snapshots, "REDO_LIMIT", records)
    patch.setattr(loop, "RECOVERED_LIMIT", 15)
    patch.setattr(loop, "IDLE_SECS", 0.0)
    patch.setattr(outbox, "WINDOW", 7)
    patch.setattr(outbox, "FULL", 25)
    patch.setattr(recovery, "BLOCK", 4)


class BrokerLike(ScriptedSource):
    """Forgets where it stood: after a restart it sends again all that was not acknowledged."""

    def connect(self, position: str | None) -> None:
        super().connect(self.acks[-1] if self.acks else None)


def pipeline(
    folder: Path | None, source: Any, sink: Any, table: dict[str, Any] | None = None, **more: Any
) -> Pipeline:
    streams = StreamMap([StreamSettings(**{**TABLE, **(table or {})})], JsonCodec())
    observer = more.pop("observer", Observer())
    with ExitStack() as held:
        # On a damaged journal not even a pipeline can be made.
        journal = held.enter_context(closing(Journal(folder)))
        made = Pipeline(
            journal, [(source, streams)], [sink], observer, instance="i", model=MODEL, **more
        )
        held.pop_all()
    return made


def said(outputs: Sequence[Output]) -> dict[tuple[str, int, int], set[bytes]]:
    """Every forecast by its identity; more than one value would be a broken promise."""
    found: dict[tuple[str, int, int], set[bytes]] = {}
    for output in outputs:
        if output.kind == "forecast":
            told = json.loads(output.payload)
            found.setdefault((told["stream"], told["epoch"], told["seq"]), set()).add(
                output.payload
            )
    return found


def events(outputs: Sequence[Output]) -> set[bytes]:
    return {output.payload for output in outputs if output.kind == "event"}


def uncut(items: Sequence[Any]) -> CollectingSink:
    sink = CollectingSink()
    pipeline(None, ScriptedSource(items), sink).run()
    return sink


def run_to_the_end(
    folder: Path, source: Any, sink: Any, table: dict[str, Any] | None = None
) -> int:
    """Restart after each kill until the script is through; return how often that was."""
    kills = 0
    while True:
        try:
            pipeline(folder, source, sink, table).run()
        except Abort:
            kills += 1
        else:
            return kills


def limited(made: Pipeline) -> Pipeline:
    """A pipeline that gives up at once at its end on a sink that confirms nothing."""
    made.drain_secs = 0.0
    return made
