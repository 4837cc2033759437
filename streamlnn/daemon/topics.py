"""Topic templates and MQTT filters: whether they are sound, and whether two of them meet."""

from __future__ import annotations

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
    for mine, its in zip(ours, theirs, strict=False):
        if "#" in (mine, its):
            return True
        if "+" not in (mine, its) and mine != its:
            return False
    # "a/#" also matches "a" itself.
    longer = max(ours, theirs, key=len)
    return len(ours) == len(theirs) or longer[min(len(ours), len(theirs)) :] == ["#"]
