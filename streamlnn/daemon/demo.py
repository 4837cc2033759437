"""`streamlnn demo`: sensors, a broker, the daemon and its forecasts, on one machine in one minute.

    sensors (feed) --MQTT--> broker --MQTT--> daemon --MQTT--> broker --MQTT--> this table

Nothing is shortened: each value travels to the daemon through the broker, and what the table shows
has come back through it. Only the broker is amqtt in place of one that an installation would use,
and the data directory is removed at the end.
"""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from statistics import fmean
from types import FrameType

import click
from rich.console import Console
from rich.live import Live

from streamlnn.daemon import board
from streamlnn.daemon.broker import embedded_broker
from streamlnn.daemon.config import Config, loads
from streamlnn.daemon.demo_clients import HOST, Feeder, Watcher
from streamlnn.daemon.embedded import Daemon
from streamlnn.daemon.feed import HISTORY_TICKS, TICK_SECS, feed
from streamlnn.errors import StreamlnnError
from streamlnn.pipeline.messages import ForecastMessage

INSTANCE = "demo"
BASE = f"streamlnn/{INSTANCE}"
REFRESH_SECS = 0.25
LINES_EVERY_SECS = 3.0

CONFIG = """
[daemon]
instance = "{instance}"
data_dir = {data_dir}
keep = "1h"

[[source]]
kind = "mqtt"
id = "broker"
url = "mqtt://{host}:{port}"
version = "3.1.1"  # all that the embedded broker speaks

[[stream]]  # the recorded sensor, on the recording's clock: an hour passes in a fifth of a second
topic = "sensors/waterworks/{{device}}/telemetry"
id = "waterworks/{{device}}"
fields = {{ flow = "flow" }}
units = {{ flow = "l/s" }}
time = {{ path = "time", format = "rfc3339" }}
horizons = ["1h", "6h", "1d"]
seasons = ["1d"]

[[stream]]  # the simulated ones
topic = "sensors/plant/{{device}}/telemetry"
id = "plant/{{device}}"
fields = {{ value = "value" }}
time = {{ path = "ts", format = "unix_ms" }}
horizons = ["1s", "3s", "10s"]
"""


def demo(*, speed: float = 1.0, for_secs: float | None = None, page: bool = True) -> int:
    """Show forecasts of a feed that travels through a broker, until Ctrl-C or for `for_secs`.

    `speed` plays the feed faster; `page` also serves HTTP. Returns the exit code: 0, also after
    SIGINT and SIGTERM, or 1 when the extra is not installed. Raises what ended the daemon.
    """
    missing = [name for name in ("amqtt", "river") if find_spec(name) is None]
    if missing:
        click.echo(
            f"streamlnn demo needs {' and '.join(missing)}: pip install 'streamlnn[demo]'", err=True
        )
        return 1
    with _interruptible() as stopped:
        _demo(speed, for_secs, page, stopped)
    return 0


def _demo(speed: float, for_secs: float | None, page: bool, stopped: threading.Event) -> None:
    with ExitStack() as stack:
        port = stack.enter_context(embedded_broker())
        data_dir = stack.enter_context(tempfile.TemporaryDirectory(prefix="streamlnn-demo-"))
        _compile()
        watcher = stack.enter_context(Watcher(port, BASE))
        started = time.monotonic()
        daemon = stack.enter_context(Daemon(config(port, data_dir), page=page))
        past = feed(time.time() - HISTORY_TICKS * TICK_SECS, history=HISTORY_TICKS)
        feeder = stack.enter_context(Feeder(port, past, speed))
        click.echo(_introduction(port, daemon.address, speed))
        with suppress(KeyboardInterrupt):
            _show(watcher, _ticks(daemon, stopped, for_secs))
        daemon.check()
        if watcher.first is not None:
            click.echo(_summary(feeder.published, watcher, watcher.first - started))
        elif not stopped.is_set():
            raise StreamlnnError("no forecast came back in time; give --for more seconds")


def config(port: int, data_dir: str) -> Config:
    """Return the demo's configuration: the broker at `port`, everything kept in `data_dir`."""
    folder = json.dumps(data_dir, ensure_ascii=False).replace("$", "$$")
    text = CONFIG.format(instance=INSTANCE, host=HOST, port=port, data_dir=folder)
    return loads(text, "the demo's configuration")


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; the first also interrupts what is under way.

    Those after it change nothing, so that the end stays clean.
    """
    stopped = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        if not stopped.is_set():
            stopped.set()
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with suppress(KeyboardInterrupt):
            yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _compile() -> None:
    from streamlnn.model.stepping import warm

    click.echo("Loading the compiled model (the first start on a machine compiles it: 20 to 60 s)")
    warm()


def _introduction(port: int, address: str | None, speed: float) -> str:
    tick = TICK_SECS / speed
    lines = [
        f"{'Page':10}{address}/   (health, metrics and JSON, too)" if address else "",
        f"{'MQTT':10}mosquitto_sub -h {HOST} -p {port} -v -t '{BASE}/#'",
        f"{'Recorded':10}waterworks/main: a water main in 2022; an hour passes every {tick:g} s",
        f"{'Simulated':10}plant/*: tank is healthy, bearing drifts, valve gets stuck, motor spikes",
        f"{'Begin':10}each sensor sends its last {HISTORY_TICKS} values at once, then goes on",
        "Every forecast below went through the broker. Ctrl-C ends the demo.",
    ]
    return "\n".join(line for line in lines if line)


def _ticks(daemon: Daemon, stopped: threading.Event, for_secs: float | None) -> Iterator[float]:
    """Yield the seconds passed, four times a second, until it is time to end."""
    start = time.monotonic()
    while daemon.running and not stopped.wait(REFRESH_SECS):
        passed = time.monotonic() - start
        if for_secs is not None and passed >= for_secs:
            return
        yield passed


def _show(watcher: Watcher, ticks: Iterator[float]) -> None:
    console = Console()
    if console.is_terminal:
        _show_table(watcher, ticks, console)
    else:
        _show_lines(watcher, ticks)


def _show_table(watcher: Watcher, ticks: Iterator[float], console: Console) -> None:
    with Live(console=console, auto_refresh=False) as live:
        for _ in ticks:
            width, height = console.size
            events = list(watcher.events)
            live.update(board.screen(watcher.newest(), events, width, height), refresh=True)


def _show_lines(watcher: Watcher, ticks: Iterator[float]) -> None:
    due, told = 0.0, 0
    for passed in ticks:
        newest = watcher.newest()
        for event in watcher.events_after(told):
            click.echo(board.event_line(event))
        told = watcher.happened
        if newest and passed >= due:
            due = passed + LINES_EVERY_SECS
            click.echo("\n".join(map(board.line, newest)))


def _summary(published: int, watcher: Watcher, first_secs: float) -> str:
    return (
        f"{published} records sent, {watcher.received} forecasts back over MQTT, the first "
        f"{first_secs:.1f} s after the daemon's start; {_skill(watcher.newest())}"
    )


def _skill(newest: list[ForecastMessage]) -> str:
    items = [
        item
        for forecast in newest
        for target in forecast.targets.values()
        for item in target.forecast
    ]
    skills = [item.skill for item in items if item.skill is not None]
    if not skills:
        return "none has come due yet"
    side = "below" if fmean(skills) >= 0 else "above"
    return f"MAE on average {abs(fmean(skills)):.0%} {side} that of persistence"
