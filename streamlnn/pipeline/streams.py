"""From messages to readings: which stream a message belongs to, and what it says.

A `[[stream]]` table (`StreamSettings`) names a topic template or takes the files of its source; a
`StreamMap` holds the tables of one source and turns each message into a reading per table that
matches. Nothing here knows MQTT or files: an origin is a string.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import numpy as np

from streamlnn.errors import DecodeError
from streamlnn.model.records import Vector
from streamlnn.pipeline.contract import Codec, Message, Tree
from streamlnn.pipeline.settings import MAX_FIELDS, VARIABLE, StreamSettings, TimeSettings
from streamlnn.pipeline.timestamps import First, Parser, parser
from streamlnn.pipeline.trees import (
    MISSING,
    lookup,
    lookup_time,
    near,
    number,
    numeric_paths,
    usual_time,
)

__all__ = [
    "USUAL",
    "FoundTime",
    "Layout",
    "Reading",
    "StreamMap",
    "StreamSettings",
    "TimeSettings",
    "stem",
]

log = logging.getLogger("streamlnn.streams")

MAX_ID_LETTERS = 1_000
MAX_NAME_LETTERS = 200
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Layout:
    """What a stream's values are: found once, kept for the life of the stream."""

    names: tuple[str, ...]
    paths: tuple[str, ...]
    time_path: str | None = None


@dataclass(frozen=True, slots=True)
class FoundTime:
    """Where the time stands, and how it is written, where no table says so.

    Without a `path` it is the leaf with a usual name (`time`, `ts`, ...); `first` is what dates
    with slashes begin with.
    """

    path: str | None = None
    format: str = "auto"
    first: First | None = None


USUAL = FoundTime()
"""Nothing is known yet, and nothing was asked for."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One message as one stream sees it.

    `time` is nanoseconds UTC or None; `stamped` tells that the message itself says so, rather
    than the moment at which it was received. `owner` is the topic that feeds the stream, empty
    for files. `accepted` tells that it comes from a journal, where it was judged before.
    """

    stream: str
    owner: str
    time: int | None
    stamped: bool
    layout: Layout
    values: Vector
    settings: StreamSettings
    accepted: bool = False


class StreamMap:
    """The `[[stream]]` tables of one source.

    `layouts` holds what was found out about streams whose table names no fields: the first
    message decides, and the journal remembers. A table without a time takes the one that was
    `found`, where recordings are read without a configuration.
    """

    def __init__(
        self, tables: Sequence[StreamSettings], codec: Codec, *, found: FoundTime | None = None
    ) -> None:
        self.layouts: dict[str, Layout] = {}
        self._codec = codec
        self._files: dict[str, list[str]] = {}
        self._tables = [_Table(settings, found) for settings in tables]

    def read(self, message: Message) -> list[Reading]:
        """Return a reading for each table that matches; none for a message without numbers.

        Raises `DecodeError` when the payload, its time or a named field cannot be read.
        """
        told = self.read_each(message)
        for one in told:
            if isinstance(one, DecodeError):
                raise one
        return [one for one in told if isinstance(one, Reading)]

    def read_each(self, message: Message) -> list[Reading | DecodeError]:
        """Return, for each table that matches, its reading or why it has none.

        Raises `DecodeError` when the payload cannot be read at all.
        """
        matches = [
            (table, found)
            for table in self._tables
            if table.may_read(message) and (found := table.match(message.origin)) is not None
        ]
        if not matches:
            return []
        tree = self._codec.decode(message)
        told = [self._attempt(table, found, tree, message) for table, found in matches]
        return _once_each([one for one in told if one is not None], message)

    def follows(self, owner: str) -> bool:
        """Tell whether a table takes what feeds a stream: the topic `owner`, empty for files."""
        return any(table.follows(owner) for table in self._tables)

    def time_of(self, message: Message) -> int | None:
        """Return the time that the message tells, nanoseconds UTC, or None."""
        try:
            readings = self.read(message)
        except DecodeError:
            return message.received
        return readings[0].time if readings else message.received

    def _attempt(
        self, table: _Table, variables: dict[str, str], tree: Tree, message: Message
    ) -> Reading | DecodeError | None:
        try:
            return self._reading(table, variables, tree, message)
        except DecodeError as error:
            return error

    def _reading(
        self, table: _Table, variables: dict[str, str], tree: Tree, message: Message
    ) -> Reading | None:
        stream = table.stream_id(variables, tree, message)
        layout = table.layout or self._layout(table, stream, tree, message)
        if not layout.names:
            return None
        reading = Reading(
            stream,
            message.origin if table.settings.topic else "",
            table.time(layout, tree, message),
            layout.time_path is not None,
            layout,
            _values(layout, tree, message),
            table.settings,
        )
        # Not before here: a message that cannot be read decides nothing for those after it.
        if stream not in self.layouts:
            table.tell(stream, layout, tree, message)
        self.layouts[stream] = layout
        if table.by_stem:
            self._meet_twins(stream, message.origin)
        return reading

    def _meet_twins(self, stream: str, path: str) -> None:
        known = self._files.setdefault(stream, [])
        if path in known:
            return
        known.append(path)
        if len(known) == 2:
            log.warning(
                "stream %r is fed by two files, %s and %s, as if they were one sensor; if they are "
                'two, tell them apart: id = "{path}", or a column\'s name in braces',
                stream,
                *known,
            )

    def _layout(self, table: _Table, stream: str, tree: Tree, message: Message) -> Layout:
        known = self.layouts.get(stream)
        if known is not None and table.agrees(known):
            return known
        return table.discover(tree, message)


class _Table:
    """One `[[stream]]` table, compiled."""

    def __init__(self, settings: StreamSettings, found: FoundTime | None) -> None:
        self.settings = settings
        self._found = found if settings.time is None else None
        self._pattern = _topic_pattern(settings.topic) if settings.topic else None
        self._template = settings.id or ("{topic}" if settings.topic else "{stem}")
        self.by_stem = not settings.topic and "stem" in VARIABLE.findall(self._template)
        self._parse = _parser(settings.time, found)
        path = settings.time.path if settings.time else None
        self.layout = (
            Layout(tuple(settings.fields), tuple(settings.fields.values()), path)
            if settings.fields and self._found is None
            else None
        )

    def may_read(self, message: Message) -> bool:
        """Tell whether a message comes from the table's source, as far as both tell theirs."""
        return not message.source or self.settings.from_ in (None, message.source)

    def match(self, origin: str) -> dict[str, str] | None:
        if self._pattern is None:
            return {}
        found = self._pattern.fullmatch(origin)
        return found.groupdict() if found else None

    def follows(self, owner: str) -> bool:
        by_topic = self._pattern is not None
        return by_topic == bool(owner) and self.match(owner) is not None

    def agrees(self, layout: Layout) -> bool:
        """Tell whether a layout of an earlier run has its time where the table has it now."""
        time = self.settings.time
        return self._found is not None or layout.time_path == (time.path if time else None)

    def stream_id(self, variables: dict[str, str], tree: Tree, message: Message) -> str:
        def value(name: re.Match[str]) -> str:
            return _variable(name[1], variables, tree, message)

        return _sound_id(VARIABLE.sub(value, self._template))

    def discover(self, tree: Tree, message: Message) -> Layout:
        time_path = self.settings.time.path if self.settings.time else None
        if self._found is not None:
            time_path = self._found.path or usual_time(tree)
        if self.settings.fields:
            fields = self.settings.fields
            return Layout(tuple(fields), tuple(fields.values()), time_path)
        taken = tuple(_numbers(tree, message, time_path)[:MAX_FIELDS])
        return Layout(taken, taken, time_path)

    def tell(self, stream: str, layout: Layout, tree: Tree, message: Message) -> None:
        """Warn, of a stream that begins, of what it goes without."""
        if self._found is not None and layout.time_path is None and message.received is None:
            log.warning(
                "stream %r: no time found (looked for time, timestamp, ts, date and the like): it "
                "goes by sample; name its column with --time-column, or time = { path = ... }",
                stream,
            )
        found = [] if self.settings.fields else _numbers(tree, message, layout.time_path)
        if len(found) > MAX_FIELDS:
            log.warning(
                "stream %r: took the first %d numbers of %d; left out: %.500s; name what you want "
                "in fields = { ... }",
                stream,
                MAX_FIELDS,
                len(found),
                ", ".join(found[MAX_FIELDS:]),
            )

    def time(self, layout: Layout, tree: Tree, message: Message) -> int | None:
        if layout.time_path is None:
            return message.received
        value = lookup_time(tree, layout.time_path)
        if value is MISSING or value is None:
            raise DecodeError(
                f"no time at {layout.time_path!r}{near(tree, layout.time_path)}", message.payload
            )
        return self._parse(value)


def _parser(told: TimeSettings | None, found: FoundTime | None) -> Parser:
    if told is not None:
        return parser(told.format, told.zone)
    return parser(found.format, first=found.first) if found else parser("auto")


def _numbers(tree: Tree, message: Message, time_path: str | None) -> list[str]:
    """Return the paths of all numbers but the time."""
    paths = numeric_paths(tree, as_text=message.columns is not None)
    times = {time_path, *(time_path or "").split("+")}
    # A field's name goes out with every forecast: a sender shall not make it a megabyte.
    return [path for path in paths if path not in times and len(path) <= MAX_NAME_LETTERS]


def _topic_pattern(topic: str) -> re.Pattern[str]:
    levels = [_level_pattern(level) for level in topic.split("/")]
    # In MQTT a wildcard at the beginning matches nothing that begins with $.
    text = ("(?!\\$)" if levels[0].startswith((".*", "[^/]*", "(?P<")) else "") + "/".join(levels)
    # In MQTT "a/#" also matches "a" itself.
    return re.compile(text.removesuffix("/.*") + "(?:/.*)?" if text.endswith("/.*") else text)


def _level_pattern(level: str) -> str:
    if level == "#":
        return ".*"
    if level == "+":
        return "[^/]*"
    parts = VARIABLE.split(level)
    return "".join(
        re.escape(part) if index % 2 == 0 else _variable_pattern(part)
        for index, part in enumerate(parts)
    )


def _variable_pattern(name: str) -> str:
    return f"(?P<{name[:-3]}>.+)" if name.endswith("...") else f"(?P<{name}>[^/]+)"


def expected_id(settings: StreamSettings, topic: str) -> str | None:
    """Return the stream that a table feeds from a topic, or None if it does not read that.

    What only the payload tells stays in braces.

    >>> expected_id(StreamSettings(topic="home/{room}", id="{room}/{sensor}"), "home/hall")
    'hall/{sensor}'
    """
    found = _topic_pattern(settings.topic or "#").fullmatch(topic)
    if found is None:
        return None
    known = {"topic": topic, **found.groupdict()}
    return VARIABLE.sub(lambda name: known.get(name[1], name[0]), settings.id or "{topic}")


def _once_each(told: list[Reading | DecodeError], message: Message) -> list[Reading | DecodeError]:
    """Return what was told, where a stream that two tables feed from one message is refused."""
    if len(told) < 2:
        return told
    seen = set[str]()
    for place, one in enumerate(told):
        if isinstance(one, Reading) and one.stream in seen:
            text = f"another [[stream]] has fed {one.stream!r} from it: give one another id"
            told[place] = DecodeError(text, message.payload)
        elif isinstance(one, Reading):
            seen.add(one.stream)
    return told


@lru_cache(maxsize=1024)
def stem(path: str) -> str:
    """Return a file's name without compression and type: `a/pump7.csv.gz` is `pump7`."""
    name = PurePath(path).name
    for ending in (".gz", ".zst"):
        name = name.removesuffix(ending)
    return PurePath(name).stem


def _variable(name: str, variables: dict[str, str], tree: Tree, message: Message) -> str:
    if name in variables:
        return variables[name]
    if name in ("topic", "path"):
        return message.origin
    if name == "stem":
        return stem(message.origin)
    value = lookup(tree, name)
    if value is MISSING or value is None or isinstance(value, dict | list):
        raise DecodeError(f"no {name!r} for the stream's id{near(tree, name)}", message.payload)
    return str(value)


def _sound_id(stream: str) -> str:
    """Return an id that can be a topic, or raise `DecodeError`: whoever publishes chooses it."""
    if len(stream) > MAX_ID_LETTERS:
        raise DecodeError(f"the stream's id would have {len(stream)} letters: {stream:.60}...")
    if _CONTROL.search(stream):
        raise DecodeError(f"the stream's id would hold control characters: {stream!r}")
    return stream


def _values(layout: Layout, tree: Tree, message: Message) -> Vector:
    leaves = [lookup(tree, path) for path in layout.paths]
    if all(leaf is MISSING for leaf in leaves):
        path = layout.paths[0]
        raise DecodeError(f"no field at {path!r}{near(tree, path)}", message.payload)
    return np.array(
        [_field(name, leaf, message) for name, leaf in zip(layout.names, leaves, strict=True)]
    )


def _field(name: str, leaf: Any, message: Message) -> float:
    if leaf is MISSING:
        return math.nan
    try:
        value = number(leaf)
    except (ValueError, OverflowError):
        raise DecodeError(
            f"field {name!r} is {leaf!r:.80}, not a number", message.payload
        ) from None
    if math.isinf(value):
        raise DecodeError(f"field {name!r} is infinite", message.payload)
    return value
