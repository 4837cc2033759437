"""What was heard of line protocol, as Telegraf publishes it: which series, how often, and when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from streamlnn.errors import DecodeError
from streamlnn.pipeline.contract import Codec, Message, Tree
from streamlnn.pipeline.trees import MISSING, lookup, numeric_paths

FORMAT = "influx"
"""The codec that reads it."""

_LINES = 100
_SERIES = 100
_ARRIVALS = 100


@dataclass
class Points:
    """Line protocol on one topic: payloads of one point, `alone`, and those of several, `batched`.

    `untimed` of the points told no time, and `numeric` held a number; `arrivals` are nanoseconds
    UTC, of each series its own, `times` the stamps that were new, each with its arrival.
    """

    alone: int = 0
    batched: int = 0
    untimed: int = 0
    numeric: int = 0
    times: list[tuple[Any, int]] = field(default_factory=list)
    arrivals: dict[str, list[int]] = field(default_factory=dict)

    def take(self, message: Message, codec: Codec) -> bool:
        """Count a payload; tell whether it is line protocol and nothing else."""
        try:
            trees = [*_trees(message, codec)]
        except DecodeError:
            return False
        self.alone += len(trees) == 1
        self.batched += len(trees) > 1
        for tree in trees:
            self._point(tree, message.received or 0)
        return bool(trees)

    def _point(self, tree: Tree, received: int) -> None:
        self.numeric += any(path != "time" for path in numeric_paths(tree, as_text=False))
        series = str(lookup(tree, "_series"))
        if series in self.arrivals or len(self.arrivals) < _SERIES:
            times = self.arrivals.setdefault(series, [])
            if len(times) < _ARRIVALS:
                times.append(received)
        stamp = lookup(tree, "time")
        self.untimed += stamp is MISSING
        # Telegraf sends many series of one moment: only the next moment tells that a clock goes.
        if stamp is not MISSING and (not self.times or self.times[-1][0] != stamp):
            self.times.append((stamp, received))


def _trees(message: Message, codec: Codec) -> Iterator[Tree]:
    """Yield what each line says; one payload may have several, which the daemon would refuse."""
    lines = [line for line in message.payload.split(b"\n", _LINES) if line.strip()]
    for line in lines[:_LINES]:
        if not line.startswith(b"#"):
            yield codec.decode(Message(message.origin, line, message.received))
