"""Decoded payloads: finding a value by its dotted path, and finding what is a number at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Any

from streamlnn.pipeline.contract import Tree

USUAL_TIME_NAMES = (
    *("time", "timestamp", "ts", "date", "datetime", "reported_at"),
    *("date_time", "time_stamp", "measured_at", "sampled_at", "recorded_at", "event_time"),
    *("created_at", "received_at", "last_changed", "last_updated", "datum", "zeit", "zeitstempel"),
    *("_time", "timestamp_utc", "utc", "unixtime", "epoch", "ts_ms", "time_ms", "timestamp_ms"),
)
"""How a leaf with the time is called, the likeliest first; case does not count."""
GAPS = frozenset({"", "unavailable", "unknown", "nan", "null", "none", "n/a", "na"})
_TRUTH = {"true": 1.0, "false": 0.0, "on": 1.0, "off": 0.0}
MISSING = object()

MOST_LEAVES = 10_000
"""So many leaves are looked at: more are no sensor's, and looking would take seconds."""
_COMPARED = 200
_QUOTED = 100
_NAMED = 8


def lookup(tree: Tree, path: str) -> Any:
    """Return the leaf or branch at `path`: a key as it is, else dotted keys and list indices."""
    if isinstance(tree, dict) and path in tree:
        return tree[path]
    node = tree
    for key in path.split("."):
        if isinstance(node, dict) and key in node:
            node = node[key]
        elif isinstance(node, list) and key.isdigit() and int(key) < len(node):
            node = node[int(key)]
        else:
            return MISSING
    return node


def numeric_paths(tree: Tree, *, as_text: bool) -> list[str]:
    """Return the dotted paths of all numeric and boolean leaves, elements of lists last.

    With `as_text` (a CSV line) a text that reads as a number counts, and so does an empty cell.
    """
    first = islice(leaves(tree), MOST_LEAVES)
    found = [path for path, leaf in first if _is_numeric(leaf, as_text)]
    return sorted(found, key=_has_index)


def leaves(tree: Tree, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every leaf with its dotted path, in the order of the payload."""
    if isinstance(tree, dict):
        items: Any = tree.items()
    elif isinstance(tree, list):
        items = enumerate(tree)
    else:
        yield prefix, tree
        return
    for key, branch in items:
        yield from leaves(branch, f"{prefix}.{key}" if prefix else str(key))


def _has_index(path: str) -> bool:
    return any(key.isdigit() for key in path.split("."))


def _is_numeric(leaf: Any, as_text: bool) -> bool:
    if not as_text:
        return isinstance(leaf, bool | int | float)
    try:
        number(leaf)
    except ValueError:
        return False
    return True


def number(leaf: Any) -> float:
    """Return the leaf as a float, NaN for a gap; `ValueError` for anything else."""
    if leaf is None:
        return math.nan
    if isinstance(leaf, bool | int | float):
        return float(leaf)
    if isinstance(leaf, str):
        text = leaf.strip().lower()
        if text in GAPS:
            return math.nan
        if text in _TRUTH:
            return _TRUTH[text]
        if "_" not in text:  # which Python takes for a separator of thousands
            return float(text)
    raise ValueError(leaf)


def usual_time(tree: Tree) -> str | None:
    """Return the path of the leaf that is named like a time, the shallowest first, or None."""
    return next(iter(usual_times(tree)), None)


def usual_times(tree: Tree) -> list[str]:
    """Return the paths of all leaves that are named like a time, the likeliest first."""
    candidates = [
        path
        for path, leaf in islice(leaves(tree), MOST_LEAVES)
        if leaf is not None
        and not isinstance(leaf, bool)
        and not _has_index(path)
        and path.rpartition(".")[2].lower() in USUAL_TIME_NAMES
    ]
    return sorted(candidates, key=_time_rank)


def _time_rank(path: str) -> tuple[int, int]:
    return path.count("."), USUAL_TIME_NAMES.index(path.rpartition(".")[2].lower())


def lookup_time(tree: Tree, path: str) -> Any:
    """Return the leaf at `path`, or those at `date+time` with a space between them.

    >>> lookup_time({"Date": "2026-03-01", "Time": "12:00"}, "Date+Time")
    '2026-03-01 12:00'
    """
    whole = lookup(tree, path)
    if whole is not MISSING or "+" not in path:
        return whole
    parts = [lookup(tree, part) for part in path.split("+")]
    return MISSING if any(part in (MISSING, None) for part in parts) else " ".join(map(str, parts))


def near(tree: Tree, path: str) -> str:
    """Return a hint for a message: the path in `tree` that is nearest to the one asked for.

    >>> near({"Volume Flow RateRMS": 1.5, "Pressure": 2}, "flow")
    " (nearest: 'Volume Flow RateRMS')"
    """
    known = [leaf[:_QUOTED] for leaf, _ in islice(leaves(tree), _COMPARED) if leaf]
    close = nearest_of(path, known)
    if close is not None:
        return f" (nearest: {close!r})"
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return f" (it has: {', '.join(known[:_NAMED])}{more})" if known else ""


def nearest_of(name: str, known: Sequence[str]) -> str | None:
    """Return the known name that is most like this one, or holds it; case does not count."""
    plain = {one.lower(): one for one in reversed(known)}
    holding = [one for one in plain if name.lower() in one] if len(name) > 2 else []
    close = get_close_matches(name.lower(), holding or plain, n=1, cutoff=0.0 if holding else 0.4)
    return plain[close[0]] if close else None
