"""What is wrong with a file that is no TOML, in words for whoever writes it for the first time."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from typing import NamedTuple

_PLACE = re.compile(r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column \d+|end of document)\)")
_PAIR = re.compile(r"""\s*(?P<key>[\w.-]+)\s*=\s*(?P<value>[^"'\[{#\s][^#]*?)\s*(#.*)?""")
_YAML = re.compile(r"\s*(- )?[\w.-]+\s*:(\s.*)?|\s*- .*|---\s*")
_TWICE = re.compile(r"Cannot declare \((?P<names>.*?),?\) twice")
_NAME = re.compile(r"'([^']*)'")
_OPEN_QUOTE = "A quote does not end"
_CURLY = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_BEGIN = "`streamlnn init` writes one to begin with"
_SECRETS = ("password", "token", "secret")


class _Fault(NamedTuple):
    """What the parser said, the line it stands on, and the whole text."""

    what: str
    line: str
    text: str


def explain(text: str, error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the line, counted from 1, on which `text` is no TOML, and what to do about it.

    >>> try: tomllib.loads("url = mqtt://x")
    ... except tomllib.TOMLDecodeError as error: explain("url = mqtt://x", error)
    (1, 'not TOML: Invalid value; text stands in quotes: url = "mqtt://x"')
    """
    match = _PLACE.fullmatch(str(error))
    place = int(match["line"]) if match and match["line"] else text.count("\n") + 1
    what = _in_words(match["what"] if match else str(error))
    lines = text.split("\n")
    fault = _Fault(what, lines[min(place, len(lines)) - 1], text)
    hint = next(said for way in _WAYS if (said := way(fault)))
    return place, f"not TOML: {what}; {hint}"


def _in_words(what: str) -> str:
    if what.startswith("Illegal character '\\n'"):
        return _OPEN_QUOTE
    if what == "Cannot overwrite a value":
        return "A key stands twice"
    twice = _TWICE.fullmatch(what)
    return f"[{'.'.join(re.findall(_NAME, twice['names']))}] stands twice" if twice else what


def _another_language(fault: _Fault) -> str:
    if fault.text.lstrip()[:1] == "{":
        return f"this looks like JSON, and a configuration is TOML: {_BEGIN}"
    lines = [line for line in fault.text.splitlines() if line.strip() and line.strip()[0] != "#"]
    if all(_YAML.fullmatch(line) for line in lines):
        return f"this looks like YAML, and a configuration is TOML: {_BEGIN}"
    return ""


def _twice(fault: _Fault) -> str:
    if any(word in fault.what for word in ("twice", "immutable")):
        return "write each key and table once, and [[source]], [[stream]], [[sink]] in two brackets"
    return ""


def _quotes(fault: _Fault) -> str:
    if any(letter in fault.line for letter in _CURLY):
        return 'these quotes are of a text program: write straight ones, "'
    return 'close it on the same line with "' if fault.what == _OPEN_QUOTE else ""


def _backslash(fault: _Fault) -> str:
    if "\\" in fault.line and any(word in fault.what for word in ("Unescaped", "hex value")):
        return "a backslash begins an escape: write / in paths, or put the text in single quotes"
    return ""


def _colon(fault: _Fault) -> str:
    return "write = after a key, not a colon" if _YAML.fullmatch(fault.line) else ""


def _unquoted(fault: _Fault) -> str:
    pair = _PAIR.fullmatch(fault.line)
    if pair is None or not fault.what.startswith(("Invalid value", "Expected newline")):
        return ""
    key, value = pair["key"], pair["value"]
    if value.lower() in ("true", "false"):
        return f"write it in small letters: {key} = {value.lower()}"
    shown = "..." if any(word in key for word in _SECRETS) else value.replace('"', "")[:80]
    return f'text stands in quotes: {key} = "{shown}"'


def _lines(fault: _Fault) -> str:
    if fault.line.count("{") > fault.line.count("}"):
        return "a table in { } stands on one line, without a comma at its end"
    return ""


def _list(fault: _Fault) -> str:
    if fault.what.startswith("Unclosed array"):
        return "a comma stands between two values of a list, and ] after the last"
    return ""


def _brackets(fault: _Fault) -> str:
    if fault.line.lstrip()[:1] == "[" and "]" in fault.what:
        return "close a table's name as it was opened: [daemon], [[source]], [[stream]]"
    return ""


def _usual(_: _Fault) -> str:
    return 'write key = value, text in quotes: listen = "127.0.0.1:8642"'


_WAYS: tuple[Callable[[_Fault], str], ...] = (
    *(_another_language, _twice, _quotes, _backslash, _colon, _unquoted, _lines, _list, _brackets),
    _usual,
)
