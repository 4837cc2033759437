"""Few topic templates for many topics: levels that vary among topics alike become placeholders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

Levels = tuple[str, ...]
Pattern = tuple[str | None, ...]
"""The levels of a topic; None stands for any one level."""

_MOST_PLACEHOLDERS = 3


class Cover(NamedTuple):
    """A pattern, and the topics that it was made of, in order; if wide, it may match others too."""

    pattern: Pattern
    topics: tuple[str, ...]
    is_wide: bool = False


def cover(topics: Collection[str], foreign: Collection[str]) -> list[Cover]:
    """Return patterns that match every one of `topics` once, and none of `foreign`.

    `topics` have equally many levels. A pattern that would match too much (no level is fixed, or a
    foreign topic fits) is split at the level that gives the fewest patterns; at the end stand the
    topics themselves.

    >>> found = cover(["home/a/temp", "home/b/temp"], ["home/a/light"])
    >>> [one.pattern for one in found]
    [('home', None, 'temp')]
    """
    if not topics:
        return []
    split = {tuple(topic.split("/")) for topic in topics}
    return _cover(sorted(split), [tuple(other.split("/")) for other in foreign])


def matches(pattern: Pattern, levels: Sequence[str]) -> bool:
    """Tell whether a topic, in levels, fits; an empty level counts as any other.

    >>> matches(("a", None), ["a", "b"]), matches(("a", None), ["a", "b", "c"])
    (True, False)
    """
    return len(pattern) == len(levels) and all(
        want in (None, level) for want, level in zip(pattern, levels, strict=True)
    )


def widest(topics: Iterable[str]) -> Cover:
    """Return one pattern for all `topics`, whatever else it matches."""
    names = tuple(sorted(topics))
    return Cover(_common([tuple(name.split("/")) for name in names]), names, is_wide=True)


def _cover(topics: list[Levels], foreign: list[Levels]) -> list[Cover]:
    pattern = _common(topics)
    strangers = [other for other in foreign if matches(pattern, other)]
    if len(topics) == 1 or (not strangers and _is_narrow(pattern) and _is_named(pattern, topics)):
        return [Cover(pattern, tuple("/".join(levels) for levels in topics))]
    varying = [at for at, level in enumerate(pattern) if level is None]
    # The last of equals: what stands last is what is measured, or the kind of message.
    ways = [_split(topics, strangers, at) for at in reversed(varying)]
    return min(ways, key=len)


def _split(topics: list[Levels], foreign: list[Levels], at: int) -> list[Cover]:
    values = dict.fromkeys(levels[at] for levels in topics)
    return [
        one
        for value in values
        for one in _cover([levels for levels in topics if levels[at] == value], foreign)
    ]


def _common(topics: Sequence[Levels]) -> Pattern:
    return tuple(column[0] if len({*column}) == 1 else None for column in zip(*topics, strict=True))


def _is_named(pattern: Pattern, topics: Sequence[Levels]) -> bool:
    """Tell whether a {name} would take every level that varies: an empty one it would not."""
    return all(
        level != "" or want is not None
        for levels in topics
        for want, level in zip(pattern, levels, strict=True)
    )


def _is_narrow(pattern: Pattern) -> bool:
    free = pattern.count(None)
    fixed = len(pattern) - free
    return free <= _MOST_PLACEHOLDERS and (bool(pattern[0]) or 2 * fixed >= len(pattern))
