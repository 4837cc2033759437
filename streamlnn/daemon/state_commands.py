"""The commands `streamlnn state ...`: parse and call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from streamlnn.daemon.shell import FILE, Listing, set_up_logs, verbosity

_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def _where(function: Callable[..., Any]) -> Callable[..., Any]:
    argument = click.argument(
        "where", type=FILE, envvar="STREAMLNN_CONFIG", required=False, callback=_needed
    )
    return argument(function)


def _needed(_ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path:
    set_up_logs()
    if path is None:
        raise click.UsageError(
            "Name a configuration or a data directory: WHERE, or STREAMLNN_CONFIG."
        )
    return path


@click.group(cls=Listing)
@verbosity
def state() -> None:
    """Look into what streams have learned, and move it; forget a sink.

    WHERE is a configuration or its data directory. A daemon may run on it, unless the state is to
    be changed.
    """


@state.command("ls")
@_where
@_json_option
@verbosity
def ls(where: Path, as_json: bool) -> int:
    """List the streams of a store."""
    from streamlnn.daemon.state import list_streams

    return list_streams(where, json=as_json)


@state.command()
@click.argument("id")
@_where
@_json_option
@verbosity
def show(id: str, where: Path, as_json: bool) -> int:  # noqa: A002 - the argument's name
    """Show one stream: its scores, and how much each expert is heard."""
    from streamlnn.daemon.state import show_stream

    return show_stream(where, id, json=as_json)


@state.command()
@click.argument("id")
@click.argument("file", type=FILE)
@_where
@verbosity
def export(id: str, file: Path, where: Path) -> int:  # noqa: A002 - the argument's name
    """Write all that a stream is to FILE: arrays and JSON, for `import` or from Python."""
    from streamlnn.daemon.state import export_to

    return export_to(where, id, file)


@state.command("import")
@click.argument("file", type=FILE)
@_where
@click.option("--stream", metavar="ID", help="Only the model, for this stream of the store.")
@verbosity
def import_(file: Path, where: Path, stream: str | None) -> int:
    """Put an exported stream into a store, in place of one of the same name.

    With --stream only the model is taken, also out of a file that Forecaster.save wrote in Python;
    the stream keeps its fields, topic, clock and settings. The model's settings must equal those:
    `state show` prints the call in Python that has them.
    """
    from streamlnn.daemon.state import import_from, import_model

    return import_from(where, file) if stream is None else import_model(where, file, stream)


@state.command()
@click.argument("id")
@_where
@verbosity
def reset(id: str, where: Path) -> int:  # noqa: A002 - the argument's name
    """Let a stream forget what it has learned and begin anew."""
    from streamlnn.daemon.state import reset as forget

    return forget(where, id)


@state.command("forget-sink")
@click.argument("id")
@_where
@verbosity
def forget_sink(id: str, where: Path) -> int:  # noqa: A002 - the argument's name
    """Delete what is kept for a sink that will not come back."""
    from streamlnn.daemon.state import forget_sink as forget

    return forget(where, id)


@state.command("dead-letters")
@_where
@click.option("--reason", default="", metavar="TEXT", help="Only those whose reason says TEXT.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    metavar="N",
    help="The newest N.",
)
@_json_option
@verbosity
def dead_letters(where: Path, reason: str, limit: int, as_json: bool) -> int:
    """Show messages that could not be read, and why.

    The newest 10,000 are kept, the first 4 KB of each.
    """
    from streamlnn.daemon.dead_letters import show_dead_letters

    return show_dead_letters(where, reason=reason, limit=limit, json=as_json)
