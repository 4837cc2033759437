"""`streamlnn top`: all streams of the running daemon, live, the oddest first."""

from __future__ import annotations

import json
import math
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console, Group
from rich.live import Live

from streamlnn.daemon import terminal
from streamlnn.daemon.client import Client, Frame
from streamlnn.daemon.metrics import PREFIX
from streamlnn.daemon.overview import Facts, Overview, Rate, Standing, Steady
from streamlnn.daemon.sheet import Page, sheet
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.messages import EventMessage

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config

COUNT_EVERY_SECS = 3.0
"""So often the metrics are asked for; all else comes by itself."""
PIPED_COLUMNS = 200
"""So wide may the table be where there is no terminal."""

_standings = msgspec.json.Decoder(list[Standing])
_event = msgspec.json.Decoder(EventMessage)


def top(config: Config, *, order: str, once: bool, as_json: bool) -> None:
    """Show the streams of the daemon behind `config` until Ctrl-C; once, where nobody looks.

    Raises `InputUnavailable` when it does not answer at the start, and
    `StreamlnnError` when it is not understood.
    """
    client = Client(config.http, config.http.secret())
    view = _View(client, config.daemon.instance if config.path else client.listen, order)
    with client.understood():
        if as_json or once or not terminal.is_ours(1):
            view.print_once(as_json=as_json)
        else:
            view.show()


class _View:
    """What the daemon tells, and the table made of it."""

    def __init__(self, client: Client, name: str, order: str) -> None:
        self._client = client
        self._order = order
        self._steady = Steady(order)
        self._overview = Overview()
        self._facts = Facts(name, "", ())
        self._rate = Rate()
        self._rated: float | None = None
        self._counted_at = -math.inf

    def print_once(self, *, as_json: bool) -> None:
        """Print all streams as they stand, as a table or as a list in JSON."""
        any(self._take(frame) == "streams" for frame in self._client.follow())
        if as_json:
            click.echo(json.dumps([_listed(one) for one in self._overview.sorted(self._order)]))
            return
        console = Console()
        if not console.is_terminal:
            console.width = PIPED_COLUMNS
        console.print(self._sheet(console, None))

    def show(self) -> None:
        """Show them until an interrupt; a daemon that is gone is waited for."""
        console, frames = Console(), self._client.follow()
        self._take(next(frames))
        with (
            Live(console=console, screen=True, auto_refresh=False) as live,
            terminal.suspendable(live.stop, live.start),
        ):
            for frame in frames:
                if self._take(frame) in ("streams", "lost"):
                    live.update(self._sheet(console, console.height), refresh=True)

    def _sheet(self, console: Console, height: int | None) -> Group:
        page = Page(console.width, height, not console.options.ascii_only)
        standings = self._steady.sorted(self._overview, time.monotonic())
        return sheet(standings, self._overview, self._facts, self._rated, page)

    def _take(self, frame: Frame) -> str:
        """Take what is told; return of which kind it was."""
        if frame.kind == "begin":
            self._overview.begin()
        elif frame.kind == "daemon":
            self._facts = _facts(frame.data, self._facts)
        elif frame.kind == "streams":
            self._overview.take(_standings.decode(frame.data))
            self._count(time.monotonic())
        elif frame.kind == "event":
            self._overview.events.append(_event.decode(frame.data))
        elif frame.kind == "lost":
            why = f"waiting for the daemon: {frame.data.decode()}"
            self._facts = replace(self._facts, troubles=(why,))
        return frame.kind

    def _count(self, now: float) -> None:
        if now - self._counted_at < COUNT_EVERY_SECS:
            return
        with suppress(InputUnavailable, ValueError):  # gone, or busy: asked again in a moment
            self._rated = self._rate.note(records(self._client), now)
            self._counted_at = now


def records(client: Client) -> int:
    """Return how many records the daemon has accepted since its start.

    Raises `InputUnavailable` when it does not answer, `ValueError` when it is too busy to tell.
    """
    families = text_string_to_metric_families(client.get("/metrics")[1].decode())
    samples = [sample for family in families for sample in family.samples]
    return int(sum(one.value for one in samples if one.name == f"{PREFIX}records_total"))


def _facts(data: bytes, before: Facts) -> Facts:
    told = msgspec.json.decode(data, type=_Told)
    return Facts(told.instance or before.name, told.version, tuple(told.missing))


class _Told(msgspec.Struct):
    """What the API tells of the daemon."""

    instance: str | None
    version: str
    missing: list[str]


def _listed(one: Standing) -> dict[str, Any]:
    return {key: told for key, told in msgspec.to_builtins(one).items() if key != "latest"}
