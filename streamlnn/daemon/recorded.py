"""A recording, opened for a command: the source that plays it, and the map that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamlnn.daemon.config import Config
from streamlnn.daemon.kept import KeptMap, KeptRecords, journal_folder
from streamlnn.daemon.run import AnyCodec
from streamlnn.daemon.timecolumn import find_time
from streamlnn.errors import ConfigError, EndOfSource
from streamlnn.pipeline import plugins
from streamlnn.pipeline.contract import Codec, Context, Message, Tree
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import USUAL, FoundTime, StreamMap

_OPTIONS = {"start": "from", "until": "to", "form": "format"}


def open_recording(file: Path, **options: Any) -> Any:
    """Return the replay source of a file, connected: it has looked into the file.

    The file may be a journal, or the data directory that holds one. Raises `InputUnavailable` for
    a file that is no recording, `ConfigError` for a wrong option.
    """
    replay_source = plugins.load("source", "replay")
    table = {_OPTIONS.get(key, key): value for key, value in options.items() if value is not None}
    try:
        settings = replay_source.Settings(kind="replay", id="replay", path=str(file), **table)
    except ValidationError as error:
        raise ConfigError([_problem(problem) for problem in error.errors()]) from None
    context = Context(id="replay", daemon=False)
    folder = journal_folder(file)
    source = (
        replay_source(settings, context, lambda *_: KeptRecords(folder))
        if folder
        else replay_source(settings, context)
    )
    source.connect(None)
    return source


def messages_of(source: Any) -> Iterator[Message]:
    """Yield the messages of an open recording, to its end."""
    try:
        while batch := source.read(0.0):
            yield from batch.messages
    except EndOfSource:
        return


def read_streams(
    config: Config | None,
    source: Any,
    otherwise: StreamSettings | None = None,
    time: FoundTime = USUAL,
) -> StreamMap:
    """Return the map for a recording: the tables of a configuration, or all that is a number.

    Where the recording tells the sources of its messages, and the configuration has them, their
    tables apply; else those with a topic if the recording has topics, and those without if not.
    Without a configuration a stream of several recorded sources has the source's id before its own,
    and `time` is the one that was asked for. Raises `InputUnavailable` for dates of two meanings.
    """
    streams = _map(config, source, otherwise, time)
    source.time_of = streams.time_of
    return streams


def _map(
    config: Config | None, source: Any, otherwise: StreamSettings | None, time: FoundTime
) -> StreamMap:
    if isinstance(source.recording, KeptRecords):
        return KeptMap(source.recording.rows, config)
    tables = _tables(config, source) if config else _everything(source, otherwise)
    codec = codec_of(source)
    return StreamMap(tables, codec, found=None if config else find_time(source, codec, time))


def codec_of(source: Any) -> Codec:
    """Return what decodes the messages of an open recording that is no journal."""
    return _BySource(source.sources) if source.sources else AnyCodec(source.format)


class _BySource:
    """Reads each message in the format of the source that had heard it."""

    def __init__(self, sources: Mapping[str, Any]) -> None:
        self._codecs = {name: AnyCodec(one.codec) for name, one in sources.items()}

    def decode(self, message: Message) -> Tree:
        """Return the payload's tree; raises `DecodeError`."""
        return self._codecs[message.source].decode(message)


def _tables(config: Config, source: Any) -> list[StreamSettings]:
    if any(stream.from_ in source.sources for stream in config.streams):
        return list(config.streams)
    return [
        one.model_copy(update={"from_": None})
        for one in config.streams
        if (one.topic is not None) == source.has_topics
    ]


def _everything(source: Any, otherwise: StreamSettings | None) -> list[StreamSettings]:
    settings = otherwise or StreamSettings()
    if len(source.sources) < 2:
        return [settings.model_copy(update=_from(source.has_topics, source.format))]
    tables = {name: _from(one.has_topics, one.codec) for name, one in source.sources.items()}
    return [
        settings.model_copy(update=table | {"from_": name, "id": f"{name}/{table['id']}"})
        for name, table in tables.items()
    ]


def _from(has_topics: bool, codec: str) -> dict[str, str]:
    """Return the origin of all messages, and the id of their streams."""
    told = getattr(plugins.load("codec", codec), "id", None)
    if has_topics:
        return {"topic": "#", "id": told or "{topic}"}
    return {"id": told or "{stem}"}


def _problem(problem: ErrorDetails) -> str:
    name = ".".join(map(str, problem["loc"])) or "replay"
    return f"--{name}: {problem['msg'].removeprefix('Value error, ')}"
