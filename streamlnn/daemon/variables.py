"""`${VAR}` in the strings of a configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from streamlnn.daemon.lines import Path

_REFERENCE = re.compile(r"\$\$|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

Report = Callable[[Path, str], None]


def substitute(tree: Any, environment: Mapping[str, str], report: Report, path: Path = ()) -> Any:
    """Return `tree` with every `${VAR}` and `${VAR:-default}` replaced in its strings.

    `$$` becomes a literal `$`; a `$` before anything else stays. What cannot be replaced is told
    to `report` with its path, and stays as it is.

    >>> substitute({"url": "mqtt://${HOST:-localhost}"}, {}, print)
    {'url': 'mqtt://localhost'}
    """
    if isinstance(tree, dict):
        return {k: substitute(v, environment, report, (*path, k)) for k, v in tree.items()}
    if isinstance(tree, list):
        return [substitute(v, environment, report, (*path, i)) for i, v in enumerate(tree)]
    if not isinstance(tree, str):
        return tree

    def value(match: re.Match[str]) -> str:
        return _value(match, environment, lambda text: report(path, text))

    return _REFERENCE.sub(value, tree)


def _value(
    match: re.Match[str], environment: Mapping[str, str], report: Callable[[str], None]
) -> str:
    if match[0] == "$$":
        return "$"
    reference = _NAME.fullmatch(match[1]) if match[2] else None
    if reference is None:
        report(f"{match[0]!r} is no variable; write ${{NAME}}, or $$ for a literal $")
        return match[0]
    name, default = reference[1], reference[2]
    found = environment.get(name) or default
    if found is None and name not in environment:
        report(
            f"the environment variable {name} is not set; "
            f"set it, or give a default: ${{{name}:-...}}"
        )
        return match[0]
    return found or ""
