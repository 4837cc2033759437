"""A whole pipeline on a journal on disk, fed and read over MQTT, in a thread of its own."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any, Self

from brokers import wait_until

from connectors.codecs import JsonCodec
from connectors.mqtt import MqttSink, MqttSource
from connectors.mqtt.settings import MqttSinkSettings, MqttSourceSettings
from streamlnn.model import stepping
from streamlnn.pipeline.contract import Context
from streamlnn.pipeline.journal import FILE, Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings

SECOND = 1_000_000_000
TOPIC = "s/pump"
FORECASTS = "streamlnn/i/stream/pump/forecast"
TABLE = {
    "topic": "s/{name}",
    "id": "{name}",
    "time": {"path": "t", "format": "unix"},
    "horizons": [1],
}


def sample(n: int) -> bytes:
    """The `n`-th sample: no two have the same time."""
    return json.dumps({"t": n, "v": n % 7}).encode()


def number(payload: bytes) -> int:
    """Which sample a payload is, or which one a forecast belongs to: they count from 1 and 0."""
    told = json.loads(payload)
    return int(told["t"]) if "t" in told else int(told["seq"]) + 1


class Noting(Observer):
    """Adds up the counters, lists the states of the source as they change, and its trouble."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, ...]] = Counter()
        self.states: list[str] = []
        self.trouble = ""

    def count(self, name: str, n: int = 1, **labels: str) -> None:
        self.counts[name, *(labels[key] for key in sorted(labels) if key == "reason")] += n

    def source(self, name: str, /, state: str, detail: str = "") -> None:
        self.trouble = detail
        if not self.states or self.states[-1] != state:
            self.states.append(state)


class Plant:
    """`url` is the source's broker, `sink_url` the sink's own; without it they share one.

    As a context manager it runs; whatever the loop raised comes out at the end.
    """

    def __init__(self, folder: Path, url: str, sink_url: str = "", **settings: Any) -> None:
        self.file = folder / "data" / FILE
        self.observer = Noting()
        options = MqttSourceSettings(id="plant", url=url, **settings)
        self.source = MqttSource(options, Context(instance="i", topics=("s/+",)))
        context = Context(instance="i", connections={"plant": self.source})
        way = {"url": sink_url} if sink_url else {"via": "plant"}
        self.sink = MqttSink(MqttSinkSettings(**way), context)
        self._folder = folder / "data"
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self.pipeline: Pipeline | None = None
        self._made = threading.Event()

    def wait_ready(self, secs: float = 20.0) -> None:
        wait_until(lambda: self.source.ready, "the source to be ready", secs)

    def journalled(self) -> list[int]:
        """The numbers of the samples on disk, in the order of the log."""
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as db:
            return [time // SECOND for (time,) in db.execute("SELECT time FROM log ORDER BY lsn")]

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._made.wait(120), "the pipeline was not made"
        return self

    def __exit__(self, *_: object) -> None:
        if self.pipeline is not None:
            self.pipeline.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the pipeline does not end"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            stepping.warm()  # compiling takes longer than a test's keepalive
            # A journal belongs to the thread that opened it.
            streams = StreamMap([StreamSettings(**TABLE)], JsonCodec())
            self.pipeline = Pipeline(
                Journal(self._folder),
                [(self.source, streams)],
                [self.sink],
                self.observer,
                instance="i",
                model=ModelSettings(units=8),
            )
            self._made.set()
            self.pipeline.run()
        except BaseException as error:
            self._error = error
            self._made.set()
