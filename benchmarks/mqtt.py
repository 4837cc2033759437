"""How much MQTT one daemon carries, beside a bare paho client that does the least there is to do.

Messages in, journalled durably and acknowledged, without a model: beside a client of version 5
that acknowledges by hand and does nothing else. Messages in, a forecast of the default model out at
QoS 1 for each: beside a client that publishes again, at QoS 1, what it receives. All take turns on
a stock mosquitto; medians of the rounds. Then how long a message waits for its acknowledgement at
half of what the bare client takes, and whether forecasts keep up with 0.8 of it for a minute.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.common import figure, markdown
from benchmarks.mqtt_arms import bare, ours
from benchmarks.mqtt_traffic import AHEAD, consume, publish, stock_broker

ARMS: dict[str, tuple[Callable[..., None], bool]] = {
    "take, bare paho": (bare, False),
    "take, journal, acknowledge": (ours, False),
    "take and publish again, bare paho": (bare, True),
    "take, forecast, publish": (ours, True),
}
PEER = {
    "take, journal, acknowledge": "take, bare paho",
    "take, forecast, publish": "take and publish again, bare paho",
}
GOAL = 0.8
_WARM = 2_000


@dataclass(frozen=True, slots=True)
class Measured:
    """`rate` messages a second, `cpu` microseconds each, `behind` how many waited at the end."""

    rate: float
    cpu: float
    behind: int
    report: list[float] | None


def measure(arm: str, secs: float, offered: float = 0.0) -> Measured:
    """Run one arm for `secs` seconds at `offered` messages a second (0: all it takes)."""
    with tempfile.TemporaryDirectory() as folder, stock_broker(Path(folder)) as port:
        context = multiprocessing.get_context("spawn")
        taken, sent = (context.Value("q", 0, lock=False) for _ in range(2))
        ready, stop, enough = context.Event(), context.Event(), context.Event()
        report = context.Queue()
        work, flag = ARMS[arm]
        plans: list[tuple[Callable[..., None], tuple[Any, ...]]] = [
            (consume, (port, ready)),
            (work, (port, taken, stop, flag, report)),
            (publish, (port, taken, sent, enough, offered)),
        ]
        started = [context.Process(target=what, args=args, daemon=True) for what, args in plans]
        started[0].start()
        ready.wait()
        started[1].start()
        time.sleep(5)
        started[2].start()
        found = _watch(started[1].pid or 0, taken, sent, secs)
        enough.set()
        time.sleep(0.5)
        stop.set()
        told = report.get(timeout=30) if work is ours else None
        for process in started:
            process.kill()
            process.join()
    return Measured(*found, told)


def _watch(pid: int, taken: Any, sent: Any, secs: float) -> tuple[float, float, int]:
    while taken.value < _WARM:
        time.sleep(0.05)
    count, began, cpu = taken.value, time.perf_counter(), _cpu_secs(pid)
    time.sleep(secs)
    done, passed = taken.value - count, time.perf_counter() - began
    return done / passed, (_cpu_secs(pid) - cpu) / done * 1e6, sent.value - taken.value


def _cpu_secs(pid: int) -> float:
    user, system = Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()[11:13]
    return (int(user) + int(system)) / 100


@click.command(help=__doc__)
@click.option("--secs", default=10.0, show_default=True, help="Of each arm in each round.")
@click.option("--rounds", default=5, show_default=True)
@click.option("--hold", default=60.0, show_default=True, help="Seconds of the run at 0.8.")
def main(secs: float, rounds: int, hold: float) -> None:
    """Print the table."""
    found: dict[str, list[Measured]] = {arm: [] for arm in ARMS}
    for _ in range(rounds):
        for arm in ARMS:
            found[arm].append(measure(arm, secs))
    rates = {arm: statistics.median(one.rate for one in found[arm]) for arm in ARMS}
    rows = [
        (
            arm,
            f"{rates[arm]:,.0f}/s",
            f"{statistics.median(one.cpu for one in found[arm]):.0f} us",
            f"{figure(rates[arm] / rates[PEER[arm]])}" if arm in PEER else "",
        )
        for arm in ARMS
    ]
    click.echo(markdown(["what", "messages", "CPU each", f"of bare paho ({GOAL} wanted)"], rows))
    half = measure("take, journal, acknowledge", secs, rates["take, bare paho"] / 2)
    median, worst = half.report or (0.0, 0.0)
    click.echo(f"\nAt {half.rate:,.0f}/s a message waits {median:.1f} ms for its acknowledgement")
    click.echo(f"in the median, {worst:.1f} ms in the 99th percentile (50 wanted).")
    offered = GOAL * rates["take and publish again, bare paho"]
    held = measure("take, forecast, publish", hold, offered)
    click.echo(f"Offered {offered:,.0f}/s for {hold:g} s, {held.rate:,.0f}/s were forecast and")
    click.echo(f"{held.behind} (of {AHEAD} at most) were under way at the end.")


if __name__ == "__main__":
    main()
