"""InfluxDB line protocol: one parser for recordings, followed files and payloads.

`measurement,tag=value field=1.5,other=2i 1700000000000000000`
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from connectors.codecs import MAX_CELLS
from streamlnn.pipeline.contract import DecodeError, Message, Tree

# A backslash escapes what would end the token; before anything else it is a letter as any other.
_MEASUREMENT = r"(?:[^\\, ]++|\\[, ]|\\(?![, ]))++"
_KEY = r"(?:[^\\,= ]++|\\[,= ]|\\(?![,= ]))++"
_HEAD = re.compile(rf" *+({_MEASUREMENT})((?:,{_KEY}={_KEY})*+) ++")
_TAG = re.compile(rf",({_KEY})=({_KEY})")
_FIELD = re.compile(rf'({_KEY})=("(?:[^"\\]++|\\.)*+"|[^", ]++)')
_REST = re.compile(r"(?: ++(-?[0-9]{1,19}))?\s*+")

_FLOAT = re.compile(r"[+-]?(?:[0-9]++\.?[0-9]*+|\.[0-9]++)(?:[eE][+-]?[0-9]++)?")
_INTEGER = re.compile(r"(-?[0-9]{1,20})[iu]")
_TRUTH = dict.fromkeys(("t", "T", "true", "True", "TRUE"), True) | dict.fromkeys(
    ("f", "F", "false", "False", "FALSE"), False
)
_PASSED_OVER = (b"#", b"CREATE DATABASE ")
_CUT = re.compile(rb"[.eE+,= -]$")


class Point(NamedTuple):
    """One line: `time` is the number as written, None where there is none."""

    measurement: str
    tags: dict[str, str]
    fields: dict[str, float | int | bool | str]
    time: int | None

    @property
    def series(self) -> str:
        """The measurement and the tags, sorted, as the id of a stream: `cpu/host=a`."""
        return "/".join(
            [self.measurement, *(f"{key}={self.tags[key]}" for key in sorted(self.tags))]
        )


def parse(line: bytes) -> Point:
    r"""Return what one line says. Raises `ValueError` for what is no such line.

    >>> parse(b"cpu,host=a usage=1.5,n=2i,ok=t 1700000000").fields
    {'usage': 1.5, 'n': 2, 'ok': True}
    >>> parse(rb"a\ b,c\,d=e\=f g=1").series
    'a b/c,d=e=f'
    """
    text = _text(line)
    head = _HEAD.match(text)
    if head is None:
        raise ValueError("no measurement with fields behind it, as in: cpu,host=a usage=1.5")
    tags = {_plain(key): _plain(value) for key, value in _TAG.findall(head[2])}
    fields, end = _fields(text, head.end())
    rest = _REST.fullmatch(text, end)
    if rest is None:
        raise ValueError(f"{text[end : end + 40]!r} is no time stamp, a whole number")
    return Point(_plain(head[1], ", "), tags, fields, int(rest[1]) if rest[1] else None)


class InfluxCodec:
    """One point of line protocol, as a flat tree.

    Tags and fields stand under their own keys, the time stamp, in whatever unit, under `time`, the
    measurement under `_measurement`, and under `_series` both the measurement and the tags. Of one
    name the field is taken, not the tag; `time` is always the stamp where there is one.

    >>> InfluxCodec().decode(Message("t", b"cpu,host=a usage=1.5 17", None))
    {'_measurement': 'cpu', 'host': 'a', 'usage': 1.5, '_series': 'cpu/host=a', 'time': 17}
    """

    id: ClassVar[str] = "{_series}"

    def decode(self, message: Message) -> Tree:
        """Return the point's tree.

        Raises `DecodeError` for what is no line protocol, also NaN, infinity and numbers beyond 64
        bits; and for several points in one payload.
        """
        try:
            point = parse(_only_line(message.payload))
        except ValueError as error:
            raise DecodeError(f"no line protocol: {error}", message.payload) from None
        tree: dict[str, Tree] = {"_measurement": point.measurement} | point.tags | point.fields
        tree["_series"] = point.series
        return tree if point.time is None else tree | {"time": point.time}


class InfluxReader:
    """A file of line protocol: every line but comments is a message."""

    codec = "influx"
    has_topics = False
    preamble = 0
    waiting = 0

    def __init__(self, path: str, head: Sequence[bytes]) -> None:
        self._path = path
        first = next((line for line in head if is_line_protocol(line)), None)
        self._stamp = first and _stamp(first)

    def read(self, line: bytes) -> Message | None:
        """Return the line as it is, None for a comment and for what an export says beside."""
        return None if line.startswith(_PASSED_OVER) else Message(self._path, line, None)

    def is_whole(self, line: bytes) -> bool:
        """Tell whether the line is a point, with a time stamp as long as the first one's."""
        if not is_line_protocol(line) or _CUT.search(line):
            return False
        return not self._stamp or len(_stamp(line)) == len(self._stamp)


def is_line_protocol(line: bytes) -> bool:
    """Tell whether a line is a point, whole."""
    try:
        parse(line)
    except ValueError:
        return False
    return not line.startswith(b"#")


def looks_like_influx(head: Sequence[bytes]) -> bool:
    """Tell whether the first of a file's lines that is no comment is a point."""
    said = [line for line in head if not line.startswith(_PASSED_OVER)]
    return bool(said) and is_line_protocol(said[0])


def _fields(text: str, at: int) -> tuple[dict[str, float | int | bool | str], int]:
    """Return the fields that begin at `at`, and where they end."""
    found: dict[str, float | int | bool | str] = {}
    while True:
        field = _FIELD.match(text, at)
        if field is None:
            raise ValueError(f"{text[at : at + 40]!r} is no field, as in: usage=1.5")
        found[_plain(field[1])] = _value(field[1], field[2])
        at = field.end()
        if not text.startswith(",", at):
            return found, at
        at += 1


def _value(key: str, text: str) -> float | int | bool | str:
    if text.startswith('"'):
        return re.sub(r'\\(["\\])', r"\1", text[1:-1])
    if _FLOAT.fullmatch(text):
        return _finite(key, text)
    if whole := _INTEGER.fullmatch(text):
        return _bounded(key, int(whole[1]))
    if text in _TRUTH:
        return _TRUTH[text]
    raise ValueError(f"field {key!r:.40} is {text!r:.40}: no number, truth or text in quotes")


def _finite(key: str, text: str) -> float:
    value = float(text)
    if abs(value) == float("inf"):
        raise ValueError(f"field {key!r:.40} is beyond a double's range")
    return value


def _bounded(key: str, value: int) -> int:
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"field {key!r:.40} is beyond 64 bits")
    return value


def _text(line: bytes) -> str:
    if line.count(b",") > MAX_CELLS:
        raise ValueError(f"more than {MAX_CELLS} tags and fields")
    return line.decode()


def _plain(token: str, escaped: str = ",= ") -> str:
    return re.sub(rf"\\([{escaped}])", r"\1", token) if "\\" in token else token


def _only_line(payload: bytes) -> bytes:
    lines = [line for line in payload.split(b"\n") if line.strip() and not line.startswith(b"#")]
    if len(lines) != 1:
        raise ValueError(
            f"{len(lines)} points in one payload: let the sender publish each by itself (Telegraf: "
            'layout = "non-batch")'
        )
    return lines[0]


def _stamp(line: bytes) -> str:
    return str(parse(line).time or "")
