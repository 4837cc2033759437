"""What `doctor` hears when it listens to the inputs for a moment: how much, and from when."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any

from streamlnn.daemon.config import Config
from streamlnn.daemon.connector import Connector
from streamlnn.daemon.run import stream_map
from streamlnn.errors import DecodeError, EndOfSource, NotConnected
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Context, Finding, Message
from streamlnn.pipeline.streams import StreamMap

AHEAD_SECS = 1.0
BEHIND_SECS = 60.0
ZONE_SECS = 120.0
HOUR_SECS = 3600.0


@dataclass
class Heard:
    """What one source said: how many messages, of which streams, and how old they were."""

    map: StreamMap
    messages: int = 0
    streams: set[str] = field(default_factory=set)
    ages: list[float] = field(default_factory=list)
    unread: list[DecodeError] = field(default_factory=list)

    def take(self, message: Message) -> None:
        """Read a message as the daemon would, and remember what it told."""
        self.messages += 1
        try:
            told = self.map.read_each(message)
        except DecodeError as error:
            self.unread.append(error)
            return
        for one in told:
            if isinstance(one, DecodeError):
                self.unread.append(one)
                continue
            self.streams.add(one.stream)
            if one.stamped and one.time is not None and message.received is not None:
                self.ages.append((message.received - one.time) / NANOSECONDS)


def listen(config: Config, secs: float) -> dict[str, Heard]:
    """Listen to all inputs together for `secs`, as a guest; those out of reach are left out."""
    heard: dict[str, Heard] = {}
    with ExitStack() as held:
        sources = []
        for connector in config.sources:
            if connector.has_topics or connector.has_files:
                source = held.enter_context(closing(_guest(connector, config)))
                heard[source.id] = Heard(stream_map(config.streams_of(source.id), source.format))
                if _connect(source):
                    sources.append(source)
        deadline = time.monotonic() + secs
        while sources and time.monotonic() < deadline:
            for source in [*sources]:
                if not _hear(source, heard[source.id]):
                    sources.remove(source)
    return heard


def findings(heard: Heard, secs: float) -> Iterator[Finding]:
    """Yield what can be said of it."""
    if not heard.messages:
        said = f"nothing came within {secs:g} s: nobody speaks, or this user may not read it"
        way_out = "listen with mosquitto_sub or tail -f as the same user"
        yield Finding("messages", "warning", said, way_out, 0.0)
        return
    rate = heard.messages / secs
    said = f"{rate:,.3g} messages a second, {len(heard.streams)} streams"
    yield Finding("messages", "ok", said, value=rate)
    if heard.unread:
        said = f"{len(heard.unread)} were no records, the first: {heard.unread[0]}"
        way_out = "see what is read as what: streamlnn check --sample FILE"
        yield Finding("payloads", "warning" if heard.streams else "problem", said, way_out)
    if heard.ages:
        yield _clock(statistics.median(heard.ages), min(heard.ages), max(heard.ages))


def _clock(median: float, least: float, most: float) -> Finding:
    said = f"records are {median:.3g} s old when they come, from {least:.3g} to {most:.3g} s"
    hours = round(median / HOUR_SECS)
    if hours and abs(median - hours * HOUR_SECS) < ZONE_SECS:
        way_out = f"{hours:+d} h looks like a time zone: set zone in the stream's time table"
        return Finding("clock", "warning", said, way_out, median)
    if least < -AHEAD_SECS:
        way_out = "their clock is ahead of ours: let both follow NTP"
        return Finding("clock", "warning", said, way_out, median)
    if median > BEHIND_SECS:
        way_out = "they come late, or their clock is behind ours: let both follow NTP"
        return Finding("clock", "warning", said, way_out, median)
    return Finding("clock", "ok", said, value=median)


def _guest(connector: Connector, config: Config) -> Any:
    """Return a source that acknowledges nothing and reads only what comes from now on."""
    if "start" in connector.keys:
        settings = connector.settings.model_copy(update={"start": "end"})
        connector = replace(connector, settings=settings)
    topics = config.filters(connector.id)
    return connector.make(
        Context(config.daemon.instance, connector.id, topics=topics, daemon=False)
    )


def _connect(source: Any) -> bool:
    try:
        source.connect(None)
    except NotConnected:
        return False
    return True


def _hear(source: Any, heard: Heard) -> bool:
    """Take what has come; tell whether there may be more."""
    try:
        batch = source.read(0.05)
    except (NotConnected, EndOfSource):
        return False
    for message in batch.messages if batch else ():
        heard.take(message)
    return True
