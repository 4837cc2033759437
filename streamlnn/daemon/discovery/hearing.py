"""What was heard of each topic: how often, when, and what its payloads hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streamlnn.daemon.discovery.payloads import look_into
from streamlnn.daemon.discovery.points import FORMAT, Points
from streamlnn.errors import DecodeError
from streamlnn.pipeline import plugins
from streamlnn.pipeline.contract import Codec, Message, Tree
from streamlnn.pipeline.trees import lookup, number

MOST_TOPICS = 5_000
"""More are counted, not kept: whoever can publish must not fill our memory."""
_LOOKS = 20
_ARRIVALS = 500
_OTHERS = 500
_OURS = {"instance", "stream"}


class Codecs(NamedTuple):
    """What payloads are read with: most as JSON, and line protocol by its own."""

    json: Codec
    points: Codec


@dataclass
class Topic:
    """One topic; `arrivals` are nanoseconds UTC, `stamps` by path, each with its arrival.

    `live` counts what came while we listened, `kept` what the broker had retained from before;
    of `looks` into payloads so many were `unreadable`, or messages of `ours`. What is line protocol
    is counted by `points`; `switches` are paths of what is true or false; of numbers the `first` is
    kept, and which of them `moved` since.
    """

    name: str
    live: int = 0
    kept: int = 0
    looks: int = 0
    unreadable: int = 0
    ours: int = 0
    arrivals: list[int] = field(default_factory=list)
    measured: Counter[str] = field(default_factory=Counter)
    diagnostic: Counter[str] = field(default_factory=Counter)
    stamps: dict[str, list[tuple[Any, int]]] = field(default_factory=dict)
    others: set[str] = field(default_factory=set)
    switches: set[str] = field(default_factory=set)
    first: dict[str, float] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    points: Points = field(default_factory=Points)

    def take(self, message: Message, codecs: Codecs) -> None:
        """Count a message; the first ones are looked into."""
        if message.retained:
            self.kept += 1
            return
        self.live += 1
        received = message.received or 0
        if len(self.arrivals) < _ARRIVALS:
            self.arrivals.append(received)
        if self.live <= _LOOKS:
            self._look(message, codecs, received)
        elif self.is_line_protocol and self.live <= _ARRIVALS:
            self.points.take(message, codecs.points)

    @property
    def is_line_protocol(self) -> bool:
        """Tell whether most of what was looked into is line protocol, which its codec reads."""
        return 2 * (self.points.alone + self.points.batched) > self.looks

    def _look(self, message: Message, codecs: Codecs, received: int) -> None:
        self.looks += 1
        try:
            tree = codecs.json.decode(message)
        except DecodeError:
            is_read = self.points.take(message, codecs.points) or _is_word(message.payload)
            self.unreadable += not is_read
            return
        self.ours += _is_ours(tree)
        found = look_into(tree)
        self.measured.update(found.measured)
        self._compare(tree, found.measured)
        self.diagnostic.update(found.diagnostic)
        self.switches.update(found.switches[: max(0, _OTHERS - len(self.switches))])
        self.others.update(found.others[: max(0, _OTHERS - len(self.others))])
        for path, leaf in found.stamps:
            self.stamps.setdefault(path, []).append((leaf, received))

    def _compare(self, tree: Tree, paths: Iterable[str]) -> None:
        for path in paths:
            value = number(lookup(tree, path))
            if self.first.setdefault(path, value) != value:
                self.moved.add(path)


class Ear:
    """All that was heard; `crowded` counts messages on topics beyond `MOST_TOPICS`."""

    def __init__(self) -> None:
        self.crowded = 0
        self.messages = 0
        self._topics: dict[str, Topic] = {}
        self._codecs = Codecs(plugins.load("codec", "json")(), plugins.load("codec", FORMAT)())

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def __len__(self) -> int:
        return len(self._topics)

    def take(self, message: Message) -> None:
        """Take a message in."""
        self.messages += 1
        topic = self._topics.get(message.origin)
        if topic is None:
            if len(self._topics) >= MOST_TOPICS:
                self.crowded += 1
                return
            topic = self._topics[message.origin] = Topic(message.origin)
        topic.take(message, self._codecs)


def _is_word(payload: bytes) -> bool:
    """Tell whether a payload is plain text, such as ON or sunny, which is no broken message."""
    try:
        text = payload.decode().strip()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and text[:1] not in ("{", "[", '"')


def _is_ours(tree: Tree) -> bool:
    """Tell whether a payload is a message of streamlnn, whatever its topic begins with."""
    return isinstance(tree, dict) and "v" in tree and tree.keys() >= _OURS
