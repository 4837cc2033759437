"""What must hold in the end. Each check names what it found, and the first few cases of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from streamlnn.pipeline.testing.soak.records import Series
from streamlnn.pipeline.testing.soak.tally import Tally

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: how often, and the first cases."""

    what: str
    count: int
    first: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.count} {self.what}: {', '.join(self.first)}"


@dataclass(slots=True)
class Evidence:
    """What was seen. `confirmed` are the samples that the broker took, `journal` the records.

    `heard` is what the consumer was told, `reference` what an uncut replay of all samples says.
    `troubles` are what else went wrong, as text.
    """

    confirmed: Mapping[str, Series]
    journal: Mapping[str, Series]
    heard: Tally
    reference: Tally
    troubles: list[str] = field(default_factory=list)


def check(seen: Evidence) -> list[Violation]:
    """Return every violation; none when all holds."""
    heard, reference = seen.heard, seen.reference
    found = [
        _violation("confirmed samples are missing from the journal", _lost(seen)),
        _violation("records in the journal were never sent, or stand there twice", _extra(seen)),
        _violation("forecasts came with two values", map(str, heard.contradictions)),
        _violation("forecasts are missing at the consumer", _missing(heard, reference)),
        _violation("forecasts that the reference does not know", _missing(reference, heard)),
        _violation("forecasts differ from the reference", _different(heard, reference)),
        _violation("events are missing at the consumer", _untold(heard, reference)),
        _violation("events that the reference does not know", _untold(reference, heard)),
        _violation("messages cannot be read", (repr(one[:80]) for one in heard.unreadable)),
        _violation("losses of the daemon's session", ["told"] * heard.sessions_lost),
    ]
    return [*found_amiss(seen.troubles), *(one for one in found if one is not None)]


def found_amiss(troubles: Iterable[str]) -> list[Violation]:
    """Return the violation that troubles are, if there are any."""
    found = _violation("troubles", troubles)
    return [found] if found else []


def _violation(what: str, cases: Iterable[str]) -> Violation | None:
    cases = iter(cases)
    first = tuple(islice(cases, _SHOWN))
    rest = sum(1 for _ in cases)
    return Violation(what, len(first) + rest, first) if first else None


def _lost(seen: Evidence) -> Iterator[str]:
    return _not_in(seen.confirmed, seen.journal)


def _extra(seen: Evidence) -> Iterator[str]:
    yield from _not_in(seen.journal, seen.confirmed)
    for stream, rows in seen.journal.items():
        times, counts = np.unique(rows[:, 0], return_counts=True)
        yield from (f"{stream} at {time:.0f} twice" for time in times[counts > 1])


def _not_in(these: Mapping[str, Series], those: Mapping[str, Series]) -> Iterator[str]:
    for stream, rows in these.items():
        known = set(map(tuple, those[stream].tolist())) if stream in those else set()
        for time, value in rows.tolist():
            if (time, value) not in known:
                yield f"{stream} at {time:.0f}"


def _missing(here: Tally, there: Tally) -> Iterator[str]:
    return (str(one) for one in there.identities() if here.value(one) is None)


def _different(heard: Tally, reference: Tally) -> Iterator[str]:
    for identity in reference.identities():
        if heard.value(identity) not in (None, reference.value(identity)):
            yield str(identity)


def _untold(here: Tally, there: Tally) -> Iterator[str]:
    return (text for value, text in there.events.items() if value not in here.events)
