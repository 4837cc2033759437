"""Waiting for other processes, with an end to patience."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress

from streamlnn.errors import StreamlnnError


class SoakFailed(StreamlnnError):  # noqa: N818 - what it is
    """The soak could not go on; says why."""


def wait_until(condition: Callable[[], bool], what: str, secs: float) -> None:
    """Return as soon as `condition()` holds. Raises `SoakFailed`, naming `what`, after `secs`."""
    deadline = time.monotonic() + secs
    while not condition():
        if time.monotonic() > deadline:
            raise SoakFailed(f"waited {secs:g} s in vain for {what}")
        time.sleep(0.01)


def wait_while_moving(
    done: Callable[[], bool], progress: Callable[[], object], patience_secs: float
) -> bool:
    """Wait until `done()`; return False once `progress()` has stood still for so long."""
    last, since = progress(), time.monotonic()
    while not done():
        if (now := progress()) != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > patience_secs:
            return False
        time.sleep(0.05)
    return True


def free_port() -> int:
    """Return a TCP port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a TCP port of the loopback."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
