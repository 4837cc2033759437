"""What was left out of a recording, in words: the same wherever it is told."""

from __future__ import annotations

from collections.abc import Mapping

from streamlnn.pipeline.judge import Verdict

SAME_TIME = "at a time that was there"
TOO_LATE = "too late"

_WORDS = {
    Verdict.LATE: TOO_LATE,
    Verdict.FUTURE: "too far in the future",
    Verdict.RETAINED: "retained from before",
    "no_stream_or_number": "without a number, or a table for it",
    "dead_letters_total": "that cannot be read",
    "failures_total": "that could not be forecast",
}


def left_out(counts: Mapping[str, int]) -> str:
    """Return how many records were left out for each reason; empty if none was.

    >>> left_out({"clash": 4, "repeat": 8, "late": 1, "records_total": 90})
    '12 at a time that was there (8 of them repeats), 1 too late'
    """
    repeats = counts.get(Verdict.REPEAT, 0)
    same = repeats + counts.get(Verdict.CLASH, 0)
    told = [f"{same:,} {SAME_TIME}{_repeats(repeats, same)}"] if same else []
    told += [f"{counts[key]:,} {words}" for key, words in _WORDS.items() if counts.get(key)]
    return ", ".join(told)


def _repeats(repeats: int, same: int) -> str:
    if not repeats:
        return ""
    return " (all of them repeats)" if repeats == same else f" ({repeats:,} of them repeats)"
