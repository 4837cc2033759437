"""What a sink has still to confirm, in order; the watermark is what it has confirmed.

What a sink is behind by waits in memory up to a point and beyond it in the journal: a sink may be
away for a day, and the others go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from itertools import islice

from streamlnn.errors import NotConnected
from streamlnn.pipeline.contract import Output, Sink
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.link import Link

WINDOW = 2_000
"""So many outputs are in a sink's hands at most; the rest wait here."""
FULL = 20_000
"""So many wait in memory; the newer ones wait in the journal."""
_LEAST_LOADED = 100
"""More than one record has outputs."""


class Outbox:
    """The outputs on their way to one sink.

    `watermark` is the highest log number up to which everything has been confirmed, `unsaved`
    while the journal does not know it, `delivered` counts the outputs confirmed in this run.
    `told` are the numbers of the notices confirmed since the journal was told.

    In memory wait the oldest, up to the log number `_loaded`; behind them `_stored` ones in the
    journal; behind those the `_newest`, which go there with the next transaction.
    """

    def __init__(self, sink: Sink, journal: Journal) -> None:
        self.sink = sink
        found = journal.watermark(sink.id)
        # A sink that is new has no claim on what came before it.
        self.watermark = journal.last_lsn if found is None else found
        self.delivered = 0
        self.unsaved = True
        self.told: list[int] = []
        self.link = Link(f"sink {sink.id!r}", self._connect)
        self._journal = journal
        self._waiting: deque[Output] = deque()
        self._newest: list[Output] = []
        self._notices: deque[Output] = deque()
        self._stored = 0
        self._loaded = 0
        self._written = 0
        self._flushed = 0
        self._latest: dict[tuple[str, str], Output] = {}

    def add(self, outputs: Iterable[Output]) -> None:
        """Take outputs in the order of their log numbers; those confirmed before are skipped."""
        for output in outputs:
            if output.lsn is None:
                self._latest[output.kind, output.stream] = output
            elif output.notice is not None:
                (self._notices if self._behind else self._waiting).append(output)
            elif output.lsn > self.watermark:
                self._put(output)

    def refill(self, redone: list[Output]) -> None:
        """Take up after a crash: what a snapshot passed unconfirmed, and what was redone.

        The caller holds the transaction.
        """
        name, stored = self.sink.id, self._journal.kept_count(self.sink.id)
        if stored + len(redone) > FULL:
            self._journal.keep_outputs(name, (one for one in redone if self._claims(one)))
            self._stored = self._journal.kept_count(name)
        else:
            known = {(output.lsn, output.payload) for output in redone}
            kept = self._journal.kept_outputs(name)
            missing = [one for one in kept if (one.lsn, one.payload) not in known]
            self.add(sorted([*missing, *redone], key=lambda output: output.lsn or 0))
        self.add(self._journal.notices(name))

    def push(self, timeout: float) -> None:
        """Hand over what fits into the window, and note what has been confirmed."""
        if not self.link.try_connect():
            return
        try:
            self._write()
            self._confirm(self.sink.flush(timeout))
        except NotConnected as error:
            self.link.lost(error)

    def keep(self, passed: Mapping[str, int]) -> None:
        """Write into the journal what recovery is about to leave behind unconfirmed, by stream.

        With it goes what no longer fits into memory. The caller holds the transaction.
        """
        self.spill()
        self._journal.keep_outputs(
            self.sink.id,
            (
                output
                for output in self._waiting
                if output.notice is None and (output.lsn or 0) <= passed.get(output.stream, 0)
            ),
        )

    def spill(self) -> None:
        """Write into the journal what no longer fits into memory; the caller holds the transaction.

        An output that is there already, because a snapshot had passed it, is not counted twice.
        """
        if self._newest:
            self._journal.keep_outputs(self.sink.id, self._newest)
            self._stored += len(self._newest)
            self._newest = []

    def full(self, max_bytes: int) -> bool:
        """Tell whether the sources had better wait: the journal may not be larger than that."""
        if self._journal.volatile:
            return len(self._waiting) >= FULL
        return self._behind and self._journal.size() > max_bytes

    def __len__(self) -> int:
        return len(self._waiting) + len(self._newest) + self._stored + len(self._notices)

    @property
    def _behind(self) -> bool:
        """True while something newer than what waits in memory waits elsewhere."""
        return self._stored > 0 or bool(self._newest)

    def _claims(self, output: Output) -> bool:
        return output.lsn is not None and output.lsn > self.watermark

    def _put(self, output: Output) -> None:
        if not self._behind and (self._has_room or self._waiting[-1].lsn == output.lsn):
            self._waiting.append(output)
            self._loaded = output.lsn or 0
        else:
            self._newest.append(output)

    @property
    def _has_room(self) -> bool:
        return len(self._waiting) < FULL or self._journal.volatile

    def _load(self) -> None:
        """Bring the next from the journal into memory, when half of the room there is free."""
        if not self._behind or 2 * len(self._waiting) > FULL:
            return
        if self._stored:
            self._load_stored(max(FULL - len(self._waiting), _LEAST_LOADED))
        if not self._stored:
            self._load_newest()

    def _load_newest(self) -> None:
        newest, self._newest = self._newest, []
        for output in newest:
            if not self._behind:
                self._take_notices(before=output.lsn)
            self._put(output)
        if not self._behind:
            self._take_notices(before=None)

    def _load_stored(self, most: int) -> None:
        found = self._journal.kept_outputs(self.sink.id, self._loaded, most)
        self._stored = max(0, self._stored - len(found)) if found else 0
        for output in found:
            self._loaded = output.lsn or 0
            self._take_notices(before=output.lsn)
            self._waiting.append(output)

    def _take_notices(self, before: int | None) -> None:
        while self._notices and (before is None or (self._notices[0].lsn or 0) < before):
            self._waiting.append(self._notices.popleft())

    def _connect(self) -> None:
        self.sink.connect()
        self._written = self._flushed = 0

    def _write(self) -> None:
        self._load()
        news = list(islice(self._waiting, self._written, WINDOW))
        if news or self._latest:
            self.sink.write([*news, *self._latest.values()])
        self._written += len(news)
        self._latest = {}

    def _confirm(self, flushed: int) -> None:
        for _ in range(flushed - self._flushed):
            output = self._waiting.popleft()
            assert output.lsn is not None
            self._written -= 1
            self.delivered += 1
            if output.notice is not None:
                self.told.append(output.notice)
            if not self._waiting or self._waiting[0].lsn != output.lsn:
                # One kept from an earlier run comes late, behind higher numbers.
                self.watermark, self.unsaved = max(self.watermark, output.lsn), True
        self._flushed = flushed
