"""`python -m streamlnn.pipeline.testing soak`: the whole daemon under harm, and a verdict."""

from __future__ import annotations

import json
import signal
import sys

import click

from streamlnn.pipeline.testing.soak.course import Settings, soak
from streamlnn.pipeline.testing.soak.plan import Kind

_TERMINATED = 128 + signal.SIGTERM
_COUNT = click.IntRange(min=0)
_MORE_THAN_NONE = click.FloatRange(min=0, min_open=True)
_SHARE = click.FloatRange(min=0, max=1, max_open=True)


@click.group()
def main() -> None:
    """Test the whole daemon."""


@main.command("soak")
@click.option(
    "--minutes",
    default=10.0,
    type=_MORE_THAN_NONE,
    show_default=True,
    help="How long harm is done.",
)
@click.option(
    "--rate",
    default=1000.0,
    type=_MORE_THAN_NONE,
    show_default=True,
    help="Samples a second, if possible.",
)
@click.option("--streams", default=20, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", default=1, show_default=True, help="Of signals and of faults.")
@click.option("--kills", default=0, type=_COUNT, help="kill -9 of the daemon, in recovery too.")
@click.option("--stops", default=0, type=_COUNT, help="SIGTERM restarts of the daemon.")
@click.option("--broker-restarts", default=0, type=_COUNT, help="The broker keeps its sessions.")
@click.option("--broker-freezes", default=0, type=_COUNT, help="It stops answering, for seconds.")
@click.option("--reconnects", default=0, type=_COUNT, help="The daemon's line is cut.")
@click.option("--consumer-freezes", default=0, type=_COUNT, help="It takes nothing, for seconds.")
@click.option(
    "--garbage", default=0.005, type=_SHARE, show_default=True, help="Share of unreadable payloads."
)
@click.option("--keep", is_flag=True, help="Leave the folder, with all that was heard.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def _soak(
    minutes: float,
    rate: float,
    streams: int,
    seed: int,
    garbage: float,
    keep: bool,
    as_json: bool,
    **counts: int,
) -> None:
    """Do harm to the daemon, and see whether it keeps its promise: exit with 0 if so, else 1.

    Needs mosquitto. Rate and time are what is offered: what was not taken is taken in a calm at
    the end, however long that takes.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))  # what was started is ended
    report = soak(
        Settings(
            secs=60 * minutes,
            rate=rate,
            streams=streams,
            seed=seed,
            garbage=garbage,
            keep=keep,
            counts=_by_kind(counts),
        )
    )
    click.echo(json.dumps(report.document()) if as_json else report.text())
    sys.exit(0 if report.held else 1)


def _by_kind(counts: dict[str, int]) -> dict[Kind, int]:
    kinds: dict[str, Kind] = {
        "kills": "kill",
        "stops": "stop",
        "broker_restarts": "broker restart",
        "broker_freezes": "broker freeze",
        "reconnects": "reconnect",
        "consumer_freezes": "consumer freeze",
    }
    return {kinds[name]: count for name, count in counts.items()}


if __name__ == "__main__":
    main(prog_name="python -m streamlnn.pipeline.testing")
