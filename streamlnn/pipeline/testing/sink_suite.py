"""What every sink keeps."""

from __future__ import annotations

import json
import time

from streamlnn.pipeline.contract import Output, Sink
from streamlnn.pipeline.testing.source_suites import PATIENCE


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
