"""What `doctor` can find out about followed files: there, readable, growing, rotated beside."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Context, Finding

QUIET_SECS = 86_400.0
_LISTED = 3


def examine_files(settings: Any, context: Context) -> Iterator[Finding]:
    """Yield what a source that follows `settings.paths` would meet."""
    files = sorted({Path(name) for path in settings.paths for name in glob.glob(path)})
    files = [file for file in files if file.is_file()]
    if not files:
        said = f"no file matches {', '.join(settings.paths)}"
        yield Finding("files", "warning", said, "correct paths, or wait: it is followed once there")
        return
    yield _readable(files)
    yield _growing(files, context.clock())
    yield from _rotation(files)


def _readable(files: list[Path]) -> Finding:
    closed = [file for file in files if not os.access(file, os.R_OK)]
    if closed:
        said = f"{len(closed)} of {len(files)} files cannot be read by this user: {_some(closed)}"
        way_out = "let the daemon's user read them, and enter their folder"
        return Finding("files", "problem", said, way_out, len(files))
    return Finding("files", "ok", f"{len(files)} can be read: {_some(files)}", value=len(files))


def _growing(files: list[Path], now: int) -> Finding:
    age = (now - max(file.stat().st_mtime_ns for file in files)) / NANOSECONDS
    said = f"the newest line was written {age:,.0f} s ago"
    if age > QUIET_SECS:
        return Finding("growing", "warning", said, "look at who should write them", age)
    return Finding("growing", "ok", said, value=age)


def _rotation(files: list[Path]) -> Iterator[Finding]:
    siblings = [(file, other) for file in files for other in _siblings(file)]
    away = [other for file, other in siblings if other.stat().st_dev != file.stat().st_dev]
    if away:
        said = f"rotation moves files to another device: {_some(away)}"
        way_out = "rotate within one file system: a copy is another file to us, and is read again"
        yield Finding("rotation", "warning", said, way_out)
    elif siblings:
        said = f"{len(siblings)} rotated files lie beside them, on the same device"
        yield Finding("rotation", "ok", said)


def _siblings(file: Path) -> list[Path]:
    """Return the files whose names begin with that of `file`, as rotation leaves them."""
    try:
        beside = sorted(file.resolve().parent.iterdir())
    except OSError:
        return []
    begins = (f"{file.name}.", f"{file.name}-")
    return [one for one in beside if one.name.startswith(begins) and one.is_file()]


def _some(files: list[Path]) -> str:
    more = f" and {len(files) - _LISTED} more" if len(files) > _LISTED else ""
    return ", ".join(str(file) for file in files[:_LISTED]) + more
