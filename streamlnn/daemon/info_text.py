"""What `streamlnn info` says to people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from streamlnn.daemon.board import number
from streamlnn.daemon.footprint import size
from streamlnn.daemon.left_out import SAME_TIME, TOO_LATE
from streamlnn.daemon.logs import printable

SHOWN_LETTERS = 200
_LONG = 1e15
"""Nobody counts the digits of a number from here on."""
_UNITS = ((86_400.0, "days"), (3_600.0, "h"), (60.0, "min"))


def as_text(told: Mapping[str, Any]) -> str:
    """Return all of what `info` found, the whole first, then each stream."""
    head = _of_journal(told) if "accepted" in told else _of_recording(told)
    parts = ["\n".join([f"{told['file']}: {told['format']}", *head])]
    parts += ["\n".join(_of_stream(stream)) for stream in told["streams"]]
    return "\n\n".join(parts)


def _of_recording(told: Mapping[str, Any]) -> Iterator[str]:
    yield _line("messages", f"{told['messages']:,}, of {len(told['streams']):,} streams")
    if told["lines_left_out"]:
        yield _line("left out", f"{told['lines_left_out']:,} lines that are no messages")
    if told["without_stream"]:
        yield _line("no stream", f"{told['without_stream']:,} without a number, or a table for it")
    if told["unread"]:
        because = printable(told["unread_because"])[:SHOWN_LETTERS]
        yield _line("unread", f"{told['unread']:,}, the first: {because}")


def _of_journal(told: Mapping[str, Any]) -> Iterator[str]:
    yield _line("size", f"{size(told['bytes'])} on disk, {size(told['bytes_used'])} in use")
    yield _line("records", f"{told['kept']:,} kept of {told['accepted']:,} accepted")
    if told["oldest_received"]:
        yield _line("received", f"{told['oldest_received']} to {told['newest_received']}")
    for source, position in told["sources"].items():
        yield _line("source", f"{source} at {_position(position)[:SHOWN_LETTERS]}")
    for sink in told["sinks"]:
        yield _line(
            "sink",
            f"{sink['sink']} has confirmed all up to record {sink['confirmed']:,}, "
            f"{sink['records_behind']:,} behind; {sink['waiting']:,} outputs kept for it",
        )
    for letter in told["dead_letters"]:
        why = printable(letter["reason"])[:SHOWN_LETTERS]
        yield _line("dead", f"{letter['count']:,} of {letter['source']}: {why}")


def _of_stream(told: Mapping[str, Any]) -> Iterator[str]:
    yield printable(told["stream"])
    yield _line("records", f"{told['records']:,}")
    if told["first"]:
        yield _line("time", f"{told['first']} to {told['last']} ({duration(told['span_secs'])})")
    if told["usual_step_secs"]:
        yield _line("usually", f"every {duration(told['usual_step_secs'])}{_gaps(told)}")
    if told["same_time"] or told["out_of_order"]:
        order = f"{told['same_time']:,} {SAME_TIME}, {told['out_of_order']:,} {TOO_LATE}"
        yield _line("order", order)
    for shot in told.get("snapshots", ()):
        newest = "" if shot["is_newest_record"] else ", records came after it"
        yield _line("snapshot", f"of record {shot['at']:,}, {size(shot['bytes'])}{newest}")
    wide = max((len(printable(field["name"])) for field in told["fields"]), default=0)
    for field in told["fields"]:
        missing = f", {field['missing']:,} missing" if field["missing"] else ""
        ends = f"{figure(field['min'])} to {figure(field['max'])}"
        yield _line(f"{printable(field['name']):<{wide}}", f"{ends}{missing}")


def _gaps(told: Mapping[str, Any]) -> str:
    if not told["gaps"]:
        return ""
    return f"; {told['gaps']:,} gaps, the longest {duration(told['longest_gap_secs'])}"


def duration(secs: float) -> str:
    """Return seconds for people.

    >>> duration(0.25), duration(90), duration(7200), duration(864_000), duration(126_000_000)
    ('0.25 s', '1.5 min', '2 h', '10 days', '1,458 days')
    """
    for length, unit in _UNITS:
        if secs >= length:
            return f"{_short(secs / length)} {unit}"
    return f"{secs:.3g} s"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000.0 else f"{value:.3g}"


def figure(value: float | None) -> str:
    """Return a number in the digits that people read: no powers of ten from 1,000 on.

    >>> figure(0.123456), figure(1_673_000_000_000.0), figure(1e300), figure(None)
    ('0.1235', '1,673,000,000,000', '1e+300', '-')
    """
    if value is None or not 1_000.0 <= abs(value) < _LONG:
        return number(value)
    return f"{value:,.0f}"


def _position(text: str) -> str:
    """Return where a source stands, which only it understands, without the marks of JSON."""
    try:
        told = json.loads(text)
    except ValueError:
        return printable(text)
    if not isinstance(told, dict):
        return printable(str(told))
    return printable(", ".join(f"{key} {_place(value)}" for key, value in told.items()))


def _place(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"of {len(value):,}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _line(name: str, text: str) -> str:
    return f"  {name:<10} {text}"
