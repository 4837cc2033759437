"""Names for what was found: placeholders in topics, ids of streams, fields of payloads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from streamlnn.daemon.discovery.templates import Cover, Pattern
from streamlnn.daemon.discovery.vocabulary import GENERIC, QUANTITIES, ROOMS

_GROUPS = {
    "room": "room", "rooms": "room", "sites": "site", "buildings": "building", "floors": "floor",
    "zones": "zone", "lines": "line", "machines": "machine", "pumps": "pump", "meters": "meter",
    "stations": "station", "nodes": "node", "tanks": "tank", "houses": "house", "areas": "area",
    "gateways": "gateway", "applications": "application", "devices": "device", "plants": "plant",
    "sensor": "sensor",
}  # fmt: skip
_OUTER = ("site", "area", "region", "level")
_POOR = ("value", "val", "avg", "mean", "min", "max", "last", "raw")
_NO_WORD = re.compile(r"[^\w]+")


def placeholders(one: Cover) -> list[str]:
    """Return a name for each level that varies, from the levels before it and from its values.

    >>> placeholders(Cover(("sensors", None, None, "x"), ("sensors/n/p1/x", "sensors/s/p2/x")))
    ['site', 'device']
    >>> placeholders(Cover(("home", None, None), ("home/kitchen/humidity", "home/bath/temp")))
    ['room', 'quantity']
    """
    varying = [at for at, level in enumerate(one.pattern) if level is None]
    outer = iter(_OUTER)
    found: list[str] = []
    for at in varying:
        name = _told(one, at) or ("device" if at == varying[-1] else next(outer))
        found.append(name if name not in found else f"{name}{len(found) + 1}")
    return found


def written(pattern: Pattern, names: Iterable[str]) -> list[str]:
    """Return the levels of a pattern as a template has them: `{name}` where they vary."""
    left = iter(names)
    return [f"{{{next(left)}}}" if level is None else level for level in pattern]


def ids(covers: Sequence[Cover], names: Sequence[Sequence[str]]) -> list[str]:
    """Return an id for each table, as short as goes without two streams of one name.

    >>> two = [Cover(("a", None, "x"), ("a/p/x",)), Cover(("a", None, "y"), ("a/p/y",))]
    >>> ids(two, [["device"], ["device"]])
    ['{device}/x', '{device}/y']
    """
    ways = [_ways(one, some) for one, some in zip(covers, names, strict=True)]
    chosen = [0] * len(covers)
    for _ in range(max(map(len, ways), default=0)):
        found = [way[at] for way, at in zip(ways, chosen, strict=True)]
        clashing = _clashing(found, covers, names)
        chosen = [
            min(at + (place in clashing), len(ways[place]) - 1) for place, at in enumerate(chosen)
        ]
    return [way[at] for way, at in zip(ways, chosen, strict=True)]


def fields(paths: Iterable[str]) -> dict[str, str]:
    """Return a name of ours for each dotted path: its last word, with those before it if need be.

    >>> fields(["DHT11.Temperature", "BME280.Temperature", "Pressure", "data.vib.x"])
    {'dht11_temperature': 'DHT11.Temperature', 'bme280_temperature': 'BME280.Temperature', \
'pressure': 'Pressure', 'vib_x': 'data.vib.x'}
    """
    listed = list(paths)
    ways = [_names(path) for path in listed]
    found: dict[str, str] = {}
    for path, mine in zip(listed, ways, strict=True):
        wanted = next((name for name in mine if _count(name, ways) == 1), mine[-1])
        wanted = f"value_{wanted}" if wanted.isdigit() else wanted or "value"
        free = (wanted, *(f"{wanted}_{number}" for number in range(2, len(listed) + 2)))
        found[next(one for one in free if one not in found)] = path
    return found


def _names(path: str) -> list[str]:
    """Return the names that come into question for a path, the shortest first."""
    words = path.split(".")
    least = 1
    while least < len(words) and _is_poor(words[-least:], words[-least - 1]):
        least += 1
    return [_word("_".join(words[-n:])) for n in range(least, len(words) + 1)]


def _is_poor(words: Sequence[str], before: str) -> bool:
    """Tell whether a name says too little by itself, and the word before it says more."""
    name = _word("_".join(words))
    if not name or name.isdigit():
        return True
    return (len(name) == 1 or name in _POOR) and before.lower().rstrip("s") not in GENERIC


def _count(name: str, ways: Sequence[Sequence[str]]) -> int:
    return sum(name in way for way in ways)


def quantity(pattern: Pattern) -> str | None:
    """Return what a topic of bare numbers measures, where its levels say so.

    >>> quantity(("home", None, "temperature")), quantity(("home", None))
    ('temperature', None)
    """
    told = [level for level in pattern if level and level.lower() not in GENERIC]
    return told[-1].lower() if told and told[-1].lower() in QUANTITIES else None


def _told(one: Cover, at: int) -> str | None:
    values = {topic.split("/")[at].lower().replace("_", "") for topic in one.topics}
    if values <= QUANTITIES:
        return "quantity"
    if 2 * len(values & ROOMS) >= len(values):
        return "room"
    before = one.pattern[at - 1] if at else None
    return _GROUPS.get(before.lower()) if before else None


def _ways(one: Cover, names: Sequence[str]) -> list[str]:
    """Return the ids that come into question for a table, the shortest first."""
    levels = written(one.pattern, names)
    inner = levels if one.pattern[0] is None else levels[1:]
    ways = ("/".join(_telling(one.pattern, levels)), "/".join(inner), "/".join(levels))
    return [way for way in ways if way.strip("/")] or ["/".join(levels)]


def _telling(pattern: Pattern, levels: Sequence[str]) -> list[str]:
    """Return the levels that tell one device from another, or what is measured.

    Of the others a few are known: the kind of message, the plural before a name, and the first
    level, as long as more is left than what is measured.
    """
    after = [*pattern[1:], ""]
    kept = [
        at
        for at, (level, next_) in enumerate(zip(levels, after, strict=True))
        if level.lower() not in GENERIC and not (next_ is None and level.lower() in _GROUPS)
    ]
    first = 1 if pattern[0] == "" else 0
    is_named = pattern[first] is None or _is_device(levels[first])
    rest = [levels[at] for at in kept if at > first or (at == first and is_named)]
    tells_device = any(level.lower() not in QUANTITIES for level in rest)
    return rest if tells_device else [levels[at] for at in kept]


def _is_device(level: str) -> bool:
    """Tell whether a first level looks like a device or a room, and not like what all begin with.

    >>> _is_device("shelly1-AB12"), _is_device("zigbee2mqtt"), _is_device("home")
    (True, False, False)
    """
    has_digit = any(letter.isdigit() for letter in level.replace("2mqtt", ""))
    return has_digit or level.lower() in ROOMS


def _clashing(
    found: Sequence[str], covers: Sequence[Cover], names: Sequence[Sequence[str]]
) -> set[int]:
    """Return the places of the ids that can be another's, or are so for topics that were heard."""
    owners: dict[str, set[int]] = {}
    for place, (text, one, some) in enumerate(zip(found, covers, names, strict=True)):
        shape = re.sub(r"\{[^}]*\}", "{}", text)
        streams = {_stream(text, one.pattern, some, topic) for topic in one.topics}
        for key in {shape, *streams}:
            owners.setdefault(key, set()).add(place)
    return set().union(*(places for places in owners.values() if len(places) > 1))


def _stream(text: str, pattern: Pattern, names: Sequence[str], topic: str) -> str:
    levels = topic.split("/")
    values = [level for level, fixed in zip(levels, pattern, strict=True) if fixed is None]
    for name, value in zip(names, values, strict=True):
        text = text.replace(f"{{{name}}}", value)
    return text


def _word(text: str) -> str:
    return _NO_WORD.sub("_", text).strip("_").lower()
