"""The only doors of the pipeline: what a source, a sink and a codec promise.

A connector is a class named by an entry point (`streamlnn.sources`, `streamlnn.sinks`,
`streamlnn.codecs`). It declares its options as `Settings`, a pydantic model, beside its code; the
configuration's checks, messages and JSON Schema are made from that. It is constructed without
touching the network or the disk, and connects later. Retrying is the pipeline's business: a
connector says `NotConnected` or `EndOfSource` and is called again, or not.

`streamlnn.pipeline.testing` ships the suites that every connector here passes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Protocol, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, WithJsonSchema

from streamlnn.errors import DecodeError, EndOfSource, NotConnected
from streamlnn.model.units import ahead as ahead
from streamlnn.model.units import parse_duration
from streamlnn.pipeline.secretfile import check_private, read_secret

__all__ = [
    "Batch",
    "Codec",
    "Context",
    "DecodeError",
    "Duration",
    "EndOfSource",
    "Finding",
    "Message",
    "NotConnected",
    "Output",
    "Settings",
    "Sink",
    "Source",
    "Tree",
    "check_private",
    "read_secret",
]


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _refuse_number(value)


def _refuse_number(value: object) -> object:
    raise ValueError(f'a duration is a string with a unit, such as "10s", not {value!r}')


Duration = Annotated[
    float,
    BeforeValidator(_seconds),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?(us|ms|s|m|min|h|d|w)$"}),
]
"""A pydantic type: written as "10s" in the configuration, float seconds in the program."""

Tree: TypeAlias = Any
"""A decoded payload: nested dicts and lists with numbers, booleans, strings and None as leaves."""


class Settings(BaseModel):
    """The base of every settings table: unknown keys are errors, nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def doubts(self) -> Sequence[str]:
        """Return what is allowed and unwise, each with the way out; told at the start."""
        return ()


@dataclass(frozen=True, slots=True)
class Message:
    """One thing a source heard, before anybody looked into it.

    `origin` is the topic, or the path of the file; `received` is nanoseconds UTC, or None in a
    recording that does not tell. `columns` are the names of a CSV line's columns, when there are
    any. `retained` marks a message that had been kept from before we came: it may begin a stream,
    and is no news to one that has begun. `source` is the id of the source that had heard it, in a
    recording that tells.
    """

    origin: str
    payload: bytes
    received: int | None
    columns: tuple[str, ...] | None = None
    retained: bool = False
    source: str = ""


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages in the order they came, and where the source stands after them.

    `position` is opaque to the pipeline: it is stored in the same transaction as the records and
    given back to `Source.connect` after a restart, and to `Source.ack` once it is durable.
    """

    messages: Sequence[Message]
    position: str


@dataclass(frozen=True, slots=True)
class Output:
    """One thing for the sinks: `payload` is JSON, ready to send.

    Forecasts and events are durable: they carry the log number `lsn` of the record that caused
    them and are written again after a crash until a sink confirms them. So are events that no
    record caused (`stale`): their `lsn` is that of the newest record before them, and `notice` is
    the number under which the journal keeps them. The other kinds have no `lsn`; they tell how
    things are now, and the newest one replaces those before it.
    """

    kind: Literal["forecast", "event", "state", "streams", "info", "health", "status"]
    payload: bytes
    stream: str = ""
    lsn: int | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    notice: int | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a connector is told of its surroundings when it is made.

    `topics` are the MQTT filters to subscribe to, none of which covers another. `connections`
    are the sources made so far, by id, for a sink that goes `via` one of them. `daemon` is False
    in every command but `run`: such a connector must acknowledge nothing on the daemon's behalf.
    `clock` returns nanoseconds UTC.
    """

    instance: str = "streamlnn"
    id: str = ""
    topics: tuple[str, ...] = ()
    connections: Mapping[str, Any] = field(default_factory=dict)
    daemon: bool = True
    clock: Callable[[], int] = time.time_ns


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `doctor` looked at: `state` tells whether it will do, `way_out` what to do.

    `value` is what was measured, in the unit that `said` names, for programs.
    """

    what: str
    state: Literal["ok", "warning", "problem"]
    said: str
    way_out: str = ""
    value: float | str | None = None


class Source(Protocol):
    """Where messages come from.

    A source or a sink may also have `examine(settings, context)`, a static method that yields a
    `Finding` for each thing it can find out about the other side, as a guest who leaves nothing
    behind.
    """

    Settings: ClassVar[type[BaseModel]]
    id: str
    format: str
    """The name of the codec that reads its payloads, but for a message that has `columns`: CSV.

    A source may also have `finite = True`: what it reads is a recording, which is there as a whole.
    Its streams never count as silent. With `restartable = False` what it has read and not given
    is lost when it is closed, so that no new configuration can be taken over.
    """

    def connect(self, position: str | None) -> None:
        """Open the other side, going on after `position` (None: from the start, as configured).

        Called again after `NotConnected`. Raises `NotConnected`, with the way out, when the other
        side is not there; and `ConfigError` for what no retry will cure.
        """

    def read(self, timeout: float) -> Batch | None:
        """Return what has come, waiting up to `timeout` seconds for the first of it, else None.

        Raises `NotConnected` when the other side is lost and `EndOfSource` when there is nothing
        more and never will be. Never raises for a payload: whatever it holds is a message.
        """

    def idle(self) -> None:
        """Keep the connection while nothing can be taken: answer, confirm, take no message.

        Called in place of `read` while the sinks are behind; a sink may go via this connection.
        Returns at once. Raises `NotConnected`.
        """

    def ack(self, position: str) -> None:
        """Everything up to `position` is durable here: the other side may forget it."""

    @property
    def stats(self) -> Mapping[str, int | Mapping[str, int]]:
        """Counts of its own for the metrics, by name, or by name and reason; may be empty."""

    @property
    def ready(self) -> bool:
        """True once connected and, where there is such a thing, subscribed."""

    def close(self) -> None:
        """Let go of the other side. May never be called: a process can be killed."""


class Sink(Protocol):
    """Where forecasts and events go.

    A sink may also have `without_forecasts = True`: they count as delivered, and go nowhere. Beside
    such sinks alone the usual one stays.
    """

    Settings: ClassVar[type[BaseModel]]
    id: str

    def connect(self) -> None:
        """Open the other side. Raises `NotConnected`; called again after it."""

    def write(self, outputs: Sequence[Output]) -> None:
        """Take `outputs` over, in order. They count as delivered only once `flush` says so.

        Raises `NotConnected`; the pipeline then writes all that is not confirmed once more, after
        `connect`, and the count of `flush` begins again at 0.
        """

    def flush(self, timeout: float) -> int:
        """Push what was taken over, for up to `timeout` seconds.

        Returns how many durable outputs (those with an `lsn`) the other side has confirmed since
        `connect`, counted in the order they were written and without a hole.
        """

    def close(self) -> None:
        """Let go of the other side; what `flush` has not confirmed may be lost."""


class Codec(Protocol):
    """Bytes to a tree of values.

    One whose payloads tell which stream they are of may have `id`: the template of the stream's id
    for a recording that is read without a configuration.
    """

    def decode(self, message: Message) -> Tree:
        """Return the payload's tree. Raises `DecodeError`, and nothing else, for a bad payload."""
