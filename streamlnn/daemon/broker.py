"""The demo's MQTT broker: amqtt in a process of its own, on a free port of the loopback.

A process, because the broker is Python too: in ours it would take turns with the daemon for the
interpreter. It speaks MQTT 3.1.1, keeps everything in memory, and ends when its standard input
does, so that it cannot outlive the process that started it, however that one ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from streamlnn.errors import StreamlnnError

_END_SECS = 5.0
# amqtt drops a client at its keep-alive exactly; the standard allows half as much again.
_KEEPALIVE_GRACE_SECS = 30


@contextmanager
def embedded_broker() -> Iterator[int]:
    """Run a broker for the length of the block and give its port on 127.0.0.1.

    Raises `StreamlnnError` when it does not start. Costs about half a second.
    """
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "streamlnn.daemon.broker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is ours to handle: the broker goes last
    )
    try:
        yield _port(child)
    finally:
        _end(child)


def _port(child: subprocess.Popen[str]) -> int:
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line:
        raise StreamlnnError(
            f"the embedded broker did not start (exit code {child.wait()}); its reason stands above"
        )
    return int(line)


def _end(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()
    try:
        child.wait(_END_SECS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


async def _serve() -> None:
    from amqtt.broker import Broker

    broker = Broker(
        {
            "listeners": {"default": {"type": "external"}},
            "timeout_disconnect_delay": _KEEPALIVE_GRACE_SECS,
            "plugins": {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            },
        }
    )
    await broker.start()
    # Listening ourselves is the one way to learn which free port it became.
    connected = partial(broker.stream_connected, listener_name="default")
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    # Nobody is left to serve, and amqtt reports each of its cancelled tasks as an error.
    os._exit(0)


def main() -> None:
    """Serve until standard input ends."""
    logging.getLogger("amqtt").setLevel(logging.CRITICAL)
    logging.getLogger("transitions").setLevel(logging.CRITICAL)
    asyncio.run(_serve())


if __name__ == "__main__":
    main()
