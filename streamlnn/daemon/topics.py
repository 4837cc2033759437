"""Topic templates and MQTT filters: whether they are sound, meet, or cover one another."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from streamlnn.pipeline.settings import VARIABLE, StreamSettings

_SHARE = "$share/"


def template_problem(topic: str) -> str | None:
    """Return what is wrong with the topic template of a stream, and the way out, or None.

    >>> template_problem("sensors/{site}/{device}/telemetry")
    >>> template_problem("sensors/{site}/{site}")
    'the name {site} stands twice; give each level its own name'
    """
    if {*VARIABLE.sub("", topic)} & {*"{}"}:
        return "braces come in pairs and hold a name: write {device}"
    names = [name.removesuffix("...") for name in VARIABLE.findall(topic)]
    strange = next((name for name in names if not name.isidentifier()), None)
    if strange is not None:
        return f"{{{strange}}} is no name; take letters, digits and _ only"
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        return f"the name {{{twice}}} stands twice; give each level its own name"
    return filter_problem(StreamSettings(topic=topic).filter or "")


def filter_problem(text: str) -> str | None:
    """Return what is wrong with an MQTT filter, and the way out, or None.

    >>> filter_problem("sensors/#/temperature")
    "'#' and {name...} may only be the last level of a topic"
    """
    levels = text.split("/")
    if text.startswith(_SHARE):
        return (
            "a shared subscription would split one stream over several subscribers; "
            "leave out $share/GROUP/ and give each daemon topics of its own"
        )
    if not text or "\0" in text:
        return "a topic is at least one character, and none of them is NUL"
    if "#" in levels[:-1]:
        return "'#' and {name...} may only be the last level of a topic"
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        return "'+', '#' and {name} stand for whole levels; put nothing else between the slashes"
    return None


def meet(one: str, other: str) -> bool:
    """Tell whether any topic matches both MQTT filters.

    >>> meet("sensors/+/telemetry", "sensors/#"), meet("a/+", "b/#")
    (True, False)
    """
    ours, theirs = one.split("/"), other.split("/")
    if _hides(ours[0], theirs[0]) or _hides(theirs[0], ours[0]):
        return False
    for mine, its in zip(ours, theirs, strict=False):
        if "#" in (mine, its):
            return True
        if "+" not in (mine, its) and mine != its:
            return False
    # "a/#" also matches "a" itself.
    longer = max(ours, theirs, key=len)
    return len(ours) == len(theirs) or longer[min(len(ours), len(theirs)) :] == ["#"]


def covers(wide: str, narrow: str) -> bool:
    """Tell whether every topic that the filter `narrow` matches is matched by `wide`, too.

    >>> covers("sensors/#", "sensors/+/t"), covers("a/+", "a/#"), covers("#", "$SYS/#")
    (True, False, False)
    """
    ours, theirs = wide.split("/"), narrow.split("/")
    if _hides(ours[0], theirs[0]):
        return False
    for mine, its in itertools.zip_longest(ours, theirs):
        if mine == "#":
            return True
        if None in (mine, its) or its == "#" or mine not in ("+", its):
            return False
    return True


def widest(filters: Iterable[str]) -> tuple[str, ...]:
    """Return the filters, each once, without those that another one covers.

    With MQTT 5 a broker may send a message once for each subscription that matches it.

    >>> widest(["home/kitchen", "home/+", "home/+", "tele/#"])
    ('home/+', 'tele/#')
    """
    each = tuple(dict.fromkeys(filters))
    return tuple(
        one for one in each if not any(covers(other, one) for other in each if other != one)
    )


def overlaps(filters: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the pairs of filters that can match one topic, which then comes twice."""
    yield from (pair for pair in itertools.combinations(filters, 2) if meet(*pair))


def apart(filters: Iterable[str]) -> tuple[str, ...]:
    """Return filters that match all that these do, no two of which match the same topic.

    >>> apart(["a/+", "+/b", "tele/x"])
    ('+/+',)
    """
    found = widest(filters)
    while pair := next(overlaps(found), None):
        found = widest([_joined(*pair), *found])
    return found


def _joined(one: str, other: str) -> str:
    """Return the narrowest filter that covers two which meet."""
    levels = list[str]()
    for mine, its in itertools.zip_longest(one.split("/"), other.split("/"), fillvalue="#"):
        levels.append("#" if "#" in (mine, its) else mine if mine == its else "+")
        if levels[-1] == "#":
            break
    return "/".join(levels)


def _hides(mine: str, its: str) -> bool:
    """Tell whether a filter's first level leaves out the other's: what begins with $ is apart."""
    return mine in ("+", "#") and its.startswith("$")
