"""From a kind named in the configuration to its class, by entry point, loaded on first use."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from streamlnn.errors import ConfigError

GROUPS = {
    "source": "streamlnn.sources",
    "sink": "streamlnn.sinks",
    "codec": "streamlnn.codecs",
}

_OURS = {
    **dict.fromkeys(("line", "lineprotocol", "telegraf", "ilp"), "influx"),
    **dict.fromkeys(("ndjson", "jsonlines"), "jsonl"),
}
"""Kinds of ours by what others call them."""


def kinds(role: str) -> list[str]:
    """Return the names of all installed connectors of a role: source, sink or codec.

    >>> "mqtt" in kinds("source")
    True
    """
    return sorted({point.name for point in entry_points(group=GROUPS[role])})


def load(role: str, kind: str) -> Any:
    """Return the class behind `kind`, importing it now.

    Raises `ConfigError` when nothing is installed under that name, when two distributions claim
    it, or when the package it needs is missing.
    """
    found = {
        (point.value, _owner(point)): point
        for point in entry_points(group=GROUPS[role])
        if point.name == kind
    }
    if not found:
        raise ConfigError([_unknown(role, kind)])
    if len(found) > 1:
        owners = " and ".join(sorted(owner for _, owner in found))
        raise ConfigError([f"{role} kind {kind!r} is claimed by {owners}: uninstall one of them"])
    try:
        return next(iter(found.values())).load()
    except ModuleNotFoundError as error:
        raise ConfigError(
            [f"{role} kind {kind!r} needs the package {error.name!r}: pip install it"]
        ) from error


def our_name(kind: str) -> str:
    """Return what a kind, format or protocol is called here, or the name itself.

    >>> our_name("line-protocol"), our_name("MQTT")
    ('influx', 'mqtt')
    """
    plain = kind.lower()
    return _OURS.get(plain.translate({ord(letter): None for letter in "-_ "}), plain)


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an unknown distribution"


def _unknown(role: str, kind: str) -> str:
    near = get_close_matches(our_name(kind), kinds(role), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {role} kind {kind!r}{hint} (installed: {', '.join(kinds(role))})"
