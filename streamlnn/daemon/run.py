"""A configuration becomes a pipeline; what runs is stopped in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, Protocol

from streamlnn.daemon.config import Config
from streamlnn.pipeline import plugins
from streamlnn.pipeline.contract import Context, Message, Sink, Source, Tree
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.streams import StreamMap, StreamSettings


class AnyCodec:
    """Reads a message with columns as a line of CSV, and any other in the source's own format."""

    def __init__(self, name: str) -> None:
        self._lines = plugins.load("codec", "csv")()
        self._other = plugins.load("codec", name)()

    def decode(self, message: Message) -> Tree:
        """Return the payload's tree; raises `DecodeError`."""
        codec = self._other if message.columns is None else self._lines
        return codec.decode(message)


def stream_map(tables: Sequence[StreamSettings], codec: str) -> StreamMap:
    """Return the map from messages to streams that the tables describe."""
    return StreamMap(tables, AnyCodec(codec))


def make_sources(config: Config, *, daemon: bool) -> list[Source]:
    """Return the sources, not connected yet; outside the daemon under names of their own."""
    return [
        connector.make(
            Context(
                instance=config.daemon.instance,
                id=connector.id,
                topics=config.filters(connector.id),
                daemon=daemon,
            )
        )
        for connector in config.sources
    ]


def make_carriers(config: Config) -> list[Source]:
    """Return the sources that sinks go via, under names of their own and subscribed to nothing."""
    wanted = {getattr(sink.settings, "via", None) for sink in config.sinks}
    return [
        replace(connector, settings=connector.settings.model_copy(update={"topics": ()})).make(
            Context(instance=config.daemon.instance, id=connector.id, daemon=False)
        )
        for connector in config.sources
        if connector.id in wanted
    ]


def make_sinks(config: Config, sources: Sequence[Source], *, daemon: bool) -> list[Sink]:
    """Return the sinks, not connected yet; some go via a source's connection."""
    connections = {source.id: source for source in sources}
    return [
        connector.make(
            Context(
                instance=config.daemon.instance,
                id=connector.id,
                connections=connections,
                daemon=daemon,
            )
        )
        for connector in config.sinks
    ]


def build(
    config: Config, observer: Observer, journal: Journal, *, dry_run: bool = False
) -> Pipeline:
    """Return the pipeline that a configuration describes; it closes the journal at its end.

    With `dry_run` nothing is acknowledged on the daemon's behalf, and forecasts go to stdout.
    """
    sources = make_sources(config, daemon=not dry_run)
    sinks = [_stdout()] if dry_run else make_sinks(config, sources, daemon=True)
    maps = [stream_map(config.streams_of(source.id), source.format) for source in sources]
    return Pipeline(
        journal,
        list(zip(sources, maps, strict=True)),
        sinks,
        observer,
        instance=config.daemon.instance,
        model=config.model,
        max_streams=config.daemon.max_streams,
        retention=Retention(
            snapshot_every_secs=config.daemon.snapshot_every,
            keep_secs=config.daemon.keep,
            max_bytes=config.daemon.max_size,
        ),
    )


class Stoppable(Protocol):
    """Something that looks now and then whether it is to stop."""

    stop: threading.Event


@contextmanager
def stopping(work: Stoppable, for_secs: float | None) -> Iterator[None]:
    """Stop what runs in order on SIGTERM, on SIGINT, and when its time is up."""

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal's shape
        work.stop.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    timer = threading.Timer(for_secs or 0.0, work.stop.set)
    if for_secs is not None:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)


def _stdout() -> Any:
    sink = plugins.load("sink", "stdout")
    return sink(sink.Settings(kind="stdout"), Context(id="stdout"))
