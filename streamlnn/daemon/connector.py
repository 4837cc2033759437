"""A source or a sink as the configuration names it: its class and its checked settings."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from streamlnn.pipeline.contract import Context


@dataclass(frozen=True)
class Connector:
    """One `[[source]]` or `[[sink]]` table.

    In a `Config` both `type` and `settings` are there. While a configuration is being checked,
    `type` is None for a kind that is not installed and `settings` is None for a wrong table; `via`
    is known all the same.
    """

    kind: str
    id: str
    type: Any
    settings: Any
    via: str | None = None

    def make(self, context: Context) -> Any:
        """Return the source or sink itself, not connected yet."""
        return self.type(self.settings, context)

    def doubts(self) -> Collection[str]:
        """Return what is allowed and unwise in this table; a kind may have none to tell."""
        tell = getattr(self.settings, "doubts", tuple)
        return list(tell())

    @property
    def has_topics(self) -> bool:
        """True for a source that subscribes to topics, as an MQTT broker's does."""
        return self.type is None or "topics" in self.keys

    @property
    def has_files(self) -> bool:
        """True for a source that follows files, which have no topics."""
        return "paths" in self.keys

    @property
    def keys(self) -> Collection[str]:
        """The keys that this kind's table has."""
        return self.type.Settings.model_fields if self.type else ()
