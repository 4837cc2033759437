"""`streamlnn check`: everything that can be known of a configuration without running it."""

from __future__ import annotations

import json as jsonlib
import time
from pathlib import Path
from typing import Any

import click

from streamlnn.daemon.config import Config, load
from streamlnn.daemon.connector import Connector
from streamlnn.daemon.footprint import as_text as cost_text
from streamlnn.daemon.footprint import footprint, journal_text
from streamlnn.daemon.sample import as_text, read_sample
from streamlnn.daemon.surroundings import look_around
from streamlnn.errors import ConfigError, NotConnected
from streamlnn.pipeline.contract import Context, EndOfSource
from streamlnn.pipeline.settings import StreamSettings

SOUND, UNAVAILABLE, WRONG = 0, 69, 78
READY_SECS = 5.0
"""How long a source may take from connecting to being subscribed."""


def check(
    config_path: Path,
    *,
    connect: bool,
    sample: Path | None,
    topic: str | None,
    json: bool,
) -> int:
    """Print what a configuration would do, or all that is wrong with it; return the exit code.

    With `sample`, also what its payload would be read as, as if it had come on `topic` (69 if no
    table reads it); with `connect`, whether every source can be connected (69 if one cannot).
    Nothing is acknowledged, stored or published. Raises `ConfigError` unless `json`, and
    `InputUnavailable` for a sample that cannot be read.
    """
    try:
        config = load(config_path)
        doubts = look_around(config)
    except ConfigError as error:
        if not json:
            raise
        click.echo(jsonlib.dumps({"ok": False, "problems": error.problems}, indent=2))
        return WRONG
    report = _report(config) | {"doubts": doubts}
    if sample is not None:
        report["sample"] = read_sample(config, sample, topic)
    if connect:
        report["connections"] = {source.id: _try(source, config) for source in config.sources}
    failed = any(state != "connected" for state in report.get("connections", {}).values())
    unread = sample is not None and all("problem" in entry for entry in report["sample"])
    report["ok"] = not (failed or unread)
    click.echo(jsonlib.dumps(report, indent=2) if json else _text(config_path, report))
    if unread:
        click.echo(f"{sample}: no [[stream]] table reads anything from it", err=True)
    return SOUND if report["ok"] else UNAVAILABLE


def _report(config: Config) -> dict[str, Any]:
    return {
        "instance": config.daemon.instance,
        "data_dir": str(config.daemon.data_dir),
        "http": config.http.listen or None,
        "sources": [_source(source, config) for source in config.sources],
        "streams": [
            _stream(stream) | {"cost": footprint(stream, config)} for stream in config.streams
        ],
        "sinks": [_sink(sink) for sink in config.sinks],
    }


def _source(source: Connector, config: Config) -> dict[str, Any]:
    topics = config.filters(source.id)
    return {
        "id": source.id,
        "kind": source.kind,
        "where": _where(source),
        **({"subscribes": list(topics)} if source.has_topics else {}),
    }


def _where(connector: Connector) -> str:
    """Return where a connector looks or writes: its first setting that says so."""
    for key in ("url", "paths", "path"):
        value = getattr(connector.settings, key, None)
        if value:
            return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    via = getattr(connector.settings, "via", None)
    return f"via {via}" if via else ""


def _stream(stream: StreamSettings) -> dict[str, Any]:
    return {
        "id": stream.id or ("{topic}" if stream.topic else "{stem}"),
        "from": stream.from_,
        "topic": stream.topic,
        "fields": stream.fields,
        "targets": stream.targets or (list(stream.fields) if stream.fields else None),
        "horizons": stream.horizons,
    }


def _sink(sink: Connector) -> dict[str, Any]:
    return {"id": sink.id, "kind": sink.kind, "where": _where(sink)}


def _try(source: Connector, config: Config) -> str:
    """Connect a source as a guest, who acknowledges nothing; return `connected` or what failed."""
    context = Context(
        instance=config.daemon.instance,
        id=source.id,
        topics=config.filters(source.id),
        daemon=False,
    )
    connection = source.make(context)
    try:
        connection.connect(None)
        return _await_ready(connection)
    except EndOfSource:
        return "connected"
    except (NotConnected, ConfigError) as error:
        return str(error)
    finally:
        connection.close()


def _await_ready(connection: Any) -> str:
    deadline = time.monotonic() + READY_SECS
    while not connection.ready:
        if time.monotonic() > deadline:
            return f"connected, but not subscribed within {READY_SECS:g} s"
        connection.read(0.1)
    return "connected"


def _text(path: Path, report: dict[str, Any]) -> str:
    lines = [f"{path}: sound", f"instance  {report['instance']}", f"data      {report['data_dir']}"]
    lines.append(f"http      {report['http'] or 'off'}")
    for source in report["sources"]:
        lines.append(f"source    {source['id']}: {source['kind']} {source['where']}".rstrip())
        lines += [f"          subscribes to {topic}" for topic in source.get("subscribes", ())]
    for stream in report["streams"]:
        lines += _stream_text(stream)
    lines.append(f"journal   {journal_text()}")
    for sink in report["sinks"]:
        lines.append(f"sink      {sink['id']}: {sink['kind']} {sink['where']}".rstrip())
    lines += [f"warning   {doubt}" for doubt in report["doubts"]]
    for entry in report.get("sample", ()):
        lines += [f"sample    {line}" for line in as_text(entry)]
    for source, state in report.get("connections", {}).items():
        lines.append(f"connect   {source}: {state}")
    return "\n".join(lines)


def _stream_text(stream: dict[str, Any]) -> list[str]:
    origin = f"{stream['from']}: {stream['topic']}" if stream["topic"] else stream["from"]
    targets = ", ".join(stream["targets"]) if stream["targets"] else "every number"
    ahead = ", ".join(map(str, stream["horizons"]))
    unit = "" if isinstance(stream["horizons"][0], str) else " samples"
    return [
        f"stream    {stream['id']} from {origin}",
        f"          forecasts {targets}, {ahead}{unit} ahead",
        f"          {cost_text(stream['cost'])}",
    ]
