"""Files that hold a secret: read only when nobody else can have read it.

The rule is PostgreSQL's for private keys: the file is ours and of no use to group and others
(`chmod 600`), or it is root's and others have no rights (`chmod 640`, the daemon's group reads it).
Where an orchestrator puts secrets (`/run/secrets`, systemd's `$CREDENTIALS_DIRECTORY`) the folder
guards them, and the modes are not ours to choose.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

GUARDED = "/run/secrets"
MOST_BYTES = 65_536


def read_secret(path: Path | str) -> str:
    """Return the text in a secret's file, without the newline at its end.

    Raises `OSError` when it cannot be read and `ValueError`, with the way out, when others can read
    it, when it is empty, no file, larger than 64 KiB or no UTF-8 text.
    """
    place = Path(path)
    # A pipe would make us wait for somebody to write to it.
    with os.fdopen(os.open(place, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        check_private(place, os.fstat(file.fileno()))
        held = file.read(MOST_BYTES + 1)
    if len(held) > MOST_BYTES:
        raise ValueError(f"{place} is larger than {MOST_BYTES} bytes: it holds no secret")
    try:
        text = held.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise ValueError(f"{place} is not UTF-8 text; write the secret into it as text") from None
    if not text.strip():
        raise ValueError(f"{place} is empty; write the secret into it")
    return text


def check_private(path: Path, found: os.stat_result) -> None:
    """Raise `ValueError`, with the way out, when others may read the file that `found` tells of."""
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"{path} is no regular file; give the path of a file")
    if _is_guarded(path):
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise ValueError(
            f"{path} belongs to another user, who can change it; chown it to the daemon's user"
        )
    forbidden = 0o037 if found.st_uid == 0 else 0o077
    if found.st_mode & forbidden:
        raise ValueError(
            f"{path} can be read or changed by others (its mode is "
            f"{stat.S_IMODE(found.st_mode):04o}); chmod 600 {path}"
        )


def _is_guarded(path: Path) -> bool:
    """Tell whether somebody who knows the mode better has put the file there."""
    folders = [GUARDED, os.environ.get("CREDENTIALS_DIRECTORY", "")]
    real = path.resolve()
    return any(folder and real.is_relative_to(Path(folder).resolve()) for folder in folders)
