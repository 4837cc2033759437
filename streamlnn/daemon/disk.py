"""What `doctor` finds out about the data directory: whose it is, what it lies on, what it costs."""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from streamlnn.daemon.config import Config
from streamlnn.daemon.footprint import footprint, size
from streamlnn.errors import StoreError
from streamlnn.pipeline.contract import Finding
from streamlnn.pipeline.journal import FILE, Journal

COMMIT_SECS = 3.0
COMMITS = 200
PAGES = 5 * 4096
"""What a commit writes into the journal's log before it waits for the disk."""
SLOW_SECS = 0.1
LEAST_FREE = 64_000_000

_MOUNTS = Path("/proc/self/mountinfo")
_KERNELS = ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "debugfs", "tracefs", "bpf")
_NETWORK = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "gluster", "lustre", "fuse.sshfs", "ncpfs")


def examine_disk(config: Config) -> Iterator[Finding]:
    """Yield what the data directory is good for. Nothing stays behind in it."""
    folder = config.daemon.data_dir
    there = next(place for place in (folder, *folder.absolute().parents) if place.is_dir())
    yield _rights(folder, there)
    yield _file_system(there)
    yield _room(config, there)
    yield from _journal(folder)
    yield from _written(config)
    if os.access(there, os.W_OK | os.X_OK):
        yield _commits(there)


def kernel_file_system(folder: Path) -> str:
    """Return the kind of file system, such as proc, if it is one that keeps nobody's files."""
    kind = kind_of(folder)
    return kind if kind in _KERNELS else ""


def _rights(folder: Path, there: Path) -> Finding:
    if not os.access(there, os.W_OK | os.X_OK):
        verb = "written" if there == folder else "made"
        said = f"{folder} cannot be {verb} by this user, {os.geteuid()}"
        way_out = "run doctor as the daemon's user, or let that user write there"
        return Finding("rights", "problem", said, way_out)
    found = there.stat()
    if there != folder:
        return Finding("rights", "ok", f"{folder} is not there yet and can be made")
    if found.st_uid != os.geteuid():
        said = f"{folder} belongs to user {found.st_uid}, not to {os.geteuid()}"
        return Finding("rights", "problem", said, f"chown it to the daemon's user: {folder}")
    if found.st_mode & 0o022:
        said = f"others may write into {folder}, and the daemon refuses to start on it"
        return Finding("rights", "problem", said, f"chmod 700 {folder}")
    if found.st_mode & 0o077:
        said = f"{folder} is open to other users"
        return Finding("rights", "warning", said, f"chmod 700 {folder}")
    return Finding("rights", "ok", f"{folder} is this user's alone")


def _file_system(there: Path) -> Finding:
    kind = kind_of(there)
    if kind in ("tmpfs", "ramfs"):
        said, way_out = f"{kind}: gone with the next start", "give a data_dir on a disk"
        return Finding("file system", "warning", said, way_out, kind)
    if kind == "overlay":
        said, way_out = "overlay: gone with the container", "mount a volume at data_dir"
        return Finding("file system", "warning", said, way_out, kind)
    if kind.startswith(_NETWORK):
        said = f"{kind}: over the network neither locks nor syncs can be relied on"
        return Finding("file system", "warning", said, "give a data_dir on a local disk", kind)
    return Finding("file system", "ok", kind or "unknown", value=kind or None)


def kind_of(folder: Path, mounts: Path = _MOUNTS) -> str:
    """Return the kind of file system that a folder lies on, "" where nobody tells."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return ""
    best, place = "", folder.resolve()
    kind = ""
    for line in lines:
        mounted, _, rest = line.partition(" - ")
        point = mounted.split()[4].replace("\\040", " ")
        if place.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind


def _room(config: Config, there: Path) -> Finding:
    free, most = shutil.disk_usage(there).free, config.daemon.max_size
    used = sum(file.stat().st_size for file in config.daemon.data_dir.glob(f"{FILE}*"))
    said = f"{size(free)} free; the journal takes {size(used)} of {size(most)} at most"
    way_out = f"make room, or lower max_size below {size(free + used)}"
    if free < LEAST_FREE:
        return Finding("room", "problem", said, way_out, free)
    if free + used < most:
        return Finding("room", "warning", said, way_out, free)
    return Finding("room", "ok", said, value=free)


def _journal(folder: Path) -> Iterator[Finding]:
    if not (folder / FILE).exists():
        return
    try:
        with closing(Journal(folder, read_only=True)) as journal, journal.reading():
            said = f"{len(journal.streams())} streams, {journal.last_lsn:,} records accepted"
    except StoreError as error:
        yield Finding("journal", "problem", str(error), "the daemon cannot start on it as it is")
    else:
        yield Finding("journal", "ok", said)


def _written(config: Config) -> Iterator[Finding]:
    for stream in config.streams:
        cost = footprint(stream, config)
        if cost["journal_a_day"] is None:
            continue
        daily = cost["journal_a_day"] + cost["snapshots_a_day"]
        name = stream.id or stream.topic or "{stem}"
        said = f"up to {size(daily)} a day for each stream {name}"
        yield Finding("written", "ok", said, value=daily)


def _commits(there: Path) -> Finding:
    try:
        took = sorted(commit_secs(there))
    except OSError as error:
        said = f"no file can be written into {there}: {error.strerror}"
        return Finding("commit", "problem", said, "make room there, or give another data_dir")
    median, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    said = (
        f"{median * 1e3:.2g} ms at the median, {p99 * 1e3:.2g} ms at p99 of {len(took)}: "
        f"{1 / median:,.0f} commits a second; messages that wait meanwhile share the next one"
    )
    if median > SLOW_SECS:
        way_out = "a faster disk, or fewer and larger messages"
        return Finding("commit", "warning", said, way_out, median)
    return Finding("commit", "ok", said, value=median)


def commit_secs(folder: Path) -> list[float]:
    """Return how long writes as large as a commit took until they were on the disk.

    The file they go to has no name, so that it is gone however this ends.
    """
    took, deadline = list[float](), time.monotonic() + COMMIT_SECS
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        while len(took) < COMMITS and time.monotonic() < deadline:
            began = time.perf_counter()
            file.write(bytes(PAGES))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return took
