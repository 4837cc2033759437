"""Events: which labelled changes are told, how late, and how much is told for nothing.

Three tables: recordings with labels, made streams that change or never do, and what we tell of
every recording, labelled or not. An event that starts inside a labelled window finds it; one
outside all windows is a false alarm; the delay is from the window's first record. In a recording
a window is what the label says, with 60 records after a change point of the pump and 30 around
one of the bore hole; in a made stream it is the 300 records after the change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.common import Array, data_option, figure, markdown, quick_option, read
from benchmarks.events_peers import Detector, Heard, detectors, heard
from benchmarks.events_streams import Labelled, changing, recorded, unchanging

SEEDS = (1, 2, 3)
RECORDINGS = (
    "nab_machine_temperature.csv",
    "ETTh1.csv",
    "WTH.csv",
    "vic_electricity.csv",
    "skab_anomaly-free.csv",
    *(f"skab_valve1_{session}.csv" for session in range(4)),
    "helium_ems.ndjson",
    "well_log.txt",
    "occupancy_datatraining.txt",
)
LABELS = ("anomaly", "changepoint", "Holiday", "fcnt")
"""Columns that are no measurements."""
QUICK = 3_000


@dataclass(frozen=True, slots=True)
class Tally:
    """How a detector did: windows, those found, delays, alarms for nothing, records."""

    windows: int
    delays: tuple[int, ...]
    false: int
    records: int

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.windows + other.windows,
            self.delays + other.delays,
            self.false + other.false,
            self.records + other.records,
        )

    @property
    def cells(self) -> list[str]:
        """Hits, misses, false alarms per 1,000 records, median delay."""
        hits = len(self.delays)
        delay = figure(float(np.median(self.delays))) if hits else "-"
        rate = figure(1000.0 * self.false / max(self.records, 1))
        return [str(hits), str(self.windows - hits), rate, delay]


def tally(fired: Array, stream: Labelled) -> Tally:
    """Hold the records at which a detector fired against the labels.

    >>> stream = Labelled("", None, np.zeros(100), ((10, 20), (50, 60)), ((10, 20), (50, 60)))
    >>> tally(np.array([5, 12, 15, 70]), stream)
    Tally(windows=2, delays=(2,), false=2, records=100)
    """
    delays = []
    for first, last in stream.looked_for:
        inside = fired[(fired >= first) & (fired <= last)]
        delays += [int(inside[0]) - first] if inside.size else []
    false = np.ones(fired.size, bool)
    for first, last in stream.allowed:
        false &= (fired < first) | (fired > last)
    return Tally(len(stream.looked_for), tuple(delays), int(false.sum()), stream.y.size)


NOTHING = Tally(0, (), 0, 0)


def tallies(streams: Iterable[Labelled], known: dict[str, Detector]) -> dict[str, dict[str, Tally]]:
    """Return how each detector did on the streams of each name, taken together."""
    found: dict[str, dict[str, Tally]] = {}
    for stream in streams:
        said = heard(stream.time, stream.y)
        row = found.setdefault(stream.name, dict.fromkeys(known, NOTHING))
        for name, detect in known.items():
            row[name] += tally(detect(said), stream)
    return found


def summed(rows: Iterable[dict[str, Tally]]) -> dict[str, Tally]:
    """Return how each detector did on all streams together."""
    total: dict[str, Tally] = {}
    for row in rows:
        for name, one in row.items():
            total[name] = total.get(name, NOTHING) + one
    return total


def recorded_table(found: dict[str, dict[str, Tally]]) -> str:
    """Return one row for each recording and detector."""
    header = ["recording", "detector", "found", "missed", "false per 1,000", "median delay"]
    rows = [[s, name, *one.cells] for s, row in found.items() for name, one in row.items()]
    return markdown(header, rows)


def made_table(found: dict[str, dict[str, Tally]]) -> str:
    """Return one row for each kind of stream: found of how many, and false alarms."""
    together = summed(found.values())
    rows = [[name, *map(_brief, row.values())] for name, row in found.items()]
    rows.append(["**together**", *map(_brief, together.values())])
    rows.append(["false per 1,000", *(one.cells[2] for one in together.values())])
    rows.append(["median delay", *(one.cells[3] for one in together.values())])
    return markdown(["found, false", *together], rows)


def _brief(one: Tally) -> str:
    found = f"{len(one.delays)}/{one.windows}, " if one.windows else ""
    return f"{found}{one.false}"


def told_table(folder: Path, n: int | None) -> str:
    """Return how many events of each type start in each field of each recording."""
    rows = []
    for name, field, said in _fields(folder, n):
        counts = [sum(kind == t for _, kind in said.events) for t in ("anomaly", "drift", "stuck")]
        stuck = ", ".join(str(t) for t, kind in said.events if kind == "stuck") or "-"
        rows.append([f"{name}: {field}", said.y.size, *counts, stuck])
    header = ["recording", "records", "anomaly", "drift", "stuck", "stuck at"]
    return markdown(header, rows)


def _fields(folder: Path, n: int | None) -> Iterator[tuple[str, str, Heard]]:
    for file in RECORDINGS:
        recording = read(file, folder).head(n)
        for field in recording.names:
            if field not in LABELS:
                stem = file.partition(".")[0]
                yield stem, field, heard(recording.time, recording.column(field))


@click.command(help=__doc__)
@data_option
@quick_option
@click.option("--slow", is_flag=True, help="KSWIN too: a millisecond a record.")
@click.option("--all/--labelled", "whole", default=True, help="Also count on every recording.")
def main(data: Path, quick: bool, slow: bool, whole: bool) -> None:
    """Print the three tables."""
    known = detectors(slow)
    click.echo(recorded_table(tallies(recorded(data), known)) + "\n")
    seeds = SEEDS[:1] if quick else SEEDS
    for streams in (changing, unchanging):
        made = (stream for seed in seeds for stream in streams(seed))
        click.echo(made_table(tallies(made, known)) + "\n")
    if whole:
        click.echo(told_table(data, QUICK if quick else None))


if __name__ == "__main__":
    main()
