"""`streamlnn health`: ask the running daemon whether it lives, for a container's health check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from streamlnn.daemon.client import Client
from streamlnn.errors import InputUnavailable

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config


def health(config: Config) -> int:
    """Print what `/healthz` of the daemon behind `config` answers.

    Returns the exit code: 0 when it is well, 1 when it is not, does not answer within 5 seconds,
    or serves no HTTP.
    """
    try:
        code, body = Client(config.http).get("/healthz")
    except InputUnavailable as error:
        click.echo(f"streamlnn health: {error}", err=True)
        return 1
    click.echo(body.decode(errors="replace"))
    return 0 if code == 200 else 1
