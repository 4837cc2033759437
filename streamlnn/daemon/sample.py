"""What a file's payload would be read as: the answer to "why does nothing arrive?"."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamlnn.daemon.config import Config
from streamlnn.daemon.topics import meet
from streamlnn.errors import DecodeError, InputUnavailable
from streamlnn.pipeline import plugins
from streamlnn.pipeline.contract import Codec, Context, EndOfSource, Message, Tree
from streamlnn.pipeline.settings import VARIABLE, StreamSettings
from streamlnn.pipeline.streams import Layout, Reading, StreamMap
from streamlnn.pipeline.timestamps import rfc3339
from streamlnn.pipeline.trees import MISSING, lookup, near, numeric_paths


@dataclass(frozen=True)
class Sample:
    """A file, taken both as one payload and, where it is one, as a recording of messages."""

    path: Path
    payload: bytes
    recorded: tuple[Message, ...]
    has_topics: bool

    @classmethod
    def open(cls, path: Path) -> Sample:
        """Read the file. Raises `InputUnavailable` when that fails."""
        try:
            payload = path.read_bytes()
        except OSError as error:
            text = f"the sample {path} cannot be read: {error.strerror}; name another file"
            raise InputUnavailable(text) from None
        recorded, has_topics = _recorded(path)
        return cls(path, payload, recorded, has_topics)

    def messages(self, stream: StreamSettings, topic: str | None) -> Iterator[Message]:
        """Yield what a stream may have to read, the likeliest first.

        For a stream with a topic that is what was recorded with topics, or the whole file as one
        payload on `topic`, or its first line, if it has several.
        """
        if stream.topic is None or (self.has_topics and topic is None):
            yield from self.recorded
            return
        origin = topic or VARIABLE.sub(lambda name: name[1].removesuffix("..."), stream.topic)
        whole = Message(origin, self.payload.strip(), time.time_ns())
        yield whole
        lines = whole.payload.splitlines()
        if len(lines) > 1:
            yield replace(whole, payload=lines[0])


def read_sample(config: Config, path: Path, topic: str | None) -> list[dict[str, Any]]:
    """Return for each `[[stream]]` table what it would read from the file at `path`.

    An entry says `stream`, `time` (None: that of receipt), `values`, what is `missing` (with the
    nearest path) and which numbers are `not_used`; or it says `problem`. Raises
    `InputUnavailable`.
    """
    sample = Sample.open(path)
    return [_entry(config, stream, sample, topic) for stream in config.streams]


def _entry(
    config: Config, stream: StreamSettings, sample: Sample, topic: str | None
) -> dict[str, Any]:
    table = {"table": stream.id or stream.topic or "{stem}"}
    problem = f"{sample.path} holds no message"
    for message in sample.messages(stream, topic):
        codec = _codec(config, stream, message)
        if stream.filter and not meet(stream.filter, message.origin):
            problem = f"the topic {message.origin!r} does not match {stream.topic!r}"
            continue
        try:
            readings = StreamMap([stream], codec).read(message)
        except DecodeError as error:
            problem = str(error)
            continue
        if readings:
            return {**table, **_told(readings[0], codec.decode(message), message)}
        problem = "there is no number in it"
    return {**table, "problem": problem}


def _told(reading: Reading, tree: Tree, message: Message) -> dict[str, Any]:
    layout = reading.layout
    values = zip(layout.names, reading.values, strict=True)
    return {
        "topic": message.origin,
        "stream": reading.stream,
        "time": rfc3339(reading.time) if reading.time and reading.settings.time else None,
        "values": {name: None if math.isnan(value) else float(value) for name, value in values},
        "missing": list(_missing(layout, tree)),
        "not_used": list(_not_used(layout, tree, as_text=message.columns is not None)),
    }


def _missing(layout: Layout, tree: Tree) -> Iterator[str]:
    for name, path in zip(layout.names, layout.paths, strict=True):
        if lookup(tree, path) is MISSING:
            yield f"{name}: nothing at {path!r}{near(tree, path)}"


def _not_used(layout: Layout, tree: Tree, *, as_text: bool) -> Iterator[str]:
    used = {*layout.paths, layout.time_path}
    for path in numeric_paths(tree, as_text=as_text):
        if path not in used:
            yield path


def _codec(config: Config, stream: StreamSettings, message: Message) -> Codec:
    source = next((source for source in config.sources if source.id == stream.from_), None)
    name = getattr(source.settings, "format", "json") if source else "json"
    if message.columns is not None:
        name = "csv"
    codec: Codec = plugins.load("codec", name if name in plugins.kinds("codec") else "json")()
    return codec


def _recorded(path: Path) -> tuple[tuple[Message, ...], bool]:
    """Return the first messages of a recording, and whether they have topics; none if it is not."""
    kind = plugins.load("source", "replay")
    source = kind(kind.Settings(path=str(path)), Context(id="sample", daemon=False))
    try:
        source.connect(None)
        batch = source.read(1.0)
        return tuple(batch.messages) if batch else (), source.has_topics
    except (InputUnavailable, EndOfSource):
        return (), False
    finally:
        source.close()


def as_text(entry: dict[str, Any]) -> list[str]:
    """Return what an entry of `read_sample` says, in lines for people."""
    if "problem" in entry:
        return [f"{entry['table']}: nothing is read: {entry['problem']}"]
    values = ", ".join(f"{name} = {_number(value)}" for name, value in entry["values"].items())
    lines = [
        f"{entry['table']}: read as {entry['stream']!r} from {entry['topic']}",
        f"  time {entry['time'] or 'of receipt'}",
        f"  {values}",
        *(f"  missing {text}" for text in entry["missing"]),
    ]
    return [*lines, f"  not used: {', '.join(entry['not_used'])}"] if entry["not_used"] else lines


def _number(value: float | None) -> str:
    return "missing" if value is None else repr(value)
