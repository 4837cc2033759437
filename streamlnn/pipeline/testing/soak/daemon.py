"""The daemon under test: a process of its own, started as a user would, and ended in every way."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

from streamlnn.pipeline.testing.soak.waiting import SoakFailed, free_port, listens, wait_until

INSTANCE = "soak"
SOURCE = "broker"
_CONFIG = """\
[daemon]
instance = "{instance}"
data_dir = "{data_dir}"
snapshot_every = "10s"

[http]
listen = "127.0.0.1:{http}"

[[source]]
kind = "mqtt"
id = "{source}"
url = "mqtt://127.0.0.1:{port}"
keepalive = "5s"

[[stream]]
topic = "soak/{{device}}"
id = "{{device}}"
fields = {{ value = "value" }}
time = {{ path = "ts", format = "unix_ms" }}
horizons = [1, 12, 48]
"""
READY_SECS = 240.0
"""The first start on a machine compiles the model."""
_END_SECS = 120.0
_GARBAGE = 3_000


class Daemon:
    """`streamlnn run`, again and again on one data directory.

    `command` is what runs streamlnn, `starts` are the seconds from each start to readiness,
    `troubles` say how it ended where nobody had ended it. Logs and data lie in `folder`.
    """

    def __init__(self, folder: Path, command: Sequence[str], port: int) -> None:
        self.data_dir = folder / "data"
        self.config = folder / "pipeline.toml"
        self.log = folder / "daemon.log"
        self.http = free_port()
        self.starts: list[float] = []
        self.troubles: list[str] = []
        self.torn = 0
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._is_counted = False
        folder.mkdir(parents=True)
        text = _CONFIG.format(
            instance=INSTANCE, data_dir=self.data_dir, http=self.http, source=SOURCE, port=port
        )
        self.config.write_text(text)

    @property
    def pid(self) -> int | None:
        """The process's id while it runs."""
        process = self._process
        return process.pid if process and process.poll() is None else None

    def start(self) -> None:
        """Run it, without waiting for anything."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own
                [*self._command, "run", str(self.config)], stdout=log, stderr=log
            )
        self._started, self._is_counted = time.monotonic(), False

    def wait_ready(self) -> None:
        """Return once its state is restored and it is connected.

        One that ended by itself is noted and started again; raises `SoakFailed` when none gets
        ready.
        """
        wait_until(self._is_ready, f"the daemon's readiness (see {self.log})", READY_SECS)
        if not self._is_counted:
            self.starts.append(time.monotonic() - self._started)
            self._is_counted = True

    def wait_begun(self) -> None:
        """Return once it has begun to restore its state: it serves HTTP by then."""
        wait_until(self._has_begun, f"the daemon's beginning (see {self.log})", READY_SECS)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL)."""
        self._note_trouble()
        if self._process is not None:
            self._process.kill()
            self._process.wait(_END_SECS)
            self._process = None

    def stop(self) -> None:
        """End it as a service manager would (SIGTERM); another exit code than 0 is trouble."""
        self._note_trouble()
        if self._process is None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(_END_SECS)
        except subprocess.TimeoutExpired:
            self.troubles.append(f"did not end within {_END_SECS:g} s when told to stop")
            self.kill()
            return
        if code != 0:
            self.troubles.append(f"ended with {code} when told to stop")
        self._process = None

    def tear(self) -> None:
        """Put garbage behind what it wrote last, as a write that was cut off leaves it."""
        for path in self.data_dir.glob("*-wal"):
            with path.open("ab") as file:
                file.write(os.urandom(_GARBAGE))
            self.torn += 1

    def ask(self, path: str) -> bytes | None:
        """Return what its HTTP server answers; None when it does not, or not well."""
        url = f"http://127.0.0.1:{self.http}{path}"
        with suppress(OSError, HTTPException), urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())
        return None  # it may have been killed in the middle of its answer

    def _is_ready(self) -> bool:
        return self._has_begun() and self.ask("/readyz") is not None

    def _has_begun(self) -> bool:
        self._note_trouble()
        if self._process is None:
            self.start()
        return listens(self.http)

    def _note_trouble(self) -> None:
        if self._process is None or self._process.poll() is None:
            return
        self.troubles.append(f"ended by itself with {self._process.returncode}: {self._tail()}")
        self._process = None
        if len(self.troubles) > 20:
            raise SoakFailed(f"the daemon ends again and again by itself (see {self.log})")

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"
