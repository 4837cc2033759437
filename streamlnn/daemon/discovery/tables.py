"""What a proposal is made of: tables to follow topics by, and what is left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamlnn.daemon.discovery.stamps import Stamp


@dataclass(frozen=True, slots=True)
class Table:
    """One `[[stream]]` table: what stands in it, and what its comments tell.

    `topics` are those heard, `step` is the usual seconds between their messages, if known, and
    `every` the same as the table has it, None where it was not steady. Without `fields` every
    number is taken, and without `targets` all are forecast; `not_taken` are paths of numbers that
    were left out. `is_wide` tells that its topics are not all alike, and that it may fit some that
    were left out. `form` is the codec; so many of its payloads had several points (`batched`).
    """

    topic: str
    id: str
    fields: dict[str, str]
    stamp: Stamp | None
    horizons: list[str] | list[int]
    step: float | None
    topics: tuple[str, ...]
    not_taken: tuple[str, ...]
    is_wide: bool = False
    targets: list[str] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    every: str | None = None
    form: str = "json"
    batched: int = 0


@dataclass(frozen=True, slots=True)
class Proposal:
    """Tables that cover what was heard, and for each reason the topics that were left out."""

    tables: tuple[Table, ...]
    left_out: dict[str, list[str]]
