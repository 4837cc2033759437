"""A recording, or a journal, through the same code as live; a digest tells two runs apart."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any, Literal

import click

from streamlnn.daemon.comparison import Lines, Written
from streamlnn.daemon.config import Config
from streamlnn.daemon.kept import KeptRecords, journal_folder, model_of
from streamlnn.daemon.progress import Progress
from streamlnn.daemon.recorded import open_recording, read_streams
from streamlnn.daemon.run import make_carriers, make_sinks, stopping
from streamlnn.daemon.warming import warm_up
from streamlnn.errors import InputUnavailable
from streamlnn.pipeline.journal import FILE, Journal
from streamlnn.pipeline.judge import Verdict
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.snapshots import Retention
from streamlnn.pipeline.streams import USUAL, FoundTime, StreamMap
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
    events: Path | None = None,
    format: str = "auto",  # noqa: A002 - the option's name
    asked: FoundTime = USUAL,
) -> int:
    """Forecast every record of a recording; return the exit code.

    Forecasts go to `output` or stdout as JSON lines, events to the file `events`. `speed` None is
    as fast as it goes, 1 the recording's own pace. `into` keeps the learned state in a data
    directory, for `run` to start warm; `expect` compares with an earlier run's forecasts; `start`
    and `until`, both included, are nanoseconds UTC; `publish` adds the sinks of `config`; `asked`
    tells where the times are, without it. Raises `InputUnavailable`.
    """
    _refuse_impossible(file, into, time)
    source = open_recording(
        file,
        speed=speed,
        start=None if start is None else rfc3339(start),
        until=None if until is None else rfc3339(until),
        loop=loop,
        time=time,
        form=format,
        retained=_retained(config),
    )
    # Bar and forecasts on one screen would write into each other.
    hidden = output is None and sys.stdout.isatty()
    with Lines(output, expect, events) as lines, Progress(source, hidden=hidden) as observer:
        streams = read_streams(config, source, time=asked)
        pipeline = _pipeline(config, source, streams, lines, into, publish, observer)
        warm_up()
        with stopping(pipeline, None):
            pipeline.run()
    if not observer.counts["records_total"]:
        is_bounded = start is not None or until is not None
        raise InputUnavailable(f"{file}: {_nothing(observer, into, is_bounded)}")
    return _conclude(file, lines.written, observer, pipeline.undelivered)


def _pipeline(
    config: Config | None,
    source: Any,
    streams: StreamMap,
    lines: Lines,
    into: Path | None,
    publish: bool,
    observer: Progress,
) -> Pipeline:
    # In a new store there is nothing to lose: only the end has to be durable.
    journal = Journal(into, durable=into is not None and (into / FILE).exists())
    with journal.transaction():
        journal.forget_position(source.id)  # of another recording that was replayed into it
    carriers = make_carriers(config) if config and publish else []
    published = make_sinks(config, carriers, daemon=False) if config and publish else []
    return Pipeline(
        journal,
        [(source, streams)],
        [lines, *published],
        observer,
        instance=config.daemon.instance if config else INSTANCE,
        model=config.model if config else _model(source),
        retention=Retention(keep_secs=config.daemon.keep if config else 0.0),
        carriers=carriers,
    )


def _model(source: Any) -> ModelSettings:
    """Return the model of a journal's streams, else the usual one."""
    recording = source.recording
    return model_of(recording.rows) if isinstance(recording, KeptRecords) else ModelSettings()


def _refuse_impossible(file: Path, into: Path | None, time: str) -> None:
    """Refuse what a journal cannot do: be received again, and be learned from into itself."""
    folder = journal_folder(file)
    if folder and into and into.resolve() == folder.resolve():
        raise click.UsageError("--into names the journal that is replayed: name another folder.")
    if folder and time == "now":
        raise click.UsageError("--time now goes with recordings; a journal keeps its times.")


def _retained(config: Config | None) -> str:
    """Return what is done with retained messages: what the daemon would do with them."""
    policies = [getattr(one.settings, "retained", None) for one in config.sources] if config else []
    return next((policy for policy in policies if policy), "seed")


def _nothing(observer: Progress, into: Path | None, is_bounded: bool) -> str:
    """Return why no record was taken, and the way out."""
    counts = observer.counts
    if is_bounded and not counts["messages_total"]:
        return "no message lies between --from and --to; `streamlnn info` tells its times"
    told = f"no record was taken ({observer.summary()})"
    if into and counts[Verdict.REPEAT]:
        return f"{told}: {into} has them already; name a new folder for --into to begin anew"
    if any(counts[verdict] for verdict in Verdict):
        return f"{told}: nothing is newer than what there was; `streamlnn info` tells its times"
    return (
        f"no record was read ({observer.summary()}); it needs numbers in columns or JSON leaves, "
        "and with --config a [[stream]] table that takes them"
    )


def _conclude(file: Path, written: Written, observer: Progress, undelivered: int) -> int:
    log.info("%s: %s", file, observer.summary())
    click.echo(f"digest {written.digest} of {written.count} forecasts", err=True)
    if undelivered:
        log.error("%d forecasts and events were not confirmed by their sink", undelivered)
    if written.difference:
        log.error("%s", written.difference)
    return 1 if undelivered or written.difference else 0
