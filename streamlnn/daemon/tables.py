"""The tables a configuration may have, and which settings describe each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from difflib import get_close_matches

from pydantic import BaseModel

from streamlnn.daemon.problems import Homes, keys
from streamlnn.daemon.settings import DaemonSettings, HttpSettings
from streamlnn.errors import ConfigError
from streamlnn.pipeline import plugins
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.settings import StreamSettings

SINGLE: dict[str, type[BaseModel]] = {
    "daemon": DaemonSettings,
    "http": HttpSettings,
    "model": ModelSettings,
}
"""Tables that stand once, with what describes them."""

SEVERAL = ("source", "stream", "sink")

WRITTEN = {name: f"[{name}]" for name in SINGLE} | {name: f"[[{name}]]" for name in SEVERAL}
"""Each table as its head is written in the file."""

_ELSEWHERE = {
    **dict.fromkeys(("input", "inputs", "broker", "mqtt", "server", "connection"), "source"),
    **dict.fromkeys(("topic", "topics", "sensor", "sensors", "device", "devices"), "stream"),
    **dict.fromkeys(("output", "outputs", "publish", "target", "homeassistant"), "sink"),
    **dict.fromkeys(("general", "global", "main", "settings", "streamlnn", "logging"), "daemon"),
    **dict.fromkeys(("web", "api", "metrics"), "http"),
}
"""What other programs call such a table."""


def meant_table(name: str) -> str | None:
    """Return the table that an unknown one was meant to be, or None.

    >>> meant_table("sources"), meant_table("inputs"), meant_table("zzz")
    ('source', 'source', None)
    """
    near = get_close_matches(name.lower(), WRITTEN, n=1)
    return near[0] if near else _ELSEWHERE.get(name.lower())


def installed(role: str) -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the kinds of sources or sinks that can be used, with what describes their tables.

    Imports every one of them; a connector that lacks a package cannot be configured either.
    """
    for kind in plugins.kinds(role):
        with contextlib.suppress(ConfigError):
            yield kind, plugins.load(role, kind).Settings


def homes() -> Homes:
    """Return the keys of every table there may be. Imports every connector."""
    found = {WRITTEN[name]: keys(model) for name, model in SINGLE.items()}
    found[WRITTEN["stream"]] = keys(StreamSettings)
    for role in ("source", "sink"):
        for kind, model in installed(role):
            found[f"{WRITTEN[role]} of kind {kind}"] = keys(model)
    return found
