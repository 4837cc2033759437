"""From what was heard to the `[[stream]]` tables that would follow it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from streamlnn.daemon.discovery import naming
from streamlnn.daemon.discovery.cadence import every, horizons, step_secs
from streamlnn.daemon.discovery.hearing import Topic
from streamlnn.daemon.discovery.payloads import may_measure
from streamlnn.daemon.discovery.reasons import entities, reason
from streamlnn.daemon.discovery.series import series_tables
from streamlnn.daemon.discovery.stamps import Stamp, recognise
from streamlnn.daemon.discovery.tables import Proposal, Table
from streamlnn.daemon.discovery.targets import targets, units
from streamlnn.daemon.discovery.templates import Cover, cover, widest
from streamlnn.pipeline.timestamps import parser

MOST_FIELDS = 12
"""Each field is forecast, which takes time and memory; more can be named by hand."""
_MOST_OF_A_FAMILY = 12
_MOST_TABLES = 40
_OFTEN = 4
_TOO_MANY = f"beyond the first {_MOST_TABLES} tables: give them topics that have more in common"


@dataclass(frozen=True, slots=True)
class _Sight:
    """A topic: where its time stands, the paths of its numbers, and of those that are left out."""

    topic: Topic
    stamp: Stamp | None
    paths: tuple[str, ...]
    aside: tuple[str, ...]


def propose(heard: Iterable[Topic], home: str = "UTC") -> Proposal:
    """Return what to follow of what was heard; `home` is this machine's time zone."""
    topics = sorted(heard, key=lambda topic: topic.name)
    above = entities([topic.name for topic in topics])
    sights: dict[str, _Sight] = {}
    lines: list[Topic] = []
    left_out: dict[str, list[str]] = {}
    for topic in topics:
        sight = _look(topic, home)
        why = reason(topic, sight.paths, above)
        if why:
            left_out.setdefault(why, []).append(topic.name)
        elif topic.is_line_protocol:
            lines.append(topic)
        else:
            sights[topic.name] = sight
    live = [topic.name for topic in topics if topic.live]
    covers = _covers(sights, live)
    for one in covers[_MOST_TABLES:]:
        left_out.setdefault(_TOO_MANY, []).extend(one.topics)
    tables = [*_tables(covers[:_MOST_TABLES], sights), *series_tables(lines, live, home)]
    return Proposal(tuple(tables), left_out)


def _look(topic: Topic, home: str) -> _Sight:
    stamps = recognise(topic.stamps, home)
    times = {stamp.path for stamp in stamps}
    numbers = [path for path in topic.measured if path not in times | topic.others]
    clocks = [path for path in numbers if path in topic.stamps and not may_measure(path)]
    measured = [path for path in numbers if path not in clocks]
    named = [path for path in measured if not _has_index(path)]
    listed = [path for path in measured if named and _has_index(path)]
    aside = (*listed, *clocks, *topic.diagnostic)
    return _Sight(topic, _stamp(topic, stamps), tuple(named or measured), aside)


def _stamp(topic: Topic, stamps: Sequence[Stamp]) -> Stamp | None:
    """Return the likeliest time that stands in every message: one without it would be refused."""
    always = topic.looks - topic.unreadable
    return next((one for one in stamps if len(topic.stamps[one.path]) >= always), None)


def _has_index(path: str) -> bool:
    return any(part.isdigit() for part in path.split("."))


def _covers(sights: dict[str, _Sight], live: Sequence[str]) -> list[Cover]:
    """Return patterns for all that can be forecast, in the order of their first topics."""
    found: list[Cover] = []
    for group in _alike(sights.values()):
        names = {sight.topic.name for sight in group}
        found += cover(names, [name for name in live if name not in names])
    return sorted(_few(found), key=lambda one: one.topics[0])


def _few(covers: Sequence[Cover]) -> list[Cover]:
    """Put together what would be very many tables under one first level."""
    families: dict[tuple[str, int], list[Cover]] = {}
    for one in covers:
        families.setdefault((one.topics[0].split("/")[0], len(one.pattern)), []).append(one)
    return [
        one
        for family in families.values()
        for one in (family if len(family) <= _MOST_OF_A_FAMILY else _one_for_all(family))
    ]


def _one_for_all(family: Sequence[Cover]) -> list[Cover]:
    whole = widest(topic for one in family for topic in one.topics)
    return [whole] if whole.pattern[0] is not None else [*family]


def _alike(sights: Iterable[_Sight]) -> list[list[_Sight]]:
    """Return groups of topics with equal levels and times, and with much the same fields."""
    groups: list[tuple[list[_Sight], set[str]]] = []
    for sight in sights:
        mine = set(sight.paths)
        for group, union in groups:
            if _kind(sight) == _kind(group[0]) and _share(union | mine, [*group, sight]):
                group.append(sight)
                union |= mine
                break
        else:
            groups.append(([sight], mine))
    return [group for group, _ in groups]


def _kind(sight: _Sight) -> tuple[object, ...]:
    return sight.topic.name.count("/"), sight.stamp


def _share(union: set[str], group: Sequence[_Sight]) -> bool:
    """Tell whether all have a field in common, and each has half of those that any has.

    Nor may the field of one be a word in another, whose messages could not be read then.
    """
    has_half = all(2 * len(sight.paths) >= len(union) for sight in group)
    has_all = set.intersection(*(set(sight.paths) for sight in group))
    return has_half and bool(has_all) and not any(union & sight.topic.others for sight in group)


def _tables(covers: Sequence[Cover], sights: dict[str, _Sight]) -> list[Table]:
    names = [naming.placeholders(one) for one in covers]
    streams = naming.ids(covers, names)
    return [
        _table(one, some, stream, [sights[topic] for topic in one.topics])
        for one, some, stream in zip(covers, names, streams, strict=True)
    ]


def _table(one: Cover, names: Sequence[str], stream: str, sights: Sequence[_Sight]) -> Table:
    taken, aside = _paths(sights)
    stamps = {sight.stamp for sight in sights}
    step = step_secs([sight.topic.arrivals for sight in sights])
    stamp = stamps.pop() if len(stamps) == 1 else None
    bare = naming.quantity(one.pattern) if taken == ["value"] else None
    fields = {bare: "value"} if bare else naming.fields(taken)
    template = "/".join(naming.written(one.pattern, names))
    return Table(
        topic=template,
        id=stream,
        fields=fields,
        targets=targets(fields, [path for path in taken if _is_still(path, sights)]),
        units=units(template, fields),
        every=every([sight.topic.arrivals for sight in sights], _told(stamp, sights)),
        stamp=stamp,
        horizons=horizons(step),
        step=step,
        topics=one.topics,
        not_taken=tuple(aside),
        is_wide=one.is_wide,
    )


def _is_still(path: str, sights: Sequence[_Sight]) -> bool:
    """Tell whether a number was heard often enough to see that it never moves."""
    again = sum(max(0, sight.topic.measured[path] - 1) for sight in sights)
    return again >= _OFTEN and not any(path in sight.topic.moved for sight in sights)


def _told(stamp: Stamp | None, sights: Sequence[_Sight]) -> list[list[int]] | None:
    """Return the times that the samples themselves tell, of each topic its own."""
    if stamp is None:
        return None
    parse = parser(stamp.format, stamp.zone)
    return [[parse(value) for value, _ in sight.topic.stamps[stamp.path]] for sight in sights]


def _paths(sights: Sequence[_Sight]) -> tuple[list[str], list[str]]:
    """Return the paths of the fields, those most topics have first, and what is left out."""
    counts = Counter(path for sight in sights for path in sight.paths)
    found = [path for path, _ in counts.most_common()]
    aside = dict.fromkeys(path for sight in sights for path in sight.aside)
    return found[:MOST_FIELDS], [*found[MOST_FIELDS:], *aside]
