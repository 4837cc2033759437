"""`streamlnn health`: ask the running daemon whether it lives, for a container's health check."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING

import click

from streamlnn.daemon.address import split_address

if TYPE_CHECKING:
    from streamlnn.daemon.config import Config

TIMEOUT_SECS = 5.0

_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read here, not bound


def health(config: Config) -> int:
    """Print what `/healthz` of the daemon behind `config` answers.

    Returns the exit code: 0 when it is well, 1 when it is not, does not answer within 5 seconds,
    or serves no HTTP.
    """
    listen = config.http.listen
    if not listen:
        return _failed('http.listen is off; give an address, such as "127.0.0.1:8642"')
    host, port = split_address(listen)
    try:
        code, body = _ask(_EVERYWHERE.get(host, host), port)
    except (OSError, HTTPException) as error:
        return _failed(f"no answer from {listen}: {error or repr(error)}; is `streamlnn run` up?")
    click.echo(body)
    return 0 if code == 200 else 1


def _ask(host: str, port: int) -> tuple[int, str]:
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECS)
    try:
        connection.request("GET", "/healthz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _failed(reason: str) -> int:
    click.echo(f"streamlnn health: {reason}", err=True)
    return 1
