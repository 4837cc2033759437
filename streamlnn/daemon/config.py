"""From a TOML file to settings that were checked: every configuration error is found here."""

from __future__ import annotations

import itertools
import os
import pathlib
import shlex
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from streamlnn.daemon.connector import Connector
from streamlnn.daemon.crosscheck import Read, cross_check, idle_sources
from streamlnn.daemon.lines import Path, excess_line, key_lines
from streamlnn.daemon.problems import Problems, unknown_key
from streamlnn.daemon.settings import DaemonSettings, HttpSettings
from streamlnn.daemon.syntax import explain
from streamlnn.daemon.tables import WRITTEN, homes, meant_table
from streamlnn.daemon.toml import as_toml
from streamlnn.daemon.topics import apart, overlaps, widest
from streamlnn.daemon.variables import substitute
from streamlnn.errors import ConfigError
from streamlnn.pipeline import plugins
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.settings import StreamSettings

Table = dict[str, Any]
_Model = TypeVar("_Model", bound=BaseModel)

_LISTED = ", ".join(WRITTEN.values())
_NEEDED = {
    "source": 'missing; add a [[source]] table with kind = "mqtt" and its url',
    "stream": "missing; add a [[stream]] table that says what to follow",
}
_EXCESS = "nested too deeply, or a name or number too long; no setting needs it: take it out"


@dataclass(frozen=True)
class Config:
    """A whole configuration, checked; it does not change afterwards.

    Every stream's `from_` names its source, unless the configuration has no source at all. Where
    it `names_sinks` not, or only such as publish no forecasts, the usual one is the last of them.
    """

    daemon: DaemonSettings
    http: HttpSettings
    model: ModelSettings
    sources: tuple[Connector, ...]
    streams: tuple[StreamSettings, ...]
    sinks: tuple[Connector, ...]
    path: pathlib.Path | None = None
    names_sinks: bool = True

    def streams_of(self, source: str) -> list[StreamSettings]:
        """Return the `[[stream]]` tables that read from the source of this id."""
        return [stream for stream in self.streams if stream.from_ == source]

    def filters(self, source: str) -> tuple[str, ...]:
        """Return the MQTT filters that this source subscribes to: its own, or its streams'.

        None of them is covered by another, for many brokers send a message once for each.
        """
        own = next((one.settings for one in self.sources if one.id == source), None)
        wanted = [stream.filter for stream in self.streams_of(source) if stream.filter]
        return widest(getattr(own, "topics", None) or wanted)

    def doubts(self) -> list[str]:
        """Return what is allowed and unwise in the tables of sources and sinks."""
        found = [
            f"{role} {connector.id!r}: {doubt}"
            for role, connectors in (("source", self.sources), ("sink", self.sinks))
            for connector in connectors
            for doubt in connector.doubts()
        ]
        return found + [
            f"source {source.id!r}: {doubt}"
            for source in self.sources
            for doubt in self._overlaps(source.id)
        ]

    def _overlaps(self, source: str) -> Iterator[str]:
        filters = self.filters(source)
        topics = {stream.filter: stream.topic for stream in self.streams_of(source)}
        for one, other in overlaps(filters):
            yield (
                f"what matches both {topics.get(one, one)!r} and {topics.get(other, other)!r} "
                "may come from the broker twice, as two samples; subscribe once for both: "
                f"topics = {as_toml(apart(filters))} in this [[source]]"
            )


def load(path: pathlib.Path | str, *, live: bool = True) -> Config:
    """Read the configuration file at `path`.

    With `live` False, for commands that bring their own input, a configuration without sources
    and streams is whole. Raises `ConfigError` with every problem found.
    """
    place = pathlib.Path(path)
    try:
        text = place.read_bytes().decode("utf-8-sig")
    except OSError as error:
        way_out = "name the file in it" if place.is_dir() else _another(place)
        raise ConfigError([f"{path}: cannot be read: {error.strerror}; {way_out}"]) from None
    except UnicodeDecodeError as error:
        line = place.read_bytes().count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{path}:{line}: not UTF-8 text; save the file as UTF-8"]) from None
    return loads(text, str(path), live=live, path=place)


def _another(place: pathlib.Path) -> str:
    make = "" if place.exists() else f", or make it: streamlnn init -o {shlex.quote(str(place))}"
    return f"name another file{make}"


def loads(
    text: str, name: str = "config", *, live: bool = True, path: pathlib.Path | None = None
) -> Config:
    r"""Check the TOML document `text`; messages call it `name`. As `load` otherwise.

    >>> config = loads('[[source]]\nkind = "stdin"\n[[stream]]\nid = "pump7"')
    >>> config.daemon.instance, config.sources[0].id, config.sinks[0].kind
    ('streamlnn', 'stdin', 'stdout')
    """
    document = _parse(text, name)
    problems = Problems(name, document, key_lines(text))
    reader = _Reader(substitute(document, os.environ, problems.add_unread), problems)
    return reader.config(live=live, path=path)


def _parse(text: str, name: str) -> Table:
    try:
        document, excess = tomllib.loads(text), excess_line(text)
    except tomllib.TOMLDecodeError as error:
        line, what = explain(text, error)
        raise ConfigError([f"{name}:{line}: {what}"]) from None
    except (RecursionError, ValueError):  # brackets without end, a number without end
        document, excess = {}, excess_line(text) or 1
    if excess:
        raise ConfigError([f"{name}:{excess}: {_EXCESS}"])
    return document


class _Reader:
    """Turns the tables of one document into settings, and tells what is wrong with them."""

    def __init__(self, document: Table, problems: Problems) -> None:
        self._document = document
        self._problems = problems

    def config(self, *, live: bool, path: pathlib.Path | None) -> Config:
        """Return the configuration; what is wrong with it is in the problems, not raised."""
        self._unknown_tables()
        sources = self._connectors("source", self._tables("source"), [])
        sinks = self._sinks(sources)
        tables = [_with_from(table, sources) for table in self._tables("stream")]
        streams = [self._stream(table, index) for index, table in enumerate(tables)]
        self._tell(cross_check(sources, streams, sinks))
        if live:
            self._tell(self._missing(sources, tables, sinks))
        daemon = self._single(DaemonSettings, "daemon")
        http = self._single(HttpSettings, "http")
        model = self._single(ModelSettings, "model")
        self._problems.raise_all()
        assert daemon is not None
        assert http is not None
        assert model is not None
        followed = tuple(stream.settings for stream in streams)
        named = len(sinks) == len(self._tables("sink"))
        return Config(daemon, http, model, tuple(sources), followed, tuple(sinks), path, named)

    def _missing(
        self, sources: list[Connector], streams: list[Table], sinks: list[Connector]
    ) -> Iterator[tuple[Path, str]]:
        """Tell what a daemon lacks, unless what was written for it is wrong already."""
        if not self._document:
            yield ("source",), "nothing stands here yet; `streamlnn init` writes one to begin with"
            return
        froms = [str(table.get("from")) for table in streams]
        misspelt = {meant_table(name) for name in self._document if name not in WRITTEN}
        for role, text in _NEEDED.items():
            if role not in self._document and role not in misspelt:
                yield (role,), text
        if _NEEDED.keys() <= self._document.keys() and {*froms} <= {one.id for one in sources}:
            yield from idle_sources(sources, froms, sinks)

    def _single(self, model: type[_Model], name: str) -> _Model | None:
        table = self._document.get(name, {})
        if isinstance(table, list):
            self._problems.add((name,), f"there is one only: write [{name}], in single brackets")
            return None
        return self._settings(model, table, (name,))

    def _unknown_tables(self) -> None:
        for name, value in self._document.items():
            if name not in WRITTEN:
                self._problems.add((name,), self._misplaced(name, value))

    def _misplaced(self, name: str, value: object) -> str:
        listed = value if isinstance(value, list) else [value]
        if not all(isinstance(one, dict) for one in listed):
            return unknown_key(name, [], homes()) + " (it stands before the first table)"
        meant = meant_table(name)
        hint = f"did you mean {WRITTEN[meant]}?" if meant else f"known are {_LISTED}"
        return f"unknown table; {hint}"

    def _tables(self, role: str) -> list[Table]:
        found = self._document.get(role, [])
        if isinstance(found, list) and all(isinstance(table, dict) for table in found):
            return found
        self._problems.add((role,), f"there may be several: write [[{role}]], in two brackets")
        return []

    def _sinks(self, sources: list[Connector]) -> list[Connector]:
        """Return those of the file, and the usual one if none of them publishes forecasts."""
        tables = self._tables("sink")
        named = self._connectors("sink", tables, sources)
        if all(getattr(sink.type, "without_forecasts", False) for sink in named):
            return self._connectors("sink", [*tables, _usual_sink(sources)], sources)
        return named

    def _connectors(
        self, role: str, tables: list[Table], sources: list[Connector]
    ) -> list[Connector]:
        found: list[Connector] = []
        for index, table in enumerate(tables):
            taken = [connector.id for connector in found]
            found.append(self._connector(role, index, table, taken, sources))
        return found

    def _connector(
        self, role: str, index: int, table: Table, taken: list[str], sources: list[Connector]
    ) -> Connector:
        path = (role, index)
        type_ = self._type(role, table.get("kind"), path)
        kind = str(table.get("kind", ""))
        name = str(table.get("id", _free_name(kind, taken)))
        if type_ is None:
            return Connector(kind, name, None, None, _via(None, table))
        whole = _completed(table, name, type_.Settings, sources)
        self._check_codec(type_.Settings, table.get("format"), path)
        settings = self._settings(type_.Settings, whole, path)
        return Connector(kind, name, type_, settings, _via(settings, whole))

    def _type(self, role: str, kind: object, path: Path) -> Any:
        if not isinstance(kind, str):
            text = f"missing; name one of {', '.join(plugins.kinds(role))}"
            self._problems.add((*path, "kind"), text)
            return None
        return self._plugin(role, kind, (*path, "kind"))

    def _check_codec(self, model: type[BaseModel], name: object, path: Path) -> None:
        # Where any codec will do the table takes any text; else it knows its formats itself.
        field = model.model_fields.get("format")
        if field and field.annotation is str and isinstance(name, str):
            self._plugin("codec", name, (*path, "format"))

    def _plugin(self, role: str, kind: str, path: Path) -> Any:
        try:
            return plugins.load(role, kind)
        except ConfigError as error:
            self._tell((path, text) for text in error.problems)
            return None

    def _stream(self, table: Table, index: int) -> Read:
        """Return the table without the keys that are wrong, for these are told here."""
        try:
            return Read(StreamSettings.model_validate(table))
        except ValidationError as error:
            self._problems.add_invalid(error, StreamSettings, ("stream", index), homes())
            wrong = frozenset(str(details["loc"][0]) for details in error.errors())
        rest = {key: value for key, value in table.items() if key not in wrong}
        return Read(StreamSettings.model_validate(rest), wrong)

    def _settings(self, model: type[_Model], table: Any, path: Path) -> _Model | None:
        try:
            return model.model_validate(table)
        except ValidationError as error:
            self._problems.add_invalid(error, model, path, homes())
            return None

    def _tell(self, findings: Iterable[tuple[Path, str]]) -> None:
        for path, text in findings:
            self._problems.add(path, text)


def _via(settings: BaseModel | None, table: Table) -> str | None:
    via = getattr(settings, "via", table.get("via"))
    return via if isinstance(via, str) else None


def _free_name(kind: str, taken: list[str]) -> str:
    names = (kind if number == 1 else f"{kind}-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def _usual_sink(sources: list[Connector]) -> Table:
    broker = next((source.id for source in sources if source.kind == "mqtt"), None)
    return {"kind": "mqtt", "via": broker} if broker else {"kind": "stdout"}


def _completed(table: Table, name: str, model: type[BaseModel], sources: list[Connector]) -> Table:
    """Return the table with what it leaves out: its id, and the only broker there is to go via."""
    known = model.model_fields
    brokers = [source.id for source in sources if source.has_topics]
    whole = {"id": name, **table} if "id" in known else table
    if "via" in known and "via" not in table and "url" not in table and len(brokers) == 1:
        return {**whole, "via": brokers[0]}
    return whole


def _with_from(table: Table, sources: list[Connector]) -> Table:
    if "from" in table or len(sources) != 1:
        return table
    return {**table, "from": sources[0].id}
