"""Two `[[stream]]` tables whose ids can name one stream, which would then be fed twice."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence

from streamlnn.daemon.connector import Connector
from streamlnn.daemon.topics import meet, template_problem
from streamlnn.pipeline.settings import VARIABLE, StreamSettings
from streamlnn.pipeline.streams import expected_id, stem

_ORIGINS = ("topic", "path", "stem")
_ANY = "any"
_ONE_LETTER = re.compile(r"\[[^]]+\]")


def twins(
    streams: Sequence[StreamSettings], sources: Sequence[Connector]
) -> Iterator[tuple[int, str]]:
    """Yield the place of each stream that may be one with an earlier one, and the way out."""
    for (_, one), (place, other) in itertools.combinations(enumerate(streams), 2):
        if _shape(one) == _shape(other) and _same_origins(one, other, sources):
            apart = other.from_ if other.from_ != one.from_ else "other"
            yield (
                place,
                f"another [[stream]] has the id {_id(one)!r}, so both can name one stream, which "
                "would be fed twice; put into the id what tells them apart, as in "
                f"'{apart}-{_id(other)}'",
            )
        elif text := _both_read(one, other):
            yield place, text


def _both_read(one: StreamSettings, other: StreamSettings) -> str:
    """Tell of a topic that both tables read into the same stream, or return nothing."""
    if not (one.topic and other.topic) or one.from_ != other.from_:
        return ""
    if template_problem(one.topic) or template_problem(other.topic):
        return ""  # which is told, and no template to match with
    topic = _shared_topic(one.topic, other.topic)
    stream = expected_id(other, topic)
    if stream is None or stream != expected_id(one, topic):
        return ""
    return (
        f"a message on {topic!r} would feed the stream {stream!r} twice, by this table and by that "
        f"of the topic {one.topic!r}; leave one of the two out, or give this one another id, as in "
        f"'other-{_id(other)}'"
    )


def _shared_topic(one: str, other: str) -> str:
    """Return a topic that both templates match, if there is any; wildcards become a word."""
    pairs = itertools.zip_longest(one.split("/"), other.split("/"))
    levels = [_shared_level(*pair) for pair in pairs if {*pair} != {"#", None}]
    return "/".join(VARIABLE.sub(_ANY, level) for level in levels)


def _shared_level(mine: str | None, its: str | None) -> str:
    """Return the more definite of two levels; of one that has ended, the other."""
    said = [level for level in (mine, its) if level and not _is_wild(level)]
    return min(said, key=lambda level: len(VARIABLE.findall(level)), default=_ANY)


def _is_wild(level: str) -> bool:
    return level in ("+", "#") or VARIABLE.fullmatch(level) is not None


def globs_meet(one: str, other: str) -> bool:
    """Tell whether any text matches both patterns of `*`, `?` and `[abc]`.

    >>> globs_meet("pump*", "*7"), globs_meet("pump*", "fan*")
    (True, False)
    """
    todo, seen = [(_ONE_LETTER.sub("?", one), _ONE_LETTER.sub("?", other))], set()
    while todo:
        pair = todo.pop()
        if not "".join(pair).strip("*"):
            return True
        if pair not in seen:
            seen.add(pair)
            todo += _shorter(*pair)
    return False


def _shorter(one: str, other: str) -> Iterator[tuple[str, str]]:
    if one.startswith("*") or other.startswith("*"):
        # A star ends here, or takes one letter more of the other.
        yield (one[1:], other) if one.startswith("*") else (one, other[1:])
        if one and other:
            yield (one, other[1:]) if one.startswith("*") else (one[1:], other)
    elif one and other and (one[0] == other[0] or "?" in (one[0], other[0])):
        yield one[1:], other[1:]


def _id(stream: StreamSettings) -> str:
    return stream.id or ("{topic}" if stream.topic else "{stem}")


def _shape(stream: StreamSettings) -> str:
    """Return the id with its variables unnamed, but for those that stand for the origin."""
    return VARIABLE.sub(lambda name: name[0] if _is_origin(name[1], stream) else "{}", _id(stream))


def _is_origin(name: str, stream: StreamSettings) -> bool:
    return name in _ORIGINS and name not in stream.names


def _same_origins(one: StreamSettings, other: StreamSettings, sources: Sequence[Connector]) -> bool:
    """Tell whether what the ids say of where the messages come from can be the same for both."""
    named = [name for name in VARIABLE.findall(_id(one)) if _is_origin(name, one)]
    if one.topic or other.topic:
        return "topic" not in named or meet(one.filter or "#", other.filter or "#")
    if one.from_ == other.from_ or not named:
        return True
    pairs = list(itertools.product(_files(one, sources), _files(other, sources)))
    if "path" in named:
        return any(globs_meet(*pair) for pair in pairs)
    return any(globs_meet(stem(mine), stem(its)) for mine, its in pairs)


def _files(stream: StreamSettings, sources: Sequence[Connector]) -> list[str]:
    settings = next((source.settings for source in sources if source.id == stream.from_), None)
    return [str(path) for path in getattr(settings, "paths", ())]
