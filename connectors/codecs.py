"""From a payload's bytes to a tree of values: JSON (with bare numbers and text), and CSV lines.

A payload may hold anything at all, by malice or by a broken cable; what cannot be read is a
`DecodeError` and nothing else. Which leaf is a field, and whether its text is a number, is
decided by the pipeline, not here.
"""

from __future__ import annotations

import csv
import re
from contextlib import suppress
from typing import Any

import msgspec

from connectors.columns import DELIMITERS, columns_of, split, text_of
from streamlnn.pipeline.contract import DecodeError, Message, Tree

MAX_DEPTH = 64
"""Levels of nesting: no sensor needs more, and deeper trees would exhaust the stack."""

MAX_CELLS = 10_000
"""Cells of a line: no table of sensors is wider, and cutting more up would take seconds."""

_GAPS = frozenset({"", "unavailable", "unknown", "nan", "null", "none", "n/a", "na"})
_NUMBER = re.compile(rb"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*")
_DECIMAL_COMMA = re.compile(rb"\s*[+-]?[0-9]+,[0-9]+\s*")
_HUGE = re.compile(rb"[0-9]{309}")


class JsonCodec:
    """JSON, and what stands in its place in the field.

    A bare number, `true`, `false` or a quoted number is `{"value": ...}`; so is other quoted
    text, as text. An empty payload, `null`, `nan`, `unknown` and `unavailable` mean that there
    is no value now: `{"value": None}`.

    >>> JsonCodec().decode(Message("t", b'{"temp": 21.5}', None))
    {'temp': 21.5}
    >>> JsonCodec().decode(Message("t", b" +12.5 ", None))
    {'value': 12.5}
    >>> JsonCodec().decode(Message("t", b"unavailable", None))
    {'value': None}
    """

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder()

    def decode(self, message: Message) -> Tree:
        """Return the payload's tree.

        Raises `DecodeError` for what is neither JSON nor a number: also for NaN and infinity
        inside JSON, numbers beyond a double's range, text that is not UTF-8, a byte order mark,
        and nesting deeper than `MAX_DEPTH`.
        """
        payload = message.payload
        try:
            tree = self._decoder.decode(payload)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return {"value": _bare(payload, error)}
        if not isinstance(tree, dict | list):
            return {"value": _leaf(tree, payload)}
        if payload.count(b"{") + payload.count(b"[") > MAX_DEPTH:
            _check_depth(tree, payload)
        if _HUGE.search(payload):
            _check_range(tree, payload)
        return tree


class CsvCodec:
    """One line of a CSV file, its columns told by `Message.columns`.

    Cells stay text; an empty one is None, and a decimal comma becomes a point. Without `delimiter`
    it is the one, of tab, semicolon and comma, that gives as many cells as there are columns. A
    line with exactly one cell more than the header has a leading row number, which is dropped; a
    column without a name is not read. A line of no known columns has the columns `value`, or `c0`,
    `c1`, ...

    >>> CsvCodec().decode(Message("f", b"12:00;7,5;", None, columns=("time", "flow", "note")))
    {'time': '12:00', 'flow': '7.5', 'note': None}
    """

    def __init__(self, delimiter: str | None = None) -> None:
        self._delimiters = delimiter or DELIMITERS

    def decode(self, message: Message) -> Tree:
        """Return the line's cells by column.

        Raises `DecodeError` for a number of cells that does not fit the columns or is beyond
        `MAX_CELLS`, for quotes that do not fit, and for NUL bytes.
        """
        payload = message.payload
        if b"\0" in payload:
            raise DecodeError("NUL bytes in a CSV line (was its writer cut off?)", payload)
        if len(payload) > MAX_CELLS and any(
            payload.count(one.encode()) >= MAX_CELLS for one in self._delimiters
        ):
            raise DecodeError(f"more than {MAX_CELLS} cells in a CSV line", payload)
        columns = message.columns or columns_of(payload)[0]
        text = text_of(payload)
        cells = self._cells(text, columns, payload)
        if '"' not in text:  # in quotes a comma may be one of thousands
            cells = [_with_point(cell) for cell in cells]
        return {
            name: cell.strip() or None for name, cell in zip(columns, cells, strict=True) if name
        }

    def _cells(self, text: str, columns: tuple[str, ...], payload: bytes) -> list[str]:
        found = self._ways(text, payload)
        want = len(columns)
        for cells in found:
            if len(cells) == want:
                return cells
        for cells in found:
            if len(cells) == want + 1 and want > 1:
                return cells[1:]
        have = max(len(cells) for cells in found)
        raise DecodeError(f"{have} cells where the header names {want} columns", payload)

    def _ways(self, text: str, payload: bytes) -> list[list[str]]:
        found = []
        for delimiter in self._delimiters:
            # A wrong delimiter may find quotes in the wrong place; only if all do is the line bad.
            with suppress(csv.Error):
                found.append(split(text, delimiter))
        if not found:
            raise DecodeError("quotes that do not fit in a CSV line", payload)
        return found


def _with_point(cell: str) -> str:
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell.encode()) else cell


def _bare(payload: bytes, error: Exception) -> float | None:
    if isinstance(error, RecursionError):
        raise DecodeError("nested too deeply", payload) from None
    if _is_gap(payload):
        return None
    if _NUMBER.fullmatch(payload):
        return _finite(payload, payload)
    if _DECIMAL_COMMA.fullmatch(payload):
        raise DecodeError("a decimal comma: write the number with a point", payload) from None
    raise DecodeError(f"neither JSON nor a number ({error})", payload) from None


def _is_gap(payload: bytes) -> bool:
    # Longer ones need no look: the longest of the words has 11 letters.
    return len(payload) < 64 and payload.strip().lower().decode("latin-1") in _GAPS


def _leaf(leaf: Any, payload: bytes) -> float | bool | str | None:
    if isinstance(leaf, str):
        return _text(leaf, payload)
    if isinstance(leaf, int) and not isinstance(leaf, bool):
        _check_range(leaf, payload)
    return leaf  # type: ignore[no-any-return]


def _text(text: str, payload: bytes) -> float | str | None:
    if text.strip().lower() in _GAPS:
        return None
    inner = text.encode("utf-8", "replace")
    return _finite(inner, payload) if _NUMBER.fullmatch(inner) else text


def _finite(number: bytes, payload: bytes) -> float:
    value = float(number)
    if value in (float("inf"), float("-inf")):
        raise DecodeError("a number beyond a double's range", payload)
    return value


def _check_depth(tree: Tree, payload: bytes) -> None:
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
    if level:
        raise DecodeError(f"nested deeper than {MAX_DEPTH} levels", payload)


def _check_range(tree: Tree, payload: bytes) -> None:
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        nodes.extend(_children(node))
        if isinstance(node, int) and not -1e308 < node < 1e308:
            raise DecodeError("a number beyond a double's range", payload)


def _children(node: Tree) -> list[Tree]:
    if isinstance(node, dict):
        return list(node.values())
    return node if isinstance(node, list) else []
