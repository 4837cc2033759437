"""`streamlnn record`: the inputs as they come, a line of JSON for each message.

`{"source": ..., "topic": ..., "received": ..., "payload": ...}`; instead of the topic a `path`,
instead of a payload that is no text its `base64`; and `columns`, `codec` and `retained` where there
is something to say. The format is read by `connectors.heard`.
"""

from __future__ import annotations

import base64
import gzip
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Self, cast

import click
import msgspec

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.config import Config
from streamlnn.daemon.footprint import size
from streamlnn.daemon.run import make_sources, stopping
from streamlnn.errors import InputUnavailable, StreamlnnError
from streamlnn.pipeline.contract import Message, Source
from streamlnn.pipeline.feed import Feed
from streamlnn.pipeline.observer import Observer
from streamlnn.pipeline.timestamps import rfc3339

log = logging.getLogger("streamlnn.record")

FLUSH_SECS = 0.5
IDLE_SECS = 0.05


def record(config: Config, output: Path, *, for_secs: float | None) -> int:
    """Record until SIGTERM or SIGINT, for `for_secs` seconds, or until all sources have ended.

    Raises `InputUnavailable` when nothing came: then no file is left. An input that is lost is
    waited for; what its broker had to say meanwhile is not recorded.
    """
    sources = make_sources(config, daemon=False)
    with_topics = {one.id for one in config.sources if one.has_topics}
    with Recorder(output, with_topics) as recorder, stopping(recorder, for_secs):
        log.info("recording %s to %s", ", ".join(one.id for one in sources), output)
        with _bar(recorder, for_secs) as bar:
            _record(sources, recorder, bar)
    counts = recorder.counts
    told = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items())) or "nothing came"
    click.echo(f"{output}: {counts.total()} messages ({told})", err=True)
    if not counts:
        raise InputUnavailable(f"{output}: nothing came, so there is no recording")
    return 0


class Recorder:
    """A file that messages are written to, line by line; set `stop` to end the recording.

    `counts` are the messages of each source, `bytes` what they took, before compression.

    Raises `click.UsageError` for a file that is there already, and `StreamlnnError` when it cannot
    be written.
    """

    def __init__(self, path: Path, with_topics: set[str]) -> None:
        self.stop = threading.Event()
        self.counts: Counter[str] = Counter()
        self.bytes = 0
        self._path = path
        self._with_topics = with_topics
        self._file: IO[bytes]
        self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        opened = gzip.open if self._path.suffix == ".gz" else open
        try:
            self._file = cast(IO[bytes], opened(self._path, "xb"))
        except FileExistsError:
            text = f"{self._path} is there already, and is not overwritten: name another file."
            raise click.UsageError(text) from None
        except OSError as error:
            raise self._failed(error) from None
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from None
        if not self.counts:
            self._path.unlink()

    def write(self, source: Source, messages: Sequence[Message]) -> None:
        """Write messages that a source has heard."""
        self.counts[source.id] += len(messages)
        has_topics = source.id in self._with_topics
        lines = b"".join(_line(source, one, has_topics) for one in messages)
        self.bytes += len(lines)
        self._try(lambda: self._file.write(lines))

    def flush_if_due(self) -> None:
        """Let go of what is buffered, now and then: a kill loses no more than that."""
        now = time.monotonic()
        if now - self._flushed >= FLUSH_SECS:
            self._flushed = now
            self._try(self._file.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> StreamlnnError:
        return StreamlnnError(
            f"cannot write {self._path}: {error.strerror}; name another file, or make room: what "
            "is in it can be read"
        )


def _bar(recorder: Recorder, for_secs: float | None) -> Bar:
    began = time.monotonic()
    return Bar(
        "recording",
        lambda: min(1.0, (time.monotonic() - began) / for_secs) if for_secs else None,
        what="messages",
        more=lambda: size(recorder.bytes),
    )


def _record(sources: Sequence[Source], recorder: Recorder, bar: Bar) -> None:
    feeds = [Feed(source, lambda _: None, Observer()) for source in sources]
    try:
        while not recorder.stop.is_set() and not all(feed.ended for feed in feeds):
            took = [_take(feed, recorder, IDLE_SECS / len(feeds)) for feed in feeds]
            if not any(took):
                recorder.stop.wait(IDLE_SECS / 10)
            recorder.flush_if_due()
            bar.add(recorder.counts.total() - bar.count)
    finally:
        for source in sources:
            source.close()


def _take(feed: Feed, recorder: Recorder, timeout: float) -> bool:
    batch = None if feed.ended else feed.read(timeout)
    if batch is None:
        return False
    if batch.messages:
        recorder.write(feed.source, batch.messages)
    feed.source.ack(batch.position)  # of our own session, not of the daemon's
    return True


def _line(source: Source, message: Message, has_topics: bool) -> bytes:
    told: dict[str, Any] = {
        "source": source.id,
        "topic" if has_topics else "path": _text(message.origin),
        "received": None if message.received is None else rfc3339(message.received),
    }
    try:
        told["payload"] = message.payload.decode()
    except UnicodeDecodeError:
        told["base64"] = base64.b64encode(message.payload).decode()
    if source.format != "json":
        told["codec"] = source.format
    if message.columns is not None:
        told["columns"] = message.columns
    if message.retained:
        told["retained"] = True
    return msgspec.json.encode(told) + b"\n"


def _text(origin: str) -> str:
    """Return a path as text: one that is no UTF-8 cannot stand in JSON as it is."""
    return origin.encode(errors="backslashreplace").decode()
