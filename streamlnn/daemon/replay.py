"""A recording through the same code as live; a digest tells whether two runs said the same."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

from streamlnn.daemon.comparison import Lines, Written
from streamlnn.daemon.config import Config
from streamlnn.daemon.progress import Progress
from streamlnn.daemon.recorded import open_recording, read_streams
from streamlnn.daemon.run import make_sinks, make_sources, stopping
from streamlnn.model import kernels
from streamlnn.pipeline.contract import Sink
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline, Retention
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.timestamps import rfc3339

log = logging.getLogger("streamlnn.replay")

INSTANCE = "replay"


def replay(
    file: Path,
    *,
    config: Config | None = None,
    speed: float | None = None,
    into: Path | None = None,
    start: int | None = None,
    until: int | None = None,
    loop: bool = False,
    time: Literal["recorded", "now"] = "recorded",
    publish: bool = False,
    output: Path | None = None,
    expect: Path | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
) -> int:
    """Forecast every record of a recording; return the exit code.

    Forecasts go to `output` or stdout as JSON lines. `speed` None is as fast as it goes, 1 the
    recording's own pace. `into` keeps the learned state in a data directory, for `run` to start
    warm; `expect` compares with an earlier run's forecasts; `start` and `until`, both included,
    are nanoseconds UTC; `publish` adds the sinks of `config`. Raises `InputUnavailable`.
    """
    source = open_recording(
        file,
        speed=speed,
        start=None if start is None else rfc3339(start),
        until=None if until is None else rfc3339(until),
        loop=loop,
        time=time,
        form=format,
    )
    with Lines(output, expect) as lines, Progress(source) as observer:
        pipeline = _pipeline(config, source, [lines, *_published(config, publish)], into, observer)
        kernels.warm()
        with stopping(pipeline, None):
            pipeline.run()
    return _conclude(file, lines.written, observer)


def _pipeline(
    config: Config | None, source: Any, sinks: list[Sink], into: Path | None, observer: Progress
) -> Pipeline:
    # While a recording is read there is nothing to lose: only the end has to be durable.
    journal = Journal(into, durable=False)
    with journal.transaction():
        journal.forget_position(source.id)  # of another recording that was replayed into it
    return Pipeline(
        journal,
        [(source, read_streams(config, source))],
        sinks,
        observer,
        instance=config.daemon.instance if config else INSTANCE,
        model=config.model if config else ModelSettings(),
        retention=Retention(keep_secs=config.daemon.keep if config else 0.0),
    )


def _published(config: Config | None, publish: bool) -> list[Sink]:
    if config is None or not publish:
        return []
    return make_sinks(config, make_sources(config, daemon=False))


def _conclude(file: Path, written: Written, observer: Progress) -> int:
    log.info("%s: %s", file, observer.summary())
    log.warning("digest %s of %d forecasts", written.digest, written.count)
    if written.difference:
        log.error("%s", written.difference)
        return 1
    return 0
