"""The daemon as a process of its own, as a user starts it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from brokers import wait_until

Identity = tuple[str, int, int]


class Daemon:
    """`streamlnn run CONFIG`; `errors` is what it wrote to stderr."""

    def __init__(self, config: Path, *flags: str, **environment: str) -> None:
        self.config = config
        self._log = config.with_suffix(f".{len(list(config.parent.glob('*.log')))}.log")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command(*flags, "run", config),
                stdout=log,
                stderr=log,
                env=os.environ | environment,
            )

    @property
    def errors(self) -> str:
        return self._log.read_text()

    def has_said(self, text: str) -> bool:
        assert self.process.poll() is None, f"the daemon ended:\n{self.errors}"
        return text in self.errors

    def has_ended_saying(self, text: str) -> bool:
        assert self.process.poll() is not None, "the daemon is still running"
        return text in self.errors

    def wait_ready(self, port: int) -> None:
        url = f"http://127.0.0.1:{port}/readyz"
        wait_until(lambda: self.has_said("") and answers(url), "readiness", secs=60)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(20)

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "streamlnn", *map(str, arguments)]


def streamlnn(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command to its end."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        timeout=250,
        input=stdin,
    )


@contextmanager
def running(config: Path, port: int) -> Iterator[Daemon]:
    """A daemon that is ready; killed at the end if the test has not ended it."""
    daemon = Daemon(config)
    try:
        daemon.wait_ready(port)
        yield daemon
    finally:
        if daemon.process.poll() is None:
            daemon.kill()


def answers(url: str) -> bool:
    with (
        contextlib.suppress(urllib.error.URLError, OSError),
        urllib.request.urlopen(url, timeout=2),
    ):
        return True
    return False


def digest(stderr: bytes) -> str:
    found = re.search(rb"digest ([0-9a-f]{32})", stderr)
    assert found, stderr.decode()
    return found[1].decode()


def by_identity(payloads: Iterable[bytes]) -> dict[Identity, bytes]:
    """Forecasts by (stream, epoch, seq); fails when one of them was said with two values."""
    found: dict[Identity, bytes] = {}
    for payload in payloads:
        told = json.loads(payload)
        identity = (told["stream"], told["epoch"], told["seq"])
        assert found.setdefault(identity, payload) == payload, f"two values of {identity}"
    return found
