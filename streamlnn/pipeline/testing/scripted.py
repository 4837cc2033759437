"""Parts that play their roles: a source with a script, a sink that keeps, a clock that obeys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar, Final, Literal

from pydantic import BaseModel

from streamlnn.errors import EndOfSource, NotConnected
from streamlnn.pipeline.contract import Batch, Message, Output, Settings


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
