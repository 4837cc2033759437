"""What every source keeps, and what one keeps that can be read again from any position."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from streamlnn.errors import EndOfSource
from streamlnn.pipeline.contract import Batch, Source

PATIENCE: Final = 30.0
"""Seconds after which a suite gives up on what should long have come."""


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
            batches = read_all(source, 1)
            read += len(payloads(batches))
            again = self.connected(batches[-1].position)
            assert payloads(read_all(again, len(expected) - read)) == expected[read:]
            again.close()
        source.close()

    def test_the_same_object_goes_on_behind_a_position(self) -> None:
        """`connect` on an object in use goes back to the position it is given."""
        source, expected = self.connected(), self.expected()
        batches = read_all(source, 1)
        rest = expected[len(payloads(batches)) :]
        read_all(source, len(rest))
        source.connect(batches[-1].position)
        assert payloads(read_all(source, len(rest))) == rest
        source.close()
