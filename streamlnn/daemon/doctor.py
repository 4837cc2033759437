"""`streamlnn doctor`: tries out what the configuration relies on, and says what will not do.

It goes under names of its own and leaves nothing behind, so that it may run beside the daemon.
"""

from __future__ import annotations

import ctypes
import json as jsonlib
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import click

from streamlnn.daemon.config import Config, load
from streamlnn.daemon.connector import Connector
from streamlnn.daemon.disk import examine_disk
from streamlnn.daemon.listening import findings, listen
from streamlnn.daemon.surroundings import look_around
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, Finding

LISTEN_SECS = 3.0
OUTAGE_SECS = 3600.0
USUAL_QUEUE = 100_000
PLENTY = 20_000
"""Messages a second that nothing but the machine itself holds up."""
SOUND, FAILED = 0, 1
_UNSYNCHRONISED = 5
_TIMEX_BYTES = 512

Found = list[tuple[str, Finding]]


def doctor(config_path: Path, *, json: bool) -> int:
    """Print what was found, and the way out of what will not do; return the exit code.

    Raises `ConfigError` for a configuration that is wrong by itself.
    """
    config = load(config_path)
    with _ended_in_order():
        found = [*_examine(config)]
    found += _ceilings(found)
    advice = _advice(found)
    ok = all(one.state != "problem" for _, one in found)
    if json:
        told = [{"where": where, **asdict(one)} for where, one in found]
        click.echo(jsonlib.dumps({"ok": ok, "findings": told, "advice": advice}, indent=2))
    else:
        click.echo(_text(found, advice))
    return SOUND if ok else FAILED


def _examine(config: Config) -> Iterator[tuple[str, Finding]]:
    for doubt in look_around(config):
        if not doubt.startswith("data_dir"):
            yield "files", Finding("secrets", "warning", doubt)
    yield "system", _system_clock()
    yield from (("disk", one) for one in examine_disk(config))
    heard = listen(config, LISTEN_SECS)
    for source in config.sources:
        where = f"source {source.id}"
        of_this = [*_ask(source, config)]
        if source.id in heard and all(one.state != "problem" for one in of_this):
            of_this += findings(heard[source.id], LISTEN_SECS)
        yield from ((where, one) for one in of_this)
    for sink in config.sinks:
        yield from ((f"sink {sink.id}", one) for one in _ask(sink, config))


def _ask(connector: Connector, config: Config) -> Iterator[Finding]:
    """Yield what a connector finds out itself, where it can."""
    examine = getattr(connector.type, "examine", None)
    if examine is None:
        return
    context = Context(
        config.daemon.instance,
        connector.id,
        topics=config.filters(connector.id),
        connections={source.id: source for source in config.sources},
        daemon=False,
    )
    try:
        yield from examine(connector.settings, context)
    except ConfigError as error:
        yield from (Finding("settings", "problem", problem) for problem in error.problems)


def _system_clock() -> Finding:
    """Ask the kernel whether anything keeps the clock right."""
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (AttributeError, OSError):
        state = -1
    if state == _UNSYNCHRONISED:
        way_out = "switch NTP on: timedatectl set-ntp true"
        return Finding("clock", "warning", "nothing synchronises this machine's clock", way_out)
    if state < 0:
        return Finding("clock", "ok", "the kernel does not tell whether it is synchronised")
    return Finding("clock", "ok", "is synchronised")


def _ceilings(found: Found) -> Iterator[tuple[str, Finding]]:
    """Yield, for each source, the rate that window, round trip and commit allow, if it is low."""
    commit = next((_number(one) for _, one in found if one.what == "commit"), 0.0)
    for place in dict.fromkeys(place for place, _ in found):
        own = {one.what: _number(one) for where, one in found if where == place}
        if "window" not in own or "round trip" not in own:
            continue
        rate = own["window"] / (own["round trip"] + commit)
        said = f"window, round trip and commit allow {rate:,.0f} messages a second at most"
        if rate < 2 * own.get("messages", 0.0):
            way_out = "widen the window: MQTT 5, or max_inflight_messages on the broker"
            yield place, Finding("rate", "warning", said, way_out, rate)
        elif rate < PLENTY:
            yield place, Finding("rate", "ok", said, value=rate)


def _number(one: Finding) -> float:
    return one.value if isinstance(one.value, int | float) else 0.0


def _advice(found: Found) -> list[str]:
    """Return the lines of mosquitto.conf that would lose less, where there is such a broker."""
    if not any(one.what == "broker" and "mosquitto" in str(one.value) for _, one in found):
        return []
    rate = sum(_number(one) for _, one in found if one.what == "messages")
    queue = math.ceil(rate * OUTAGE_SECS) if rate else USUAL_QUEUE
    why = f"{rate:,.3g} a second for an hour away" if rate else "the rate times the longest outage"
    return [
        "persistence true             # else a restart of the broker forgets what it queued",
        "autosave_interval 30         # seconds that a killed broker may lose",
        f"max_queued_messages {queue:<8} # {why}",
        "set_tcp_nodelay true         # answers at once",
    ]


def _text(found: Found, advice: list[str]) -> str:
    places = [place for place, _ in found]
    wide = max(map(len, places))
    lines = []
    for before, (place, one) in zip(["", *places], found, strict=False):
        shown = place if place != before else ""
        lines.append(f"{shown:<{wide}}  {one.state:<7}  {one.what}: {one.said}")
        if one.way_out:
            lines.append(f"{'':<{wide}}  {'':<7}  -> {one.way_out}")
    if advice:
        lines += [
            "",
            "For mosquitto.conf, so that nothing is lost while one side is away:",
        ]
        lines += [f"  {line}" for line in advice]
    counts = [sum(one.state == state for _, one in found) for state in ("problem", "warning")]
    told = ", ".join(
        f"{count} {word}{'' if count == 1 else 's'}"
        for count, word in zip(counts, ("problem", "warning"), strict=True)
    )
    return "\n".join([*lines, "", told])


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM unwind as Ctrl-C does: what was opened at the broker is closed there."""

    def stop(number: int, frame: FrameType | None) -> Any:  # noqa: ARG001 - the signal's shape
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
