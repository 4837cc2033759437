"""What `streamlnn state` says to people: tables of plain columns, which no terminal cuts."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamlnn.daemon.board import number
from streamlnn.daemon.logs import printable

_ROOM = 10_000
_SECONDS = len("2026-01-31T12:00:00")


def listed(streams: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each stream."""
    if not streams:
        return "the store has no streams yet"
    heads = ("stream", "epoch", "newest record", "targets", "horizons", "KiB", "")
    rows = [
        (
            one["stream"],
            str(one["epoch"]),
            f"{one['time'][:_SECONDS]}Z" if one["time"] else "-",
            ", ".join(one["targets"]),
            ", ".join(map(str, one["horizons"])),
            f"{one['bytes'] / 1024:.0f}",
            "" if one["settled"] else "has records after its snapshot",
        )
        for one in streams
    ]
    return columns(heads, rows, numbers=("epoch", "KiB"))


def shown(report: Mapping[str, Any]) -> str:
    """Return all about one stream: what it is, its scores, and how much each expert is heard."""
    parts = [_facts(report)]
    for target, scores in report["scores"].items():
        heard = [one["weights"] for one in report["explanation"]["targets"][target]]
        parts.append(f"{target}\n{_score_table(report['horizons'], scores)}")
        parts.append(
            f"{target}: how much each expert is heard, at each horizon\n"
            + _weight_table(report["horizons"], heard)
        )
    return "\n\n".join(parts)


def _facts(report: Mapping[str, Any]) -> str:
    plan, fixed = report["settings"], report["explanation"]["reservoir"]
    usual = report["usual_step_secs"]
    facts = {
        "topic": report["topic"],
        "fields": ", ".join(plan["layout"]["names"]),
        "seasons": _seasons(plan, report["explanation"]["seasons"]),
        "level": f"{plan['level']:g}",
        "model": ", ".join(f"{key} {value}" for key, value in plan["model"].items()),
        "in Python": report["in_python"],
        "epoch": f"{report['epoch']}, {report['records']} records",
        "newest": report["time"],
        "usually": f"every {usual:g} s" if usual else None,
        "reservoir": _reservoir(fixed),
        "snapshot": f"{report['bytes'] / 1024:.0f} KiB",
    }
    lines = [f"{key:<10} {value}" for key, value in facts.items() if value]
    return "\n".join([printable(report["stream"]), *lines])


def _seasons(plan: Mapping[str, Any], used: Sequence[float]) -> str:
    if plan["seasons"] or not used:
        return ", ".join(map(str, plan["seasons"]))
    unit = "s" if isinstance(plan["horizons"][0], str) else "records"
    return f"{used[0]:g} {unit}, found in the values"


def _reservoir(fixed: Mapping[str, Any]) -> str:
    least, most = fixed["tau"]
    return (
        f"{fixed['units']} units, spectral radius {fixed['spectral_radius']:g}, time constants of "
        f"{least:.2g} to {most:.2g} usual steps; {fixed['lag_units']} units on the lags"
    )


def _score_table(horizons: Sequence[int | str], scores: Sequence[Mapping[str, Any]]) -> str:
    heads = ("horizon", "coverage", "skill", "MAE", "persistence's")
    rows = [
        (
            str(horizon),
            "-" if one["coverage"] is None else f"{one['coverage']:.1%}",
            number(one["skill"]),
            number(one["mae"]),
            number(one["mae_persistence"]),
        )
        for horizon, one in zip(horizons, scores, strict=True)
    ]
    return columns(heads, rows, numbers=heads)


def _weight_table(horizons: Sequence[int | str], heard: Sequence[Mapping[str, float]]) -> str:
    heads = ("expert", *map(str, horizons))
    rows = [(expert, *(f"{one[expert]:.1%}" for one in heard)) for expert in heard[0]]
    return columns(heads, rows, numbers=heads[1:])


def columns(
    heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> str:
    """Return rows of printable text under their heads; the columns `numbers` are flush right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for head in heads:
        justify: Any = "right" if head in numbers else "left"
        table.add_column(head, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console = Console(file=io.StringIO(), width=_ROOM)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
