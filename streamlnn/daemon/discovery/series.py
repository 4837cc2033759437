"""Tables for line protocol: every series is a stream of its own, and tells its fields itself."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence

from streamlnn.daemon.discovery import naming
from streamlnn.daemon.discovery.cadence import horizons, step_secs
from streamlnn.daemon.discovery.hearing import Topic
from streamlnn.daemon.discovery.points import FORMAT
from streamlnn.daemon.discovery.stamps import Stamp, recognise
from streamlnn.daemon.discovery.tables import Table
from streamlnn.daemon.discovery.templates import cover

_ID = "{topic}/{_series}"


def series_tables(topics: Sequence[Topic], live: Collection[str], home: str) -> list[Table]:
    """Return tables for `topics` of line protocol that match none of the other `live` ones."""
    groups: dict[Stamp | None, dict[str, Topic]] = {}
    for topic in topics:
        groups.setdefault(_stamp(topic, home), {})[topic.name] = topic
    return [
        _table(template, stamp, [group[name] for name in names])
        for stamp, group in groups.items()
        for template, names in _templates([*group], [name for name in live if name not in group])
    ]


def _stamp(topic: Topic, home: str) -> Stamp | None:
    """Return the points' own time, if every point tells it: one without it would be refused."""
    points = topic.points
    found = recognise({"time": points.times}, home) if points.times else []
    return found[0] if found and not points.untimed else None


def _templates(
    names: Sequence[str], foreign: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield topic templates with the names that each is for: one for all, where that will do."""
    shared = _shared([name.split("/") for name in names])
    under = [name for name in foreign if name.split("/")[: len(shared)] == shared]
    if len(names) > 1 and shared and not under:
        yield "/".join([*shared, "#"]), tuple(names)
        return
    for depth in sorted({name.count("/") for name in names}):
        for one in cover([name for name in names if name.count("/") == depth], foreign):
            yield "/".join(naming.written(one.pattern, naming.placeholders(one))), one.topics


def _shared(names: Sequence[Sequence[str]]) -> list[str]:
    """Return the levels that all names begin with."""
    same = itertools.takewhile(lambda column: len({*column}) == 1, zip(*names, strict=False))
    return [column[0] for column in same]


def _table(template: str, stamp: Stamp | None, topics: Sequence[Topic]) -> Table:
    step = step_secs([times for topic in topics for times in topic.points.arrivals.values()])
    return Table(
        topic=template,
        id=_ID,
        fields={},
        stamp=stamp,
        horizons=horizons(step),
        step=step,
        topics=tuple(topic.name for topic in topics),
        not_taken=(),
        form=FORMAT,
        batched=sum(topic.points.batched for topic in topics),
    )
