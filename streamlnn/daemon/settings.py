"""The daemon's own tables of the configuration: `[daemon]` and `[http]`."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from streamlnn.daemon.address import is_loopback, split_address
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Duration, Settings, read_secret
from streamlnn.pipeline.settings import MAX_STREAMS

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)\s*", re.IGNORECASE)
_LEVEL = re.compile(r"[\w.-]+")
_NO_LEVEL = re.compile(r"[^\w.-]+")
_PREFIXES = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """Return the bytes that `text` stands for: "2GB", "500 MB", "1GiB".

    Raises `ValueError` when the number or the unit is missing or unknown.

    >>> parse_size("2GB"), parse_size("1KiB")
    (2000000000, 1024)
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'{text!r} is not a size: write a number and a unit, such as "2GB"')
    unit = match[2].lower().removesuffix("b")
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * base ** _PREFIXES[unit.removesuffix("i")])


def _bytes(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError(f'a size is a string with a unit, such as "2GB", not {value!r}')
    return parse_size(value)


def _topic_level(value: str) -> str:
    if not _LEVEL.fullmatch(value):
        fit = _NO_LEVEL.sub("-", value).strip("-")
        hint = f", such as {fit!r}" if fit else ""
        raise ValueError(
            f"{value!r} will stand in topics; take letters, digits, _ . and - only{hint}"
        )
    return value


def _address(value: object) -> object:
    if value is False or value == "":
        return ""
    split_address(value)
    return value


def _expanded(value: Path) -> Path:
    return value.expanduser()


def _state_home() -> Path:
    if given := os.environ.get("STATE_DIRECTORY"):  # of a systemd unit; one with several lists them
        return Path(given.split(":")[0])
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "streamlnn"


Size = Annotated[
    int,
    BeforeValidator(_bytes),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*([KkMmGgTt]i?)?[Bb]$"}),
]
"""A pydantic type: written as "2GB" in the configuration, bytes in the program."""

FilePath = Annotated[Path, AfterValidator(_expanded)]


class LogSettings(Settings):
    """What is written to stderr, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["text", "json"] = "text"


class DaemonSettings(Settings):
    """The `[daemon]` table: who this daemon is and where it keeps what it knows."""

    instance: Annotated[str, AfterValidator(_topic_level)] = Field(
        default="streamlnn", description="Client id, and level of the output topics"
    )
    data_dir: FilePath = Field(
        default_factory=_state_home,
        description="Where the journal, the snapshots and the dead letters are kept",
    )
    snapshot_every: Annotated[Duration, Field(gt=0)] = Field(
        default="1h",
        validate_default=True,
        description="The longest time between two snapshots of a stream",
    )
    max_size: Annotated[Size, Field(gt=0)] = Field(
        default="2GB", validate_default=True, description="The journal's largest size on disk"
    )
    keep: Duration = Field(
        default="24h",
        validate_default=True,
        description='How long recorded samples are kept; "0s" keeps what recovery needs',
    )
    max_streams: int = Field(
        default=MAX_STREAMS, ge=1, description="So many streams at most; each takes memory"
    )
    log: LogSettings = Field(default=LogSettings(), examples=[{"level": "info"}])


class HttpSettings(Settings):
    """The `[http]` table: where health, metrics and the API are served, and to whom."""

    token: SecretStr | None = Field(
        default=None, description="What clients must send as a bearer token"
    )
    token_file: FilePath | None = Field(default=None, description="A file that holds the token")
    listen: Annotated[
        str, BeforeValidator(_address), WithJsonSchema({"type": ["string", "boolean"]})
    ] = Field(default="127.0.0.1:8642", description="HOST:PORT, or false for no HTTP at all")

    @field_validator("token_file")
    @classmethod
    def _one_token(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("token"):
            raise ValueError("token and token_file are both given; keep one of them")
        return value

    @field_validator("listen")
    @classmethod
    def _wide_needs_token(cls, value: str, info: ValidationInfo) -> str:
        # The tokens are declared, and so validated, before this field.
        token = info.data.get("token") or info.data.get("token_file")
        if value and not token and not is_loopback(split_address(value)[0]):
            raise ValueError(
                f"{value} can be reached from other machines and has no token; "
                "give token_file, or listen on 127.0.0.1"
            )
        return value

    def secret(self) -> str | None:
        """Return the token, read from its file when it is kept in one.

        Raises `ConfigError` when the file cannot be read, is empty, or others can read it too.
        """
        if self.token_file is None:
            return self.token.get_secret_value() if self.token else None
        try:
            return read_secret(self.token_file).strip()
        except OSError as error:
            why = f"cannot read {self.token_file}: {error.strerror}; name another file"
        except ValueError as error:
            why = str(error)
        raise ConfigError([f"http.token_file: {why}"])
