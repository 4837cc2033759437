"""What may stand in a configuration and is seldom meant: told by `check`, stops nothing."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

from streamlnn.daemon.config import Config
from streamlnn.daemon.lines import Path as Place
from streamlnn.daemon.lines import key_lines, line_of
from streamlnn.pipeline import plugins
from streamlnn.pipeline.settings import VARIABLE, StreamSettings
from streamlnn.pipeline.trees import leaves

_SECRETS = ("password", "token")
_ORIGINS = ("topic", "path", "stem")
_UNBRACED = re.compile(r"(?<!\$)\$([A-Z][A-Z0-9_]{2,})\b")
_BROKERS_OWN = ("SYS",)


def doubts(config: Config) -> list[str]:
    """Return what is doubtful in the file that `config` was read from, with its lines."""
    if config.path is None:
        return []
    text = config.path.read_bytes().decode("utf-8-sig")
    lines = key_lines(text)
    found = [*_literal_secrets(text, config.path), *_unbraced(text), *_streams(config)]
    return [
        f"{config.path}:{line_of(lines, place)}: {_label(place)}: {said}" for place, said in found
    ]


def _literal_secrets(text: str, path: Path) -> Iterator[tuple[Place, str]]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if not mode & stat.S_IROTH:
        return
    for place, value in _texts(text):
        if place[-1] in _SECRETS and value and "${" not in value:
            yield (
                place,
                f"everybody on this machine can read it (the file's mode is {mode:04o}); "
                f"chmod 600 {path} if the daemon is its owner, else put it into a file: "
                f"{place[-1]}_file (under systemd with LoadCredential)",
            )


def _unbraced(text: str) -> Iterator[tuple[Place, str]]:
    for place, value in _texts(text):
        name = _UNBRACED.search(value)
        if name and name[1] not in _BROKERS_OWN and place[-1] not in _SECRETS:
            yield place, f"{name[0]} is taken as it is; for the variable write ${{{name[1]}}}"


def _streams(config: Config) -> Iterator[tuple[Place, str]]:
    formats = {source.id: getattr(source.settings, "format", "") for source in config.sources}
    for index, stream in enumerate(config.streams):
        for name, path in (stream.fields or {}).items():
            if path.startswith("$.") or "[" in path:
                dotted = path.removeprefix("$.").replace("[", ".").replace("]", "")
                said = f"{path!r} is looked up as it is; a dotted path is meant: {dotted}"
                yield ("stream", index, "fields", name), said
        for name in _of_payload(stream, formats.get(stream.from_ or "", "")):
            said = (
                f"{{{name}}} is no level of the topic, so it is taken from the payload, and a "
                f"message without {name!r} is put aside"
            )
            yield ("stream", index, "id"), said


def _of_payload(stream: StreamSettings, form: str) -> list[str]:
    """Return the names in a stream's id that neither its topic nor each payload tells."""
    if stream.topic is None or stream.id is None:
        return []
    known = {*stream.names, *_ORIGINS}
    unknown = [name for name in VARIABLE.findall(stream.id) if name not in known]
    return [name for name in unknown if not (name.startswith("_") and _names_streams(form))]


def _names_streams(form: str) -> bool:
    """Tell whether a codec's payloads say what they are, as `{_series}` of line protocol does."""
    return bool(form) and hasattr(plugins.load("codec", form), "id")


def _texts(text: str) -> Iterator[tuple[Place, str]]:
    """Yield every string of a sound TOML document as it is written, with its place."""
    for dotted, leaf in leaves(tomllib.loads(text)):
        if isinstance(leaf, str):
            yield tuple(int(key) if key.isdecimal() else key for key in dotted.split(".")), leaf


def _label(place: Place) -> str:
    return ".".join(part for part in place if isinstance(part, str))
