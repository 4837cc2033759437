"""Everything that is wrong with a configuration, said with file, line and the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from streamlnn.daemon.lines import Path, line_of
from streamlnn.daemon.toml import as_toml
from streamlnn.errors import ConfigError
from streamlnn.pipeline.plugins import our_name

_SECRETS = ("password", "token", "secret")
_EXPECTED = {
    "string": "text in quotes",
    "path": "a path in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list in [ ]",
    "tuple": "a list in [ ]",
    "dict": "a table in { }",
    "model": "a table in { }",
}
_EXPLAINED = ("extra_forbidden", "missing", "value_error", "literal_error")
"""Kinds of errors whose messages say by themselves what to write."""


_ELSEWHERE = {
    **dict.fromkeys(("host", "hostname", "port", "server", "broker", "address", "uri"), ("url",)),
    **dict.fromkeys(("user", "login"), ("username",)),
    **dict.fromkeys(("ca", "cert", "key", "cafile", "ca_file", "ssl", "certificate"), ("tls",)),
    **dict.fromkeys(("source", "input"), ("from",)),
    **dict.fromkeys(("name", "stream"), ("id",)),
    **dict.fromkeys(("interval", "period", "rate", "cadence"), ("every",)),
    **dict.fromkeys(("values", "columns", "value"), ("fields",)),
    **dict.fromkeys(("timestamp", "time_field", "time_format", "timezone"), ("time", "zone")),
    **dict.fromkeys(("path", "file", "files", "glob"), ("paths", "path", "data_dir")),
    **dict.fromkeys(("type",), ("kind",)),
    **dict.fromkeys(("log_level", "loglevel", "logging"), ("log",)),
    **dict.fromkeys(("data", "dir", "state_dir", "storage"), ("data_dir",)),
}
"""What other programs call a key of ours."""


class Problems:
    """The problems of one file, collected until all are known.

    `raw` is the document as it is written, before variables were replaced: what is quoted comes
    from there, so that no secret from the environment can stand in a message.
    """

    def __init__(self, name: str, raw: Mapping[str, Any], lines: Mapping[Path, int]) -> None:
        self._name = name
        self._raw = raw
        self._lines = lines
        self._found: dict[tuple[int, str], None] = {}
        self._unread: set[Path] = set()

    def add_unread(self, path: Path, text: str) -> None:
        """Note why the string at `path` is not known; what else is wrong with it is no news."""
        self.add(path, text)
        self._unread.add(path)

    def add(self, path: Path, text: str) -> None:
        """Note that `text` is wrong with what stands at `path`."""
        if path in self._unread:
            return
        label = ".".join(part for part in path if isinstance(part, str))
        line = line_of(self._lines, path)
        self._found[line, f"{self._name}:{line}: {label}: {text}"] = None

    def add_invalid(
        self, error: ValidationError, model: type[BaseModel], path: Path, homes: Homes
    ) -> None:
        """Note all that pydantic found wrong with the table at `path`, which `model` describes."""
        texts: dict[Path, dict[str, str]] = {}
        for details in error.errors(include_url=False):
            at = self._place(details, model, path)
            text = self._explain(details, model, path, at, homes)
            told = details["type"] in _EXPLAINED
            texts.setdefault(at, {})[text] = "" if told else _example(model, at[len(path) :])
        for at, said in texts.items():
            self.add(at, "; or ".join(said) + next(iter(said.values())))

    def _place(self, details: ErrorDetails, model: type[BaseModel], path: Path) -> Path:
        """Return the path of what is wrong: for a whole table, the first key that is mentioned."""
        at = (*path, *_written(details, _at(self._raw, path)))
        if details["type"] != "value_error" or _inner(model, at[len(path) :]) is None:
            return at
        table = _at(self._raw, at) or {}
        mentioned = [word for word in re.findall(r"\w+", details["msg"]) if word in table]
        return (*at, *mentioned[:1])

    def raise_all(self) -> None:
        """Raise `ConfigError` with every problem, in the order of the file, if there is any."""
        if self._found:
            raise ConfigError([text for _, text in sorted(self._found, key=lambda item: item[0])])

    def _explain(
        self, details: ErrorDetails, model: type[BaseModel], path: Path, at: Path, homes: Homes
    ) -> str:
        kind = details["type"]
        if kind == "extra_forbidden":
            known = keys(_inner(model, at[len(path) : -1]))
            return unknown_key(str(at[-1]), known, homes)
        if kind == "missing":
            return _missing(str(at[-1]), _inner(model, at[len(path) : -1]))
        if kind == "value_error":
            return str(details["ctx"]["error"])
        quoted = _quoted(at, _at(self._raw, at))
        if kind == "literal_error":
            return _not_one_of(details["ctx"]["expected"], _at(self._raw, at), quoted)
        if kind == "too_short" and details["ctx"]["min_length"] == 1:
            return f"expected at least one value in the list{quoted}"
        expected = _EXPECTED.get(kind.partition("_")[0])
        if expected:
            return f"expected {expected}{quoted}"
        return f"{details['msg'].replace('Input should', 'this must')}{quoted}"


Homes = Mapping[str, Sequence[str]]
"""Which keys each table of the configuration has, to tell where a misplaced key belongs."""


def keys(model: type[BaseModel] | None) -> list[str]:
    """Return the keys of a settings table as they are written in the file."""
    fields = model.model_fields if model else {}
    return [field.alias or name for name, field in fields.items()]


def nearest(word: str, known: Sequence[str]) -> str:
    """Return "; did you mean ...?", or nothing when no known word is near.

    >>> nearest("topci", ["topic", "id"])
    "; did you mean 'topic'?"
    """
    close = get_close_matches(word, known, n=1) or get_close_matches(word.lower(), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def unknown_key(key: str, known: Sequence[str], homes: Homes) -> str:
    """Say that `key` is none of the `known` ones, and which it was meant to be or where to put it.

    >>> unknown_key("listen", ["instance"], {"[http]": ["listen"]})
    'unknown key; it belongs in [http]'
    """
    home = next((table for table, inside in homes.items() if key in inside), None)
    meant = next((word for word in _ELSEWHERE.get(key.lower(), ()) if word in known), None)
    if meant:
        return f"unknown key; did you mean {meant!r}?"
    if near := nearest(key, known):
        return f"unknown key{near}" + (f" ({key!r} belongs in {home})" if home else "")
    if home:
        return f"unknown key; it belongs in {home}"
    return f"unknown key; {'the keys here are ' + ', '.join(known) if known else 'leave it out'}"


def _field(key: str, model: type[BaseModel] | None) -> FieldInfo | None:
    fields = model.model_fields if model else {}
    return next((field for name, field in fields.items() if key in (name, field.alias)), None)


def _example(model: type[BaseModel], inside: Path) -> str:
    """Return how the key at `inside` a table is written, or one around it, from its settings."""
    for depth in range(len(inside), 0, -1):
        key = str(inside[depth - 1])
        field = _field(key, _inner(model, inside[: depth - 1]))
        if field and field.examples:
            return f"; write {key} = {' or '.join(map(as_toml, field.examples))}"
    return ""


def _missing(key: str, model: type[BaseModel] | None) -> str:
    field = _field(key, model)
    hint = f" ({field.description})" if field and field.description else ""
    return f"missing; add {key} = ...{hint}"


def _not_one_of(expected: str, value: Any, quoted: str) -> str:
    words = [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]
    known = isinstance(value, str) and (nearest(value, words) or nearest(our_name(value), words))
    hint = known or ""
    return f"expected {expected}{quoted}{hint}"


def _quoted(path: Path, value: Any) -> str:
    name = next((part for part in reversed(path) if isinstance(part, str)), "")
    if value is None or any(secret in name for secret in _SECRETS):
        return ""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return f", not {text[:80]}{'...' if len(text) > 80 else ''}"


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        if isinstance(tree, dict):
            tree = tree.get(part)
        elif isinstance(tree, list) and isinstance(part, int) and part < len(tree):
            tree = tree[part]
        else:
            return None
    return tree


def _written(details: ErrorDetails, table: Any) -> Iterator[str | int]:
    """Yield the part of pydantic's location that is in the file, without the names of branches."""
    for depth, part in enumerate(details["loc"], start=1):
        inside = _at(table, (part,)) is not None
        absent = details["type"] == "missing" and depth == len(details["loc"])
        if inside or absent:
            yield part
        if inside:
            table = table[part]


def _inner(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    inner: type[BaseModel] | None = model
    for part in path:
        fields = inner.model_fields if inner else {}
        found = [field for name, field in fields.items() if part in (name, field.alias)]
        inner = _model_in(found[0].annotation) if found else None
    return inner


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
