"""A recording, opened for a command: the source that plays it, and the map that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamlnn.daemon.config import Config
from streamlnn.daemon.run import stream_map
from streamlnn.errors import ConfigError
from streamlnn.pipeline import plugins
from streamlnn.pipeline.contract import Context
from streamlnn.pipeline.settings import StreamSettings
from streamlnn.pipeline.streams import StreamMap

_OPTIONS = {"start": "from", "until": "to", "form": "format"}


def open_recording(file: Path, **options: Any) -> Any:
    """Return the replay source of a file, connected: it has looked into the file.

    Raises `InputUnavailable` for a file that is no recording, `ConfigError` for a wrong option.
    """
    replay_source = plugins.load("source", "replay")
    table = {_OPTIONS.get(key, key): value for key, value in options.items() if value is not None}
    try:
        settings = replay_source.Settings(kind="replay", id="replay", path=str(file), **table)
    except ValidationError as error:
        raise ConfigError([_problem(problem) for problem in error.errors()]) from None
    source = replay_source(settings, Context(id="replay", daemon=False))
    source.connect(None)
    return source


def read_streams(
    config: Config | None, source: Any, otherwise: StreamSettings | None = None
) -> StreamMap:
    """Return the map for a recording: the tables of a configuration, or all that is a number.

    With topics in the recording the tables with a topic apply, else those without one.
    """
    if config is None:
        tables = [(otherwise or StreamSettings()).model_copy(update=_everything(source))]
    else:
        tables = [one for one in config.streams if (one.topic is not None) == source.has_topics]
    streams = stream_map(tables, source.format, usual_times=config is None)
    source.time_of = streams.time_of
    return streams


def _everything(source: Any) -> dict[str, str]:
    return {"topic": "#"} if source.has_topics else {}


def _problem(problem: ErrorDetails) -> str:
    name = ".".join(map(str, problem["loc"])) or "replay"
    return f"--{name}: {problem['msg'].removeprefix('Value error, ')}"
