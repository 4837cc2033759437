"""A proposed configuration as TOML, with comments for whoever reads one for the first time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from streamlnn.daemon.discovery.cadence import as_text, exact
from streamlnn.daemon.discovery.points import FORMAT
from streamlnn.daemon.discovery.stamps import Stamp
from streamlnn.daemon.discovery.tables import Proposal, Table
from streamlnn.daemon.logs import printable
from streamlnn.daemon.toml import as_key, as_toml

_WIDTH = 100
_TOPICS_SHOWN = 3
_NUMBERS_SHOWN = 12
_LEFT_OUT_SHOWN = 5
_LEFT_OUT_WRITTEN = 100
_LETTERS = 80

_DAEMON = """\
# A configuration of streamlnn. `streamlnn check FILE` finds what is wrong with it, and
# `streamlnn run FILE --dry-run --for 1m` shows its forecasts without publishing or keeping any.
# `streamlnn schema config` lists every key there is.

[daemon]
# The name is part of the MQTT client id, of the output topics and of the metrics.
instance = "plant1"
# Learned states and the journal are kept here; by default in systemd's StateDirectory, or else
# in ~/.local/state/streamlnn.
# data_dir = "/var/lib/streamlnn\""""

_URL = "mqtt, or mqtts for an encrypted connection; ws, wss and unix are known, too."
_LINES = "Line protocol, as Telegraf publishes it. A source reads one format, here this one."

_NO_LOGIN = """\
# Where the broker wants to know who comes; the file holds the password alone (chmod 600).
# username = "streamlnn"
# password_file = "/etc/streamlnn/password\""""

_SINK = """\
# Without a [[sink]] forecasts go back to the broker that the samples came from, under
# streamlnn/plant1/stream/ID/forecast. See them: mosquitto_sub -v -t 'streamlnn/plant1/#'
# Home Assistant shows them as devices, too, with:
# [[sink]]
# kind = "homeassistant"
# via = "plant"
"""

_EXAMPLE = (
    "This is an example. Write your own topics and numbers, or let `streamlnn init --discover 60s "
    "--broker URL` listen and propose them."
)
_ID = "Each topic that fits is a stream of its own, named by the levels in braces."
_FIELDS = "name = where the number stands in the payload."
_TARGETS = (
    "Of the fields these are forecast, without this all. The others only count, follow from these "
    "or did not move while heard; they are learned from all the same."
)
_EVERY = (
    "The usual time between samples, as heard; three times as long is a gap. Without this line it "
    "is learned: take it out where devices speak at a pace of their own."
)
_UNSTEADY = "Samples came about so often, but not steadily or not for long: the pace is learned."
_RECEIPT = "The payload tells no time, so a sample's time is that of its receipt."
_TIME = "Where the payload says when the sample was taken; without this: the time of receipt."
_HORIZONS = "How far ahead to forecast: durations, or numbers of samples as in [1, 12, 48]."
_SELDOM = "Heard too seldom to tell the pace, so these count samples; durations will do as well."
_SERIES = (
    "Each series is a stream of its own: {_series} is the measurement with its tags. Every number "
    "is taken, at most 32; to follow fewer give the topics that have them a table with fields."
)
_LIMITS = "A limit that will be passed is told ahead of time: limits = { NAME = [-20, 85] }"
_WIDE = (
    "The topics here are many and not all alike: what a stream lacks of these fields is missing, "
    "and messages without any number are put aside and counted."
)

_BATCHED = (
    "{} payloads had several points, and such are refused: let Telegraf publish each by itself, "
    'with layout = "non-batch" in its [[outputs.mqtt]].'
)


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach a broker, as the table of a source has it; empty is not given."""

    url: str = "mqtt://localhost:1883"
    username: str = ""
    password_file: str = ""
    ca: str = ""


def config_text(broker: Broker, proposal: Proposal) -> str:
    """Return a whole configuration that follows the tables of `proposal` at `broker`."""
    once = _Once()
    forms = sorted({table.form for table in proposal.tables}, reverse=True)
    sources = dict(zip(forms, ("plant", "telegraf"), strict=False))
    parts = [_DAEMON]
    parts += ["\n".join(_source(broker, *source, once)) for source in sources.items()]
    parts += ["\n".join(_stream(table, sources[table.form], once)) for table in proposal.tables]
    if proposal.left_out:
        said = reasons(proposal, _LEFT_OUT_WRITTEN)
        lines = (line for why in said for line in _comment(f"- {why}", "  "))
        parts.append("\n".join(["# Left out of what was heard:", *lines]))
    return "\n\n".join([*parts, _SINK])


def verbatim(value: str | Sequence[str] | Sequence[int] | dict[str, str]) -> str:
    """Return a value as TOML that is taken as it is: no ${NAME} in it is of the environment.

    >>> print(verbatim({"temp": "$x"}))
    { temp = "$$x" }
    """
    return as_toml(value).replace("$", "$$")


def reasons(proposal: Proposal, shown: int = _LEFT_OUT_SHOWN) -> Iterator[str]:
    """Yield a line for each reason for which topics were left out, with the first of them."""
    for why, topics in proposal.left_out.items():
        yield f"{why}: {_some(topics, shown)}"


class _Once:
    """Explains a thing where it stands for the first time."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, text: str, when: bool = True) -> list[str]:
        if not when or text in self._said:
            return []
        self._said.add(text)
        return _comment(text)


def _source(broker: Broker, form: str, name: str, once: _Once) -> Iterator[str]:
    yield from once(_LINES, form == FORMAT)
    yield f'[[source]]\nkind = "mqtt"\nid = "{name}"'
    if form == FORMAT:
        yield f'format = "{FORMAT}"'
    yield from once(_URL)
    yield f"url = {verbatim(broker.url)}"
    if broker.username:
        yield f"username = {verbatim(broker.username)}"
    if broker.password_file:
        yield f"password_file = {verbatim(broker.password_file)}"
    if not broker.username and name == "plant":
        yield _NO_LOGIN
    if broker.ca:
        yield f"tls = {verbatim({'ca': broker.ca})}"


def _stream(table: Table, source: str, once: _Once) -> Iterator[str]:
    yield "[[stream]]"
    yield from _heard(table) if table.topics else once(_EXAMPLE)
    yield f'from = "{source}"'
    yield f"topic = {verbatim(table.topic)}"
    yield from once(_ID, bool(table.fields) and "{" in table.id)
    yield f"id = {verbatim(table.id)}"
    yield from once(_FIELDS if table.fields else _SERIES)
    yield from _fields(table) if table.fields else ()
    yield from _targets(table, once)
    yield from once(_TIME if table.stamp else _RECEIPT)
    yield from _time(table.stamp) if table.stamp else ()
    yield from _every(table, once)
    yield from once(_HORIZONS)
    yield from once(_SELDOM, bool(table.topics) and table.step is None)
    yield f"horizons = {verbatim(table.horizons)}"
    yield from once(_LIMITS)
    if table.units:
        yield from _table("units", table.units)


def _targets(table: Table, once: _Once) -> Iterator[str]:
    if table.targets:
        yield from once(_TARGETS)
        yield f"targets = {verbatim(table.targets)}"


def _every(table: Table, once: _Once) -> Iterator[str]:
    if table.every:
        yield from once(_EVERY)
        yield f"every = {verbatim(table.every)}"
    elif table.step:
        yield from once(_UNSTEADY)
        yield f"# every = {verbatim(exact(table.step))}"


def _heard(table: Table) -> Iterator[str]:
    n = len(table.topics)
    topics = "1 topic" if n == 1 else f"{n} topics"
    pace = f", {'each ' if n > 1 else ''}every {as_text(table.step)} or so" if table.step else ""
    yield from _comment(f"Heard on {topics}{pace}: {_some(table.topics, _TOPICS_SHOWN)}")
    if table.is_wide:
        yield from _comment(_WIDE)
    if table.batched:
        yield from _comment(_BATCHED.format(table.batched))


def _fields(table: Table) -> Iterator[str]:
    yield from _table("fields", table.fields)
    if table.not_taken:
        yield from _comment(f"Numbers left out: {_some(table.not_taken, _NUMBERS_SHOWN)}")


def _table(key: str, told: Mapping[str, str]) -> Iterator[str]:
    line = f"{key} = {verbatim(dict(told))}"
    if len(line) <= _WIDTH:
        yield line
    else:
        yield from (f"{key}.{as_key(name)} = {verbatim(one)}" for name, one in told.items())


def _time(stamp: Stamp) -> Iterator[str]:
    shown = {"path": stamp.path, "format": stamp.format}
    if stamp.offset_secs is not None:
        shown["zone"] = stamp.zone
        yield from _comment(_zone(stamp, stamp.offset_secs))
    yield f"time = {verbatim(shown)}"


def _zone(stamp: Stamp, offset_secs: int) -> str:
    return (
        "These stamps do not tell their zone. Beside the time of their arrival they are those of "
        f"UTC{offset_secs / 3600:+g} h, hence {stamp.zone}. Where the clock changes in summer name "
        'the place, as in "Europe/Berlin", or let the sender write UTC.'
    )


def _comment(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent=f"# {indent}",
        break_on_hyphens=False,
        break_long_words=False,
    )


def _some(names: Sequence[str], shown: int) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return printable(", ".join(_short(name) for name in names[:shown])) + more


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 3]}..."
