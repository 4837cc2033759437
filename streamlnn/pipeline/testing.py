"""For the tests of connectors, ours and yours: parts that play their roles, and suites.

A suite is a class of tests, one property each. Derive from it, say how your connector is made,
and let pytest find it::

    class TestMine(ResumableSourceSuite):
        def make(self):
            return MySource(...)          # new, not connected, on the same other side

        def expected(self):
            return [b"first", b"second"]  # the payloads that the other side holds

Nothing here needs pytest; `CodecSuite` needs hypothesis.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel

from streamlnn.errors import DecodeError, EndOfSource, NotConnected
from streamlnn.pipeline.contract import (
    Batch,
    Codec,
    Message,
    Output,
    Settings,
    Sink,
    Source,
)

__all__ = [
    "ABORT",
    "DROP",
    "Abort",
    "CodecSuite",
    "CollectingSink",
    "FakeClock",
    "ResumableSourceSuite",
    "ScriptedSource",
    "SinkSuite",
    "SourceSuite",
]

PATIENCE: Final = 30.0
"""Seconds after which a suite gives up on what should long have come."""


class Abort(BaseException):
    """The process is killed here: nothing may catch it, no cleaning up may be relied on."""


class _Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


ABORT: Final = _Mark("ABORT")
"""In a script: the process is killed here, once."""

DROP: Final = _Mark("DROP")
"""In a script: the connection is lost here, once."""


class ScriptedSettings(Settings):
    """The options of a scripted part: it has none."""

    kind: Literal["scripted"] = "scripted"
    id: str = "scripted"


class ScriptedSource:
    """Gives the items of a script, one a read, and then ends.

    An item is a `Message`, a `Batch` (its messages are taken, not its position), `ABORT`, `DROP`,
    or a function: it is called, and nothing comes in that read (let it move a clock). Positions
    count the items, so one object can be connected again and again, as after a restart; an
    `ABORT` or `DROP` happens once in its life. `acks` holds every position acknowledged,
    `connects` every position connected with.

    >>> source = ScriptedSource([Message("t", b"1", None), ABORT])
    >>> source.connect(None)
    >>> source.read(0.0).position
    '1'
    """

    Settings: ClassVar[type[BaseModel]] = ScriptedSettings

    def __init__(
        self,
        items: Sequence[Message | Batch | _Mark | Callable[[], object]],
        *,
        id: str = "scripted",  # noqa: A002 - the contract's name
        format: str = "json",  # noqa: A002 - the contract's name
    ) -> None:
        self.id = id
        self.format = format
        self.acks: list[str] = []
        self.connects: list[str | None] = []
        self._items = list(items)
        self._happened: set[int] = set()
        self._at = 0
        self._connected = False

    def connect(self, position: str | None) -> None:
        """Go on behind the item that `position` names."""
        self.connects.append(position)
        self._at = int(position) if position else 0
        self._connected = True

    def read(self, timeout: float) -> Batch | None:  # noqa: ARG002 - a script never waits
        """Return the next item; raise `Abort`, `NotConnected` or `EndOfSource` in its place."""
        if not self._connected:
            raise NotConnected(f"{self.id} is not connected")
        while self._at < len(self._items):
            self._at += 1
            item = self._items[self._at - 1]
            if isinstance(item, Batch):
                return replace(item, position=str(self._at))
            if isinstance(item, Message):
                return Batch([item], str(self._at))
            if not isinstance(item, _Mark):
                item()
                return None
            self._happen(item)
        raise EndOfSource(f"{self.id} has come to the end of its script")

    def idle(self) -> None:
        """Do nothing: a script waits by itself."""

    def ack(self, position: str) -> None:
        """Remember that `position` was acknowledged."""
        self.acks.append(position)

    @property
    def stats(self) -> dict[str, int]:
        """Nothing: a script counts nothing."""
        return {}

    @property
    def ready(self) -> bool:
        """True while connected."""
        return self._connected

    def close(self) -> None:
        """Disconnect."""
        self._connected = False

    def _happen(self, mark: _Mark) -> None:
        if self._at in self._happened:
            return
        self._happened.add(self._at)
        if mark is ABORT:
            raise Abort(f"{self.id} aborts at item {self._at}")
        self._connected = False
        raise NotConnected(f"{self.id} drops the connection at item {self._at}")


class CollectingSink:
    """Keeps what it is given: `outputs` in order, over all connections.

    While `holds` is true nothing is confirmed; `fail_next` makes the next `write` raise
    `NotConnected`, once.

    >>> sink = CollectingSink()
    >>> sink.connect()
    >>> sink.write([Output("forecast", b"{}", "pump7", lsn=1), Output("status", b"online")])
    >>> sink.flush(0.0)
    1
    """

    Settings: ClassVar[type[BaseModel]] = ScriptedSettings

    def __init__(self, *, id: str = "collecting") -> None:  # noqa: A002 - the contract's name
        self.id = id
        self.outputs: list[Output] = []
        self.connects = 0
        self.holds = False
        self.fail_next = False
        self._taken = self._confirmed = 0

    @property
    def durable(self) -> list[Output]:
        """The forecasts and events, in the order they came."""
        return [output for output in self.outputs if output.lsn is not None]

    def connect(self) -> None:
        """Begin to count anew."""
        self.connects += 1
        self._taken = self._confirmed = 0

    def write(self, outputs: Sequence[Output]) -> None:
        """Keep the outputs."""
        if self.fail_next:
            self.fail_next = False
            raise NotConnected(f"{self.id} was told to fail")
        self.outputs += outputs
        self._taken += sum(output.lsn is not None for output in outputs)

    def flush(self, timeout: float) -> int:  # noqa: ARG002 - a list never waits
        """Confirm all durable outputs, unless told to hold them."""
        if not self.holds:
            self._confirmed = self._taken
        return self._confirmed

    def close(self) -> None:
        """Do nothing: what was collected stays."""


class FakeClock:
    """A clock that stands still until it is told to move; nanoseconds UTC.

    >>> clock = FakeClock(1_000)
    >>> clock.advance(2.5)
    >>> clock()
    2500001000
    """

    def __init__(self, start: int = 1_700_000_000_000_000_000) -> None:
        self.now = start

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on; a negative number sets the clock back."""
        self.now += round(seconds * 1e9)


def read_all(source: Source, count: int | None = None) -> list[Batch]:
    """Read a connected source until it ends, or has given `count` messages.

    Raises `AssertionError` when they do not come within `PATIENCE` seconds.
    """
    deadline = time.monotonic() + PATIENCE
    batches: list[Batch] = []
    with suppress(EndOfSource):
        while count is None or sum(len(batch.messages) for batch in batches) < count:
            assert time.monotonic() < deadline, f"only {batches} came"
            batch = source.read(0.05)
            batches += [batch] if batch else []
    return batches


def payloads(batches: Sequence[Batch]) -> list[bytes]:
    """Return the payloads of all messages of `batches`, in order."""
    return [message.payload for batch in batches for message in batch.messages]


class SourceSuite:
    """What every source keeps. Give it `make` and `expected`."""

    def make(self) -> Source:
        """Return a new source, not connected, on the same other side at every call."""
        raise NotImplementedError

    def expected(self) -> list[bytes]:
        """Return the payloads that the other side holds, in order; a few dozen at least."""
        raise NotImplementedError

    def connected(self, position: str | None = None) -> Source:
        """Return a new source, connected."""
        source = self.make()
        source.connect(position)
        return source

    def test_all_messages_come_in_order(self) -> None:
        """What the other side holds is read whole, once, in its order."""
        source, expected = self.connected(), self.expected()
        assert payloads(read_all(source, len(expected))) == expected
        source.close()

    def test_idling_takes_nothing(self) -> None:
        """Messages that come while nobody may take them are there when they may be read."""
        source, expected = self.connected(), self.expected()
        for _ in range(3):
            source.idle()
        assert payloads(read_all(source, len(expected))) == expected
        source.close()

    def test_then_there_is_none_or_the_end(self) -> None:
        """After the last message `read` gives None, or says that nothing will come any more."""
        source = self.connected()
        read_all(source, len(self.expected()))
        with suppress(EndOfSource):
            assert source.read(0.01) is None
        source.close()

    def test_making_does_not_connect(self) -> None:
        """A source is made without touching the other side, and is ready only later."""
        source = self.make()
        states = [source.ready]
        source.connect(None)
        read_all(source, len(self.expected()))
        states.append(source.ready)
        assert states == [False, True]
        source.close()

    def test_connecting_twice_is_fine(self) -> None:
        """A second `connect` before the first `read` changes nothing."""
        source, expected = self.connected(), self.expected()
        source.connect(None)
        assert payloads(read_all(source, len(expected))) == expected
        source.close()

    def test_positions_are_text_that_says_something(self) -> None:
        """Each batch has a position that is text, as it is stored beside the records."""
        source = self.connected()
        batches = read_all(source, len(self.expected()))
        assert all(isinstance(batch.position, str) and batch.position for batch in batches)
        source.close()

    def test_acknowledging_old_positions_is_harmless(self) -> None:
        """An acknowledgement may come late, twice, or after a newer one."""
        source, expected = self.connected(), self.expected()
        batches = read_all(source, len(expected))
        for batch in (batches[-1], batches[0], batches[0]):
            source.ack(batch.position)
        assert payloads(batches) == expected
        source.close()

    def test_closing_twice_is_fine(self) -> None:
        """`close` may come again, and before any `connect`."""
        source = self.make()
        source.close()
        source.connect(None)
        source.close()
        source.close()


class ResumableSourceSuite(SourceSuite):
    """What a source keeps whose other side can be read again from any position."""

    def test_reading_goes_on_behind_every_position(self) -> None:
        """A new source connected with a batch's position gives the rest: no hole, no repeat."""
        expected = self.expected()
        source, read = self.connected(), 0
        while read < len(expected):
            batch = read_all(source, 1)[0]
            read += len(batch.messages)
            again = self.connected(batch.position)
            assert payloads(read_all(again, len(expected) - read)) == expected[read:]
            again.close()
        source.close()

    def test_the_same_object_goes_on_behind_a_position(self) -> None:
        """`connect` on an object in use goes back to the position it is given."""
        source, expected = self.connected(), self.expected()
        batch = read_all(source, 1)[0]
        read_all(source, len(expected) - len(batch.messages))
        source.connect(batch.position)
        rest = expected[len(batch.messages) :]
        assert payloads(read_all(source, len(rest))) == rest
        source.close()


def outputs(count: int, first: int = 0) -> list[Output]:
    """Return `count` outputs as the pipeline makes them, each forecast followed by a status."""
    made: list[Output] = []
    for lsn in range(first, first + count):
        payload = json.dumps({"v": 1, "stream": "s", "seq": lsn}).encode()
        made += [Output("forecast", payload, "s", lsn), Output("health", b"{}")]
    return made


class SinkSuite:
    """What every sink keeps. Give it `make` and `delivered`."""

    def make(self) -> Sink:
        """Return a new sink, not connected, to the same other side at every call."""
        raise NotImplementedError

    def delivered(self) -> list[bytes]:
        """Return the payloads of the durable outputs that have arrived at the other side."""
        raise NotImplementedError

    def flushed(self, sink: Sink, count: int) -> int:
        """Flush until `count` durable outputs are confirmed, or patience is at its end."""
        deadline, confirmed = time.monotonic() + PATIENCE, 0
        while confirmed < count and time.monotonic() < deadline:
            confirmed = sink.flush(0.05)
        return confirmed

    def test_confirmed_outputs_have_arrived_in_order(self) -> None:
        """When `flush` confirms, the other side has them, in the order they were written."""
        sink, sent = self.make(), outputs(20)
        sink.connect()
        sink.write(sent[:10])
        sink.write(sent[10:])
        assert self.flushed(sink, 20) == 20
        assert self.delivered() == [output.payload for output in sent if output.lsn is not None]
        sink.close()

    def test_only_durable_outputs_are_counted(self) -> None:
        """What tells how things are now has no part in the count."""
        sink = self.make()
        sink.connect()
        sink.write([Output("health", b"{}"), Output("status", b"online")])
        assert sink.flush(0.05) == 0
        sink.close()

    def test_counting_begins_anew_with_each_connect(self) -> None:
        """After `connect` the count of `flush` begins at 0."""
        sink = self.make()
        sink.connect()
        sink.write(outputs(3))
        assert self.flushed(sink, 3) == 3
        sink.connect()
        assert sink.flush(0.05) == 0
        sink.write(outputs(2, first=3))
        assert self.flushed(sink, 2) == 2
        sink.close()

    def test_nothing_is_written_for_nothing(self) -> None:
        """An empty write is fine and confirms nothing."""
        sink = self.make()
        sink.connect()
        sink.write([])
        assert sink.flush(0.05) == 0
        sink.close()

    def test_closing_twice_is_fine(self) -> None:
        """`close` may come again, and before any `connect`."""
        sink = self.make()
        sink.close()
        sink.connect()
        sink.close()
        sink.close()


class CodecSuite:
    """What every codec keeps. Give it `make`; `message` if a payload alone is not enough."""

    def make(self) -> Codec:
        """Return a codec."""
        raise NotImplementedError

    def message(self, payload: bytes) -> Message:
        """Return a message that carries `payload`."""
        return Message("origin", payload, None)

    def test_any_bytes_give_a_tree_or_a_decode_error(self) -> None:
        """Whatever a payload holds, the answer is a tree of plain values or `DecodeError`."""
        from hypothesis import example, given, settings
        from hypothesis import strategies as some

        hostile = (
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"1" * 5_000,
            b"1e999",
            b"NaN",
            b"\0",
            b"\xff",
        )
        codec = self.make()

        @settings(deadline=None)
        @given(some.binary() | some.text().map(str.encode) | _json_bytes(some))
        def holds(payload: bytes) -> None:
            _check_tree(codec, self.message(payload))

        for payload in hostile:
            holds = example(payload)(holds)
        holds()

    def test_the_same_payload_gives_the_same_tree(self) -> None:
        """A codec remembers nothing: what a payload means does not depend on those before it."""
        from hypothesis import given, settings
        from hypothesis import strategies as some

        used = self.make()

        @settings(deadline=None)
        @given(some.binary() | _json_bytes(some))
        def holds(payload: bytes) -> None:
            message = self.message(payload)
            assert _outcome(used, message) == _outcome(self.make(), message)

        holds()


def _json_bytes(some: Any) -> Any:
    leaves = some.none() | some.booleans() | some.integers() | some.floats() | some.text()
    trees = some.recursive(
        leaves, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner)
    )
    return trees.map(lambda tree: json.dumps(tree).encode())


def _outcome(codec: Codec, message: Message) -> str:
    try:
        return repr(codec.decode(message))
    except DecodeError as error:
        return f"DecodeError: {error}"


def _check_tree(codec: Codec, message: Message) -> None:
    try:
        nodes = [codec.decode(message)]
    except DecodeError:
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            assert all(isinstance(key, str) for key in node)
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
        else:
            assert node is None or isinstance(node, bool | int | float | str), node
            assert not isinstance(node, float) or abs(node) < float("inf"), node
