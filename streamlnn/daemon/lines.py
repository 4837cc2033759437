"""Which line of a TOML file a key stands on: what `tomllib` does not tell."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Where a value is in the parsed document: ("source", 0, "url")."""

_TOKEN = re.compile(
    r'''
    (?P<text>"""(?:\\.|[^\\])*?""""{0,2} | \'\'\'.*?\'\'\'\'{0,2} | "(?:\\.|[^"\\\n])*" | '[^'\n]*')
    | (?P<blank>[ \t\r]+ | \#[^\n]*)
    | (?P<mark>[][{}=,.\n])
    | (?P<bare>[^][{}=,.\s\#"']+)
    ''',
    re.VERBOSE | re.DOTALL,
)


_DEEPEST = 32
_LONGEST = 1_000


class _Token(NamedTuple):
    kind: str
    text: str
    line: int


def key_lines(text: str) -> dict[Path, int]:
    r"""Return the line, counted from 1, of every key, table and list element of a TOML document.

    `text` must be sound TOML: `tomllib` has read it before. Costs one pass over the text.

    >>> key_lines('[http]\nlisten = ""\n[[source]]\ntls = {ca = ""}')[("source", 0, "tls", "ca")]
    4
    """
    scanner = _Scanner(_tokens(text))
    scanner.document()
    return scanner.lines


def excess_line(text: str) -> int | None:
    """Return the first line that nests too deeply for us or has a number too long; None: none has.

    `text` need be no TOML: what is too deep for `tomllib` is found as well.
    """
    levels = [0]
    for token in _tokens(text):
        if token.text in ("[", "{"):
            levels.append(0)
        elif token.text in ("]", "}"):
            levels = levels[:-1] or [0]
        elif token.text == ".":
            levels[-1] += 1
        elif token.text in (",", "\n"):
            levels[-1] = 0
        is_long = token.kind == "bare" and len(token.text) > _LONGEST
        if is_long or len(levels) + sum(levels) > _DEEPEST:
            return token.line
    return None


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Return the line of `path`, or of the innermost table around it that is in the file."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def _tokens(text: str) -> list[_Token]:
    found, line = [], 1
    for match in _TOKEN.finditer(text):
        if match.lastgroup != "blank":
            found.append(_Token(str(match.lastgroup), match[0], line))
        line += match[0].count("\n")
    return [*found, _Token("end", "", line)]


@dataclass
class _Scanner:
    tokens: list[_Token]
    lines: dict[Path, int] = field(default_factory=dict)
    counts: dict[Path, int] = field(default_factory=dict)
    at: int = 0

    def document(self) -> None:
        table: Path = ()
        while self.peek().kind != "end":
            if self.peek().text == "\n":
                self.take()
            elif self.peek().text == "[":
                table = self.header()
            else:
                self.pair(table)

    def header(self) -> Path:
        line = self.take().line
        several = self.peek().text == "["
        if several:
            self.take()
        path = self.enter((), self.keys())
        if several:
            self.counts[path] = self.counts.get(path, 0) + 1
            path = (*path, self.counts[path] - 1)
        self.note(path, line)
        while self.peek().text == "]":
            self.take()
        return path

    def enter(self, table: Path, keys: list[str]) -> Path:
        """Follow `keys` from `table`; a list of tables on the way means its newest element."""
        path = table
        for key in keys:
            if path in self.counts:
                path = (*path, self.counts[path] - 1)
            path = (*path, key)
        return path

    def keys(self) -> list[str]:
        found = [_key(self.take())]
        while self.peek().text == ".":
            self.take()
            found.append(_key(self.take()))
        return found

    def pair(self, table: Path) -> None:
        line = self.peek().line
        path = self.enter(table, self.keys())
        self.take()  # the equals sign
        self.note(path, line)
        self.value(path)

    def value(self, path: Path) -> None:
        if self.peek().text == "{":
            self.inline_table(path)
        elif self.peek().text == "[":
            self.elements(path)
        else:
            self.plain()

    def inline_table(self, path: Path) -> None:
        self.take()
        while self.peek().text != "}":
            if self.peek().text in ("\n", ","):
                self.take()
            else:
                self.pair(path)
        self.take()

    def elements(self, path: Path) -> None:
        self.take()
        index = 0
        while self.peek().text != "]":
            if self.peek().text in ("\n", ","):
                self.take()
                continue
            self.note((*path, index), self.peek().line)
            self.value((*path, index))
            index += 1
        self.take()

    def plain(self) -> None:
        """Skip a string, number, date or truth value, which may be several tokens: `1.5`."""
        while self.peek().kind != "end" and self.peek().text not in (",", "]", "}", "\n"):
            self.take()

    def note(self, path: Path, line: int) -> None:
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)

    def peek(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token


def _key(token: _Token) -> str:
    if token.kind != "text":
        return token.text
    if token.text.startswith("'"):
        return token.text[1:-1]
    return str(json.loads(token.text))
