"""Values as TOML, on one line."""

from __future__ import annotations

import json
import re
from typing import Any

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def as_toml(value: Any) -> str:
    r"""Return text, numbers, truth values, lists and tables as TOML reads them back.

    >>> print(as_toml({"temp": "a.b", "°C": [1, 2.5, True]}), as_toml(["1m"]), as_toml("\x7f"))
    { temp = "a.b", "°C" = [1, 2.5, true] } ["1m"] "\u007f"
    """
    if isinstance(value, dict):
        pairs = (f"{as_key(str(name))} = {as_toml(one)}" for name, one in value.items())
        return "{ " + ", ".join(pairs) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_key(name: str) -> str:
    """Return the name of a key as TOML has it: in quotes only where it must be.

    >>> as_key("temp"), as_key("wind speed")
    ('temp', '"wind speed"')
    """
    return name if _BARE_KEY.fullmatch(name) else as_toml(name)
