"""Every exception streamlnn raises on purpose.

StreamlnnError
├── ConfigError        the configuration is wrong; carries every problem found, with file and line
├── InputUnavailable   a file or a broker that a one-shot command needs cannot be read
├── DecodeError        a payload cannot be read as a record; quotes its first bytes
├── StoreError         the data directory is locked, foreign, of a newer format or damaged
├── StateError         saved model state does not fit: wrong format, shape, type or checksum
├── NotConnected       a connector lost its other side; the pipeline connects again
└── EndOfSource        a source has nothing more and never will
"""

from __future__ import annotations

_QUOTED_BYTES = 120


class StreamlnnError(Exception):
    """The root: catch this to catch all that streamlnn raises on purpose."""


class ConfigError(StreamlnnError):
    """The configuration is wrong; `problems` lists all that was found, one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class InputUnavailable(StreamlnnError):  # noqa: N818
    """A file or a broker that a one-shot command needs cannot be read."""


class DecodeError(StreamlnnError):
    """A payload cannot be read as a record: says why and quotes the payload's first bytes."""

    def __init__(self, reason: str, payload: bytes = b"") -> None:
        more = "..." if len(payload) > _QUOTED_BYTES else ""
        quoted = _quoted(payload[:_QUOTED_BYTES])
        super().__init__(f"{reason}: {quoted}{more}" if payload else reason)
        self.reason = reason


class StoreError(StreamlnnError):
    """The data directory is locked by another daemon, of a newer format, or damaged."""


class StateError(StreamlnnError):
    """Saved model state does not fit: wrong format, shape, type or checksum."""


class NotConnected(StreamlnnError):  # noqa: N818 - a state of life, not a failure
    """A connector lost its other side, or never had it; the pipeline connects again."""


class EndOfSource(StreamlnnError):  # noqa: N818
    """A source has nothing more and never will."""


def _quoted(payload: bytes) -> str:
    try:
        return repr(payload.decode())
    except UnicodeDecodeError:
        return repr(payload).removeprefix("b")
