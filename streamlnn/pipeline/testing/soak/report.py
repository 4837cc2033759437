"""What a soak found, as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from streamlnn.pipeline.testing.soak.checks import Violation
from streamlnn.pipeline.testing.soak.vitals import Growth

_PLAIN = (
    *("seed", "secs", "handed", "confirmed", "acknowledged", "rubbish", "forecasts", "repeats"),
    *("events", "digest", "reference", "torn", "most_rss", "folder", "held"),
)


@dataclass(slots=True)
class Report:
    """The figures of one soak; counts are of samples, forecasts and faults, times in seconds."""

    seed: int
    secs: float = 0.0
    handed: int = 0
    confirmed: int = 0
    acknowledged: int = 0
    rubbish: int = 0
    forecasts: int = 0
    repeats: int = 0
    events: int = 0
    digest: str = ""
    reference: str = ""
    faults: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    starts: Sequence[float] = ()
    most_rss: int = 0
    growth: Growth | None = None
    violations: Sequence[Violation] = ()
    folder: str | None = None

    @property
    def held(self) -> bool:
        """True when nothing was violated."""
        return not self.violations

    def text(self) -> str:
        """Return the report for people."""
        return "\n".join([*self._figures(), *self._verdict()])

    def document(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {name: getattr(self, name) for name in _PLAIN} | {
            "faults": dict(self.faults),
            "starts": [round(secs, 3) for secs in self.starts],
            "growth": self.growth._asdict() if self.growth else None,
            "violations": [
                {"what": one.what, "count": one.count, "first": list(one.first)}
                for one in self.violations
            ],
        }

    def _figures(self) -> list[str]:
        faults = ", ".join(f"{count} x {kind}" for kind, count in sorted(self.faults.items()))
        return [
            f"soak         seed {self.seed}, {self.secs:.0f} s",
            f"samples      {self.handed} handed out, {self.confirmed} confirmed by the broker, at "
            f"least {self.acknowledged} messages acknowledged by the daemon; {self.rubbish} "
            "unreadable ones in between",
            f"faults       {faults or 'none'}; {self.torn} torn tails",
            f"starts       {self._starts()}",
            f"memory       {self.most_rss / 1e6:.0f} MB at most; {self._growth()}",
            f"forecasts    {self.forecasts} heard, and {self.repeats} of them again; "
            f"{self.events} events",
            f"digest       {self.digest}",
            f"reference    {self.reference}",
        ]

    def _starts(self) -> str:
        if not self.starts:
            return "none"
        return (
            f"{len(self.starts)}; ready after {median(self.starts):.2f} s in the median, "
            f"{max(self.starts):.2f} s at most"
        )

    def _growth(self) -> str:
        if self.growth is None:
            return "no life was long enough to tell growth"
        return (
            f"{self.growth.mb_an_hour:+.2f} MB/h over the last {self.growth.secs:.0f} s of the "
            f"longest life, {self.growth.least_fds} to {self.growth.most_fds} open files"
        )

    def _verdict(self) -> list[str]:
        lines = [f"VIOLATED     {violation}" for violation in self.violations]
        lines = lines or ["HELD         nothing acknowledged was lost, nothing was told otherwise"]
        return [*lines, f"kept in      {self.folder}"] if self.folder else lines
