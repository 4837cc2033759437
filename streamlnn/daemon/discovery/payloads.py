"""What a payload holds: numbers that measure, numbers that only tell how the device is, stamps."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from streamlnn.daemon.discovery.vocabulary import DIAGNOSTIC
from streamlnn.pipeline.contract import Tree
from streamlnn.pipeline.streams import MAX_NAME_LETTERS
from streamlnn.pipeline.trees import MOST_LEAVES, USUAL_TIME_NAMES, leaves, lookup, number

STAMP_NAMES = (
    *(name.replace("_", "") for name in USUAL_TIME_NAMES),
    *("measuredat", "observedat", "sampletime", "eventtime", "timems", "timestampms", "tsms"),
    *("createdat", "updatedat", "receivedat", "unixtime", "epoch", "utc", "t", "lastseen"),
)
"""Names of leaves that may be a sample's time, the likeliest first; case and _ do not count."""

_WORDS = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Look:
    """One payload, looked into: the paths of its numbers, and its leaves that may be stamps.

    Whether a number with the name of a stamp is one shows only beside the time of its arrival.
    `others` are paths at which a number would be looked for in vain: words and whole branches.
    `switches` are those of what is true or false, as far as they tell more than how a device is.
    """

    measured: tuple[str, ...]
    diagnostic: tuple[str, ...]
    stamps: tuple[tuple[str, Any], ...]
    others: tuple[str, ...]
    switches: tuple[str, ...] = ()


def look_into(tree: Tree) -> Look:
    """Return what a decoded payload holds; switches and words are nothing that can be forecast.

    >>> look_into({"ts": 17, "a": {"b": 4.5}, "mode": "eco", "linkquality": 90})
    Look(measured=('ts', 'a.b'), diagnostic=('linkquality',), stamps=(('ts', 17),), \
others=('a', 'mode'), switches=())
    """
    found = [*islice(leaves(tree), MOST_LEAVES)]
    stamps = tuple((path, leaf) for path, leaf in found if _may_be_stamp(path, leaf))
    numbers = [*_numbers(tree, found)]
    aside = tuple(path for path in numbers if is_diagnostic(path) or _is_of_battery(path, tree))
    others = tuple(path for path, node in islice(_nodes(tree), MOST_LEAVES) if not _is_read(node))
    truths = (path for path, leaf in found if isinstance(leaf, bool))
    switches = tuple(path for path in truths if not is_diagnostic(path))
    measured = tuple(path for path in numbers if path not in aside)
    return Look(measured, aside, stamps, others, switches)


def is_diagnostic(path: str, apart: str = ".") -> bool:
    """Tell whether a dotted path, or a topic, names how a device is and not what it measures.

    >>> is_diagnostic("Wifi.RSSI"), is_diagnostic("values.temp"), is_diagnostic("Uptime")
    (True, False, True)
    """
    return any(plain(part) in DIAGNOSTIC for part in path.split(apart))


def may_measure(path: str) -> bool:
    """Tell whether a leaf with the name of a stamp may be a number that is measured after all.

    >>> may_measure("t"), may_measure("data.timestamp")
    (True, False)
    """
    return plain(path.rpartition(".")[2]) == "t"


def stamp_rank(path: str) -> tuple[int, int]:
    """Return what to sort the paths of stamps by, the likeliest first."""
    return path.count("."), STAMP_NAMES.index(plain(path.rpartition(".")[2]))


def _is_of_battery(path: str, tree: Tree) -> bool:
    return path == "voltage" and isinstance(tree, dict) and "battery" in tree


def _numbers(tree: Tree, found: list[tuple[str, Any]]) -> Iterator[str]:
    for path, leaf in found:
        # A key with a dot in it, below the first level, is not found by its path.
        if _is_number(leaf) and len(path) <= MAX_NAME_LETTERS and lookup(tree, path) is leaf:
            yield path


def _nodes(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield everything below a tree with its dotted path: branches before what is in them."""
    if not isinstance(tree, dict | list):
        return
    for key, node in tree.items() if isinstance(tree, dict) else enumerate(tree):
        path = f"{prefix}.{key}" if prefix else str(key)
        yield path, node
        yield from _nodes(node, path)


def _is_read(leaf: Any) -> bool:
    try:
        return not math.isinf(number(leaf))
    except (ValueError, OverflowError):
        return False


def _is_number(leaf: Any) -> bool:
    if isinstance(leaf, bool) or leaf is None:
        return False
    if isinstance(leaf, str) and leaf.strip()[:1] not in {*"+-.0123456789"}:
        return False  # "on" and "true" are read as numbers, and are switches all the same
    return _is_read(leaf) and not math.isnan(number(leaf))


def _may_be_stamp(path: str, leaf: Any) -> bool:
    is_named = plain(path.rpartition(".")[2]) in STAMP_NAMES
    return is_named and isinstance(leaf, int | float | str) and not isinstance(leaf, bool)


def plain(name: str) -> str:
    """Return a name as the vocabulary has it: in lower case, its letters and digits only."""
    return _WORDS.sub("", name.lower())
