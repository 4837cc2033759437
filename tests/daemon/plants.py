"""A plant whose sensors write to files, and a daemon that follows them."""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import Self

from brokers import free_port
from daemons import Daemon

CONFIG = """
[daemon]
instance = "works"
data_dir = "{folder}/data"

[http]
listen = "127.0.0.1:{port}"
{http}

[[source]]
kind = "tail"
id = "logs"
paths = ["{folder}/*.jsonl"]
format = "jsonl"
start = "saved-or-begin"

[[stream]]
id = "plant/{{stem}}"
fields = {{ flow = "flow" }}
units = {{ flow = "l/s" }}
time = {{ path = "t", format = "unix" }}
horizons = ["1s", "5s"]

[model]
units = 20

{more}
"""
NAMES = tuple(f"pump{n:02}" for n in range(12))


class Works:
    """Twelve pumps that have written `past` lines each, and go on with ten a second.

    What is put into `odd` is the next value of that pump. A daemon that was started is killed at
    the end.
    """

    def __init__(self, folder: Path, http: str = "", more: str = "", past: int = 300) -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "pipeline.toml"
        self.config.write_text(CONFIG.format(folder=folder, port=self.port, http=http, more=more))
        self.odd: dict[str, float] = {}
        self._daemon: Daemon | None = None
        self._stopped = threading.Event()
        self._n = 0
        for n in range(-past, 0):
            self._write(n / 10)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        if self._daemon is not None:
            self._daemon.kill()

    def start(self) -> Daemon:
        self._daemon = Daemon(self.config)
        self._daemon.wait_ready(self.port)
        return self._daemon

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            self._write(0)

    def _write(self, back: float) -> None:
        self._n += 1
        for place, name in enumerate(NAMES):
            usual = 5 + math.sin(self._n / (9 + place))
            record = {"t": time.time() + back, "flow": self.odd.pop(name, usual)}
            with (self.folder / f"{name}.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")
