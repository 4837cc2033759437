"""What a configuration needs of this machine: files of secrets that can be read, a place to write.

What is not there, or is something else, is wrong for everybody. What this user may not read or
write is told as a doubt only: the daemon is often another user, and secrets should be its alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from streamlnn.daemon.config import Config
from streamlnn.daemon.disk import kernel_file_system
from streamlnn.daemon.doubts import doubts as doubts_of
from streamlnn.daemon.lines import Path as Place
from streamlnn.daemon.lines import key_lines
from streamlnn.daemon.problems import Problems
from streamlnn.pipeline.contract import read_secret


class Doubt(Exception):  # noqa: N818 - a word of warning
    """Something that may be right for another user than this one."""


def look_around(config: Config) -> list[str]:
    """Return what is doubtful. Raises `ConfigError`, with file and line, for what is wrong."""
    text = config.path.read_bytes().decode("utf-8-sig") if config.path else ""
    problems = Problems(str(config.path), {}, key_lines(text))
    doubts = [*config.doubts(), *doubts_of(config)]
    for place, label, path in _wanted(config):
        try:
            _check_folder(path) if label == "data_dir" else _check_file(path)
        except Doubt as doubt:
            doubts.append(f"{label}: {doubt}")
        except ValueError as error:
            problems.add(place, str(error))
    doubts += _look_at_tls(config, problems)
    problems.raise_all()
    return doubts


def _wanted(config: Config) -> Iterator[tuple[Place, str, Path]]:
    """Yield every path to look at: where it stands in the file, and its key."""
    yield ("daemon", "data_dir"), "data_dir", config.daemon.data_dir
    if config.http.token_file:
        yield ("http", "token_file"), "token_file", config.http.token_file
    for role, connectors in (("source", config.sources), ("sink", config.sinks)):
        for index, connector in enumerate(connectors):
            for key in connector.keys:
                value = getattr(connector.settings, key, None)
                if key.endswith("_file") and value:
                    yield (role, index, key), key, Path(value)


def _look_at_tls(config: Config, problems: Problems) -> Iterator[str]:
    """Add what is wrong with the files of the tls tables; yield what is doubtful."""
    for role, connectors in (("source", config.sources), ("sink", config.sinks)):
        for index, connector in enumerate(connectors):
            tls = getattr(connector.settings, "tls", None)
            try:
                _ = tls and tls.context()
            except PermissionError as error:
                yield f"tls of {role} {connector.id!r}: {error}; let the daemon's user read it"
            except (OSError, ValueError) as error:
                problems.add((role, index, "tls"), f"{error}; correct ca, cert and key")


def _check_file(path: Path) -> None:
    try:
        read_secret(path)
    except PermissionError:
        raise Doubt(f"{path} cannot be read by this user; let the daemon's user read it") from None
    except OSError as error:
        raise ValueError(
            f"{path} cannot be read: {error.strerror}; create it, or correct the path"
        ) from None


def _check_folder(path: Path) -> None:
    """Look whether a folder is there and can be written, or could be made: nothing is made."""
    there = next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise ValueError(f"{there} is no folder; give another data_dir, or move that away")
    verb = "written" if there == path else "made"
    if kind := kernel_file_system(there):
        raise ValueError(f"{path} cannot be {verb} ({kind} is no disk); give another data_dir")
    if os.access(there, os.W_OK | os.X_OK):
        return
    if os.geteuid() == 0:  # then nobody can
        raise ValueError(f"{path} cannot be {verb}, even by root; give another data_dir")
    raise Doubt(
        f"{path} cannot be {verb} by this user; let the daemon's user write there, or give another "
        "data_dir"
    )
