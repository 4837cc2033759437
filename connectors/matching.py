"""Which files match the wildcards of the configuration."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Sequence

from connectors.folders import Found, look_at, one_name_each
from connectors.rotation import is_compressed

Tell = Callable[..., None]
"""Says something once while it is so: `tell(is_so, about, message, *details)`."""


def matching(paths: Sequence[str], tell: Tell) -> list[Found]:
    """Return the regular files that match, each once, in the order of their names.

    Compressed ones are passed over: nobody appends lines to them.
    """
    names = {
        os.path.normpath(name) for pattern in paths for name in glob.glob(pattern, recursive=True)
    }
    compressed = sorted(filter(is_compressed, names))
    tell(
        bool(compressed),
        "compressed",
        "%s is compressed and passed over, as others like it: give paths that do not match it",
        *compressed[:1],
    )
    looks = (look_at(name) for name in sorted(names.difference(compressed)))
    found = [look for look in looks if look is not None]
    tell(not found, "nothing", "no file matches %s yet: waiting", ", ".join(paths))
    return one_name_each(found)
