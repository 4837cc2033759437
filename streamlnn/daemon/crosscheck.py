"""What one table of the configuration says about another: names that must exist, and fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streamlnn.daemon.connector import Connector
from streamlnn.daemon.lines import Path
from streamlnn.daemon.problems import nearest
from streamlnn.daemon.topics import meet, template_problem
from streamlnn.daemon.twins import twins
from streamlnn.pipeline.settings import VARIABLE, StreamSettings

Finding = tuple[Path, str]


@dataclass(frozen=True, slots=True)
class Read:
    """A `[[stream]]` table as far as it could be read: `wrong` are the keys that were left out."""

    settings: StreamSettings
    wrong: frozenset[str] = frozenset()


def cross_check(
    sources: Sequence[Connector], streams: Sequence[Read], sinks: Sequence[Connector]
) -> Iterator[Finding]:
    """Yield every contradiction between the tables, with the path of the key to change.

    Sources, streams and sinks are all those in the file, in its order.
    """
    yield from _twice("source", sources)
    yield from _twice("sink", sinks)
    for index, sink in enumerate(sinks):
        yield from (((("sink", index, "via")), text) for text in _via(sink, sources))
    for index, stream in enumerate(streams):
        yield from ((("stream", index, key), text) for key, text in _about(stream, sources))
    yield from _twins(streams, sources)


def idle_sources(
    sources: Sequence[Connector], froms: Iterable[object], sinks: Sequence[Connector]
) -> Iterator[Finding]:
    """Yield the sources that no sink goes via and no stream reads; `froms` are those read."""
    used = {*froms, *(sink.via for sink in sinks)}
    for index, source in enumerate(sources):
        if source.id not in used:
            text = f'nothing reads from {source.id!r}; add a [[stream]] with from = "{source.id}"'
            yield ("source", index), text


def _twice(role: str, connectors: Sequence[Connector]) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, connector in enumerate(connectors):
        if connector.id in seen:
            yield (
                (role, index, "id"),
                f"two {role}s are called {connector.id!r}; give each its own id",
            )
        seen.add(connector.id)


def _via(sink: Connector, sources: Sequence[Connector]) -> Iterator[str]:
    via = sink.via
    brokers = [source.id for source in sources if source.has_topics]
    if not via or via in brokers:
        return
    other = next((source for source in sources if source.id == via), None)
    if other is not None:
        yield f"the source {via!r} is of kind {other.kind}, which cannot publish{_one_of(brokers)}"
    else:
        yield f"no [[source]] is called {via!r}{nearest(via, brokers) or _one_of(brokers)}"


def _one_of(names: Sequence[str]) -> str:
    return f"; name one of {', '.join(names)}" if names else "; add an mqtt source, or give url"


def _about(stream: Read, sources: Sequence[Connector]) -> Iterator[tuple[str, str]]:
    for key, text in _stream(stream.settings, sources):
        misspelt = key not in stream.settings.model_fields_set and nearest(key, [*stream.wrong])
        depends = key == "seasons" and "horizons" in stream.wrong
        if key not in stream.wrong and not misspelt and not depends:
            yield key, text


def _stream(stream: StreamSettings, sources: Sequence[Connector]) -> Iterator[tuple[str, str]]:
    source = next((source for source in sources if source.id == stream.from_), None)
    if source is None:
        yield from _lost(stream, sources)
    else:
        yield from _fitting(stream, source)
    if stream.topic is not None:
        yield from _topic(stream, stream.topic)
    yield from _fields(stream)
    if stream.seasons and isinstance(stream.seasons[0], str) != isinstance(stream.horizons[0], str):
        yield "seasons", "write seasons and horizons alike: both as durations or both as samples"


def _lost(stream: StreamSettings, sources: Sequence[Connector]) -> Iterator[tuple[str, str]]:
    ids = [source.id for source in sources]
    if not ids or not all(source.kind for source in sources):
        return  # a source without a kind has been told, and may be the one that is meant
    if stream.from_ is None:
        yield "from", f"missing, and there are several sources; name one of {', '.join(ids)}"
    else:
        hint = nearest(stream.from_, ids) or f"; name one of {', '.join(ids)}"
        yield "from", f"no [[source]] is called {stream.from_!r}{hint}"


def _fitting(stream: StreamSettings, source: Connector) -> Iterator[tuple[str, str]]:
    if stream.topic is None:
        if source.type is not None and source.has_topics:
            yield "topic", f'missing; {source.id!r} is a broker: add topic = "sensors/{{device}}"'
        return
    if source.has_files:
        yield "topic", f"{source.id!r} follows files, which have no topics; leave it out"
    heard = getattr(source.settings, "topics", None)
    if heard and stream.filter and not any(meet(stream.filter, topic) for topic in heard):
        yield (
            "topic",
            f"no filter among the topics of {source.id!r} lets it in; add it there, or leave "
            "topics out: they are derived from the streams",
        )


def _topic(stream: StreamSettings, topic: str) -> Iterator[tuple[str, str]]:
    problem = template_problem(topic)
    if problem:
        yield "topic", problem
        return
    if stream.id is None or "{topic}" in stream.id:
        return
    inside = {name.removesuffix("...") for name in VARIABLE.findall(stream.id)}
    lacking = [name for name in stream.names if name not in inside]
    strange = {name: nearest(name, lacking) for name in inside - {*stream.names}}
    misspelt = next((name for name, hint in strange.items() if hint), None)
    if misspelt:
        yield "id", f"{{{misspelt}}} is no level of {topic!r}{strange[misspelt]}"
    elif lacking:
        listed = " and ".join(f"{{{name}}}" for name in lacking)
        yield (
            "id",
            f"{stream.id!r} lacks {listed}, so several topics would feed one stream; put it into "
            "the id",
        )
    if "+" in topic.split("/") or topic.endswith("#"):
        yield (
            "id",
            f"{stream.id!r} is one stream, but {topic!r} is many topics; name the levels, as in "
            "{device}, and put the names into the id",
        )


def _fields(stream: StreamSettings) -> Iterator[tuple[str, str]]:
    known = list(stream.fields or ())
    named = {"targets": stream.targets or (), "limits": stream.limits, "units": stream.units}
    for key, names in named.items():
        for name in names if known else ():
            if name not in known:
                hint = nearest(name, known) or f"; the fields are {', '.join(known)}"
                yield key, f"{name!r} is no field of this stream{hint}"
    for name, (low, high) in stream.limits.items():
        if low is not None and high is not None and low >= high:
            yield (
                "limits",
                f"{name!r} runs from {low:g} to {high:g}; write the lower one first",
            )


def _twins(streams: Sequence[Read], sources: Sequence[Connector]) -> Iterator[Finding]:
    named = {
        index: stream.settings
        for index, stream in enumerate(streams)
        if not stream.wrong & {"from", "topic", "id"}
    }
    places = list(named)
    for place, text in twins(list(named.values()), sources):
        yield ("stream", places[place], "id"), text
