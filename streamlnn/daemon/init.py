"""`streamlnn init`: a commented configuration to begin with, or one for what a broker says."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from streamlnn.daemon.config import Config, loads
from streamlnn.daemon.discovery.proposal import propose
from streamlnn.daemon.discovery.stamps import Stamp
from streamlnn.daemon.discovery.tables import Proposal, Table
from streamlnn.daemon.discovery.text import Broker, config_text, reasons
from streamlnn.daemon.logs import printable
from streamlnn.daemon.overhearing import overhear
from streamlnn.errors import ConfigError, InputUnavailable, StreamlnnError

log = logging.getLogger("streamlnn.init")

_ZONES = "zoneinfo/"

EXAMPLE = Proposal(
    tables=(
        Table(
            topic="sensors/{site}/{device}/telemetry",
            id="{site}/{device}",
            fields={"temperature": "values.temp", "vibration": "values.rms"},
            stamp=Stamp("ts", "unix_ms"),
            horizons=["10s", "1m", "10m"],
            step=None,
            topics=(),
            not_taken=(),
        ),
    ),
    left_out={},
)
"""What a configuration follows as long as nobody has listened: an example to be changed."""


def init(
    output: Path | None,
    *,
    force: bool,
    broker: Broker,
    discover_secs: float | None,
    topics: Sequence[str],
) -> int:
    """Write a configuration to `output`, or to stdout; return the exit code.

    With `discover_secs` it follows what was heard on `topics` at the broker in that time, and
    without it an example. Raises `click.UsageError` for a file that is there already and for a
    broker that is none, and `InputUnavailable` when the broker is out of reach or nothing that can
    be forecast was heard: then nothing is written.
    """
    if output and output.exists() and not force:
        raise click.UsageError(f"{output} is there already: name another file, or give --force.")
    example = config_text(broker, EXAMPLE)
    config = _checked(example)
    if discover_secs is None:
        _write(output, example, "write your own topics into it, then")
    else:
        _write(output, _discover(config, broker, topics, discover_secs), "next")
    return 0


def broker_of(url: str, username: str, password_file: Path | None, ca: Path | None) -> Broker:
    """Return the broker that the options name; a user in the url becomes the `username`.

    Raises `click.UsageError` for a password in the url.

    >>> broker_of("mqtt://me@plant.local", "", None, None)
    Broker(url='mqtt://plant.local', username='me', password_file='', ca='')
    """
    scheme, apart, rest = url.partition("://")
    user, at, host = rest.rpartition("@")
    if ":" in user:
        raise click.UsageError("A password in a url is for all to see: give --password-file FILE.")
    paths = [str(path.absolute()) if path else "" for path in (password_file, ca)]
    return Broker(f"{scheme}{apart}{host}" if at else url, username or unquote(user), *paths)


def home_zone(environment: str | None, localtime: Path) -> str:
    """Return the name of this machine's time zone: of $TZ, or where /etc/localtime points to.

    >>> home_zone("Europe/Berlin", Path("/nowhere"))
    'Europe/Berlin'
    """
    name = environment or str(localtime.resolve()).partition(_ZONES)[2]
    try:
        return ZoneInfo(name.removeprefix(":")).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"  # such as CET-1CEST, which names no place


def _checked(text: str) -> Config:
    """Return the configuration that stands in `text`; only what the user gave can be wrong."""
    try:
        return loads(text, "init")
    except ConfigError as error:
        said = "\n".join(problem.split(": ", 1)[1] for problem in error.problems)
        raise click.UsageError(said) from None


def _discover(config: Config, broker: Broker, topics: Sequence[str], secs: float) -> str:
    ear = overhear(config.sources[0], topics, secs)
    if not ear.messages:
        raise InputUnavailable(
            f"nothing was said at {broker.url} within {secs:g} s: listen longer, and see with "
            f"mosquitto_sub -v -t '{topics[0]}' whether somebody speaks and this user may read it"
        )
    proposal = propose(ear, home_zone(os.environ.get("TZ"), Path("/etc/localtime")))
    if ear.crowded:
        log.warning("too many topics: %d messages were not looked at; give --topic", ear.crowded)
    if not proposal.tables:
        said = "".join(f"\n  {line}" for line in reasons(proposal))
        raise InputUnavailable(
            f"nothing at {broker.url} that can be forecast; what was heard, and why not:{said}\n"
            "listen longer, or write what to follow yourself: streamlnn init -o FILE"
        )
    _tell(proposal)
    return config_text(broker, proposal)


def _tell(proposal: Proposal) -> None:
    for table in proposal.tables:
        names = ", ".join(table.fields) or "every number of each series of line protocol"
        click.echo(printable(f"follows {table.topic}: {names}"), err=True)
    for line in reasons(proposal):
        click.echo(f"left out, {line}", err=True)


def _write(output: Path | None, text: str, then: str) -> None:
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text)
    except OSError as error:
        raise StreamlnnError(f"cannot write {output}: {error.strerror}; name another") from None
    click.echo(f"{output} is written; {then}: streamlnn check {output}", err=True)
