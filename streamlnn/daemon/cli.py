"""The commands: parse, call, print, exit code. What a command needs is imported when it runs."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click

from streamlnn.daemon import options
from streamlnn.daemon.shell import (
    FILE,
    Commands,
    config_argument,
    config_option,
    default_config,
    end_when_told,
    load_config,
    set_up_logs,
    verbosity,
)
from streamlnn.daemon.state_commands import state

_for_option = click.option(
    "--for",
    "for_secs",
    metavar="SECS",
    callback=options.read_by(options.seconds),
    help="End by itself after SECS.",
)
_moment = options.read_by(options.moment)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_events_option = click.option(
    "--events", type=FILE, metavar="FILE", help="Write all events to FILE, as JSON lines."
)
_format_option = click.option(
    "--format",
    "form",
    cls=options.FormatOption,
    metavar="KIND",
    default="auto",
    show_default=True,
    callback=options.read_by(options.recording_format),
)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("streamlnn"), prog_name="streamlnn")
@verbosity
def cli() -> None:
    """Forecast sensor streams, learning from every sample.

    \b
    streamlnn demo                     shows it at work
    streamlnn init -o plant.toml       writes a configuration to begin with,
                                       or with --discover 60s one for your broker
    streamlnn check plant.toml         finds what is wrong with it
    streamlnn run plant.toml           follows the streams

    STREAMLNN_CONFIG may name the configuration for all commands.
    """  # noqa: D301 - click's mark of lines that it shall not fill


@cli.result_callback()
@click.pass_context
def _exit_with(ctx: click.Context, code: int | None) -> None:
    ctx.exit(code or 0)


@cli.command()
@config_argument
@click.option("--dry-run", is_flag=True, help="Print what would be published, keep nothing.")
@_for_option
@click.option("--plain", is_flag=True, help="Show no live table on a terminal, only lines.")
@verbosity
def run(config: Path, dry_run: bool, for_secs: float | None, plain: bool) -> None:
    """Run the daemon in the foreground; on a terminal with a live table, as top.

    Input that is not there yet is waited for. SIGTERM and SIGINT end it cleanly; SIGHUP reads the
    configuration again, and a faulty one changes nothing.
    """
    end_when_told()
    loaded = load_config(config)
    set_up_logs(loaded)
    from streamlnn.daemon.service import run as run_daemon

    run_daemon(loaded, dry_run=dry_run, for_secs=for_secs, set_up_logs=set_up_logs, plain=plain)


@cli.command()
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    metavar="N",
    help="Play the feed N times as fast.",
)
@_for_option
@click.option("--no-page", is_flag=True, help="Serve no HTTP.")
@verbosity
def demo(speed: float, for_secs: float | None, no_page: bool) -> int:
    """Show it at work, with a broker and a feed of its own."""
    set_up_logs()
    from streamlnn.daemon.demo import demo as run_demo

    return run_demo(speed=speed, for_secs=for_secs, page=not no_page)


@cli.command()
@click.option(
    "--discover",
    metavar="SECS",
    callback=options.read_by(options.seconds),
    help="Listen to the broker for SECS, and propose what to follow.",
)
@click.option(
    "--broker",
    metavar="URL",
    default="mqtt://localhost:1883",
    show_default=True,
    help="Where the broker listens.",
)
@click.option("--username", metavar="NAME", default="", help="Who we are to the broker.")
@click.option("--password-file", type=FILE, metavar="FILE", help="Holds the broker's password.")
@click.option("--ca", type=FILE, metavar="FILE", help="Authority to trust, with mqtts and wss.")
@click.option(
    "--topic",
    metavar="FILTER",
    multiple=True,
    default=["#"],
    show_default=True,
    help="What to listen to; may be repeated.",
)
@click.option("-o", "--output", type=FILE, metavar="FILE", help="Write to FILE, not to stdout.")
@click.option("--force", is_flag=True, help="Overwrite FILE.")
@verbosity
def init(
    discover: float | None,
    broker: str,
    username: str,
    password_file: Path | None,
    ca: Path | None,
    topic: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> int:
    """Write a configuration to begin with.

    With --discover it follows what the broker says meanwhile: topics are grouped, times and
    numbers recognised, and what cannot be forecast is told with the reason. Nothing is published,
    and the daemon's session is not touched. Exits with 69 if nothing was heard.
    """
    set_up_logs()
    from streamlnn.daemon.init import broker_of
    from streamlnn.daemon.init import init as write_config

    return write_config(
        output,
        force=force,
        broker=broker_of(broker, username, password_file, ca),
        discover_secs=discover,
        topics=topic,
    )


@cli.command()
@config_argument
@click.option("--connect", is_flag=True, help="Also try to connect every source.")
@click.option("--sample", type=FILE, metavar="FILE", help="Show what this payload is read as.")
@click.option("--topic", help="The topic that the sample came on.")
@_json_option
@verbosity
def check(
    config: Path, connect: bool, sample: Path | None, topic: str | None, as_json: bool
) -> int:
    """Find every error of a configuration, without running it.

    Tells all at once, each with its line and the way out, and exits with 78; else sums up what
    would be followed and what it costs. Warnings are of what is allowed and seldom meant.
    """
    if topic and not sample:
        raise click.UsageError("--topic says where a sample came from: give --sample FILE too.")
    set_up_logs()
    from streamlnn.daemon.check import check as check_config

    return check_config(config, connect=connect, sample=sample, topic=topic, json=as_json)


@cli.command()
@config_argument
@_json_option
@verbosity
def doctor(config: Path, as_json: bool) -> int:
    """Try out broker, disk, files and clocks, and say what will not do.

    Takes some 20 s, may run beside the daemon, and leaves nothing behind. Exits with 1 if there
    is a problem.
    """
    set_up_logs()
    from streamlnn.daemon.doctor import doctor as examine

    return examine(config, json=as_json)


@cli.command()
@config_argument
@click.option(
    "-o", "--output", type=FILE, required=True, metavar="FILE", help="A new file; .gz compresses."
)
@_for_option
@verbosity
def record(config: Path, output: Path, for_secs: float | None) -> int:
    """Record the inputs exactly as they come, for replay, eval and info.

    Goes under a name of its own, beside the daemon or without it, until SIGTERM or SIGINT. A kill
    loses the last second at most.
    """
    loaded = load_config(config)
    set_up_logs(loaded)
    from streamlnn.daemon.record import record as record_inputs

    return record_inputs(loaded, output, for_secs=for_secs)


@cli.command()
@click.argument("file", type=FILE)
@config_option
@_json_option
@_format_option
@options.time_options("--time")
@verbosity
def info(
    file: Path,
    config: Path | None,
    as_json: bool,
    form: str,
    time_column: str | None,
    time_format: str | None,
) -> int:
    """Tell what is in a recording or a journal: spans, steps, gaps, ranges.

    FILE is a recording, a daemon's journal, its data directory or its configuration.
    """
    asked = options.asked_time(time_column, time_format, configured=config is not None)
    loaded = load_config(config, live=False) if config else None
    set_up_logs(loaded)
    from streamlnn.daemon.info import info as look_into

    return look_into(file, config=loaded, format=form, json=as_json, time=asked)


@cli.command()
@click.argument("file", type=FILE)
@config_option
@click.option(
    "--speed",
    metavar="N|max",
    callback=options.read_by(options.speed),
    default="max",
    show_default=True,
    help="How much faster than recorded.",
)
@click.option(
    "--into",
    type=FILE,
    metavar="STORE",
    help="Leave the learned state in this data directory, for `run` to start warm.",
)
@click.option(
    "--from",
    "start",
    metavar="T",
    callback=_moment,
    help="Begin at this moment, such as 2026-11-23T10:00:00Z.",
)
@click.option(
    "--to",
    "until",
    metavar="T",
    callback=_moment,
    help="End after this moment, which is still played.",
)
@click.option("--loop", is_flag=True, help="Begin again at the end.")
@click.option(
    "--time",
    type=click.Choice(["recorded", "now"]),
    default="recorded",
    show_default=True,
    help="Keep the recorded times, or shift them to now.",
)
@click.option("--publish", is_flag=True, help="Also publish to the sinks of the configuration.")
@click.option(
    "-o", "--output", type=FILE, metavar="FILE", help="Write the forecasts to FILE, not to stdout."
)
@click.option(
    "--expect",
    type=FILE,
    metavar="FILE",
    help="Fail at the first difference from these forecasts.",
)
@_events_option
@_format_option
@options.time_options()
@verbosity
def replay(
    file: Path,
    config: Path | None,
    speed: float | None,
    into: Path | None,
    start: int | None,
    until: int | None,
    loop: bool,
    time: Literal["recorded", "now"],
    publish: bool,
    output: Path | None,
    expect: Path | None,
    events: Path | None,
    form: str,
    time_column: str | None,
    time_format: str | None,
) -> int:
    """Run a recording through the same code as live samples."""
    if publish and config is None:
        raise click.UsageError("--publish needs the sinks of a configuration: give --config FILE.")
    if loop and expect:
        raise click.UsageError("--expect compares one pass: leave --loop out.")
    if loop and time == "recorded":
        raise click.UsageError("--loop would repeat the recorded times: add --time now.")
    asked = options.asked_time(time_column, time_format, configured=config is not None)
    loaded = load_config(config, live=False) if config else None
    set_up_logs(loaded)
    from streamlnn.daemon.replay import replay as run_replay

    return run_replay(
        file,
        config=loaded,
        speed=speed,
        into=into,
        start=start,
        until=until,
        loop=loop,
        time=time,
        publish=publish,
        output=output,
        expect=expect,
        events=events,
        format=form,
        asked=asked,
    )


@cli.command()
@click.argument("kind", type=click.Choice(options.PLOTS))
@click.option(
    "--state", type=FILE, metavar="STORE", help="Of a stream in this store, or its configuration's."
)
@click.option("--replay", type=FILE, metavar="FILE", help="Of a stream in this recording.")
@config_option
@click.option("--stream", metavar="ID", help="Which stream, where there are several.")
@click.option("--target", metavar="NAME", help="Which of its targets.  [default: the first]")
@click.option(
    "--last",
    type=click.IntRange(min=2),
    metavar="N",
    help="Show the states of the last N records.  [default: 150 to 400]",
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    callback=options.read_by(options.picture),
    help="The picture, as png, svg or pdf.",
)
@_format_option
@options.time_options("--time")
@verbosity
def plot(
    kind: str,
    state: Path | None,
    replay: Path | None,
    config: Path | None,
    stream: str | None,
    target: str | None,
    last: int | None,
    output: Path,
    form: str,
    time_column: str | None,
    time_format: str | None,
) -> int:
    """Draw a stream's reservoir, or its forecasts.

    KIND is one of states (the reservoir over time), connectivity (its weights as a matrix),
    spectrum (its eigenvalues), weights (of the readout, by group of features), forecast (right of
    now, and earlier ones against what came) and scores (over time, beside persistence).
    """
    if (state is None) == (replay is None):
        raise click.UsageError("Name either a store, --state STORE, or a recording, --replay FILE.")
    asked = options.asked_time(time_column, time_format, configured=config is not None)
    loaded = load_config(config, live=False) if config and replay else None
    set_up_logs(loaded)
    from streamlnn.daemon.pictures import draw

    return draw(
        kind,
        output,
        state=state,
        replay=replay,
        config=loaded,
        stream=stream,
        target=target,
        last=last,
        format=form,
        time=asked,
    )


@cli.command("eval")
@click.argument("file", type=FILE)
@config_option
@click.option(
    "--horizons",
    metavar="H,H,...",
    callback=options.read_by(options.horizons),
    help="In samples.  [default: 1,12,48]",
)
@click.option(
    "--target",
    multiple=True,
    metavar="COL",
    help="Forecast this column from itself alone; may be repeated.",
)
@click.option(
    "--inputs",
    multiple=True,
    metavar="COL,...",
    callback=options.read_by(options.names),
    help="Further columns to learn from.",
)
@options.time_options("--time")
@click.option("--season", type=click.IntRange(min=2), metavar="N", help="Samples in a season.")
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=500,
    show_default=True,
    metavar="N",
    help="Score no target before this one.",
)
@_events_option
@click.option(
    "--plot",
    metavar="FILE",
    callback=options.read_by(options.picture),
    help="Draw forecasts and scores, as png, svg or pdf.",
)
@_json_option
@_format_option
@verbosity
def evaluate(
    file: Path,
    config: Path | None,
    horizons: list[int] | None,
    target: tuple[str, ...],
    inputs: list[str],
    time_column: str | None,
    time_format: str | None,
    season: int | None,
    skip: int,
    events: Path | None,
    plot: Path | None,
    as_json: bool,
    form: str,
) -> int:
    """Score the forecasts of a recording beside simple ones, and tell its events.

    Each forecast is scored before its target is learned from. With --config a stream is forecast
    as the daemon would: its targets together, from all its fields. Exits with 69 if the recording
    has no such column.
    """
    asked = options.asked_time(time_column, time_format, configured=config is not None)
    loaded = load_config(config, live=False) if config else None
    set_up_logs(loaded)
    from streamlnn.daemon.eval_file import eval_file

    return eval_file(
        file,
        config=loaded,
        horizons=horizons or ([] if loaded else [1, 12, 48]),
        target=list(target),
        inputs=inputs,
        time=asked,
        season=season,
        skip=skip,
        events=events,
        plot=plot,
        json=as_json,
        format=form,
    )


@cli.command()
@click.argument("config", type=FILE, envvar="STREAMLNN_CONFIG", required=False)
@verbosity
def health(config: Path | None) -> int:
    """Exit with 0 if the daemon is well, else with 1.

    For a container's health check. Without CONFIG the usual address is asked.
    """
    loaded = load_config(config, live=False) if config else default_config()
    set_up_logs(loaded)
    from streamlnn.daemon.health import health as ask_daemon

    return ask_daemon(loaded)


@cli.command()
@click.argument("config", type=FILE, envvar="STREAMLNN_CONFIG", required=False)
@click.option(
    "--sort",
    "order",
    type=click.Choice(["odd", "name", "skill"]),
    default="odd",
    show_default=True,
    help="The oddest first, by name, or the worst forecast first.",
)
@click.option("--once", is_flag=True, help="Print one table and end, as where no terminal is.")
@_json_option
@click.option("--config", "named", type=FILE, help="As CONFIG.")
@verbosity
def top(config: Path | None, order: str, once: bool, as_json: bool, named: Path | None) -> None:
    """Show all streams of the running daemon, live.

    Score is how odd the newest value is, from 0 to 1; skill is how much better than holding the
    last value the forecasts are, 1 - MAE / MAE, the mean of all horizons. Without CONFIG the usual
    address is asked. Ctrl-C ends it. Exits with 69 if no daemon answers.
    """
    end_when_told()
    config = named or config
    loaded = load_config(config, live=False) if config else default_config()
    set_up_logs(loaded)
    from streamlnn.daemon.top import top as show

    show(loaded, order=order, once=once, as_json=as_json)


@cli.command()
@click.argument("pattern", metavar="[FILTER]", default="*")
@click.option("--samples", "kinds", flag_value="samples", multiple=True, help="Print what came.")
@click.option(
    "--forecasts", "kinds", flag_value="forecasts", multiple=True, help="Print what is expected."
)
@click.option("--events", "kinds", flag_value="events", multiple=True, help="Print what is odd.")
@_json_option
@_for_option
@config_option
@verbosity
def tap(
    pattern: str,
    kinds: tuple[str, ...],
    as_json: bool,
    for_secs: float | None,
    config: Path | None,
) -> None:
    """Print forecasts and events of the running daemon as they come.

    FILTER is a pattern of stream ids: 'plant/*', with *, ? and [...]. Begins with the newest
    forecast of each stream; of one that is faster than five a second only the newest is told. A
    sample is the values of the targets. Exits with 69 if no daemon answers.
    """
    end_when_told()
    loaded = load_config(config, live=False) if config else default_config()
    set_up_logs(loaded)
    from streamlnn.daemon.tap import tap as print_lines

    print_lines(
        loaded, pattern, kinds or ("forecasts", "events"), as_json=as_json, for_secs=for_secs
    )


@cli.command()
@click.argument("what", type=click.Choice(["config", "forecast", "event"]))
@verbosity
def schema(what: Literal["config", "forecast", "event"]) -> None:
    """Print the JSON Schema of what is read or written."""
    click.echo(json.dumps(_schema(what), indent=2))


def _schema(what: Literal["config", "forecast", "event"]) -> dict[str, Any]:
    if what == "config":
        from streamlnn.daemon.schema import config_schema

        return config_schema()
    from streamlnn.pipeline import messages

    return messages.schema(what)


cli.add_command(state)


def main() -> None:
    """Run the command line, and exit."""
    cli()
