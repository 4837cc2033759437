"""Texts that somebody else chooses, where people and programs read them.

Injected: topics, payloads, fields and errors with newlines, terminal escapes, text that runs
backwards, markup and lone surrogates, into logs (text and JSON), the service manager's words,
tables, the HTTP index and the metrics; ids and names of a megabyte.

Must hold: one record is one line, no control character comes through, markup stays text, nothing
that was sent becomes a label, and what cannot be a topic becomes no stream.
"""

from __future__ import annotations

import io
import json
import logging
import unicodedata
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.codecs import JsonCodec
from streamlnn.daemon import logs
from streamlnn.daemon.http import serve
from streamlnn.daemon.logs import printable
from streamlnn.daemon.state_text import columns
from streamlnn.daemon.status import Status
from streamlnn.errors import DecodeError
from streamlnn.pipeline.contract import Message
from streamlnn.pipeline.streams import StreamMap, StreamSettings

FORGED = "pump\n2026-01-01T00:00:00.000Z info streamlnn.run: all is well"
HOSTILE = [
    FORGED,
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egnp.exe",
    "\x9b31m",
    "\r\n\r\n",
    "\udc80",
    "\u2028",
]


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """`logged(form, text)`: the lines that one log record makes."""
    root = logging.getLogger()
    before, level = root.handlers[:], logging.getLogger("streamlnn").level

    def log(form: Any, text: str, error: Exception | None = None) -> list[str]:
        stderr = io.StringIO()
        monkeypatch.setattr("sys.stderr", stderr)
        root.handlers[:] = []  # the test runner's own cannot carry half a surrogate pair
        logs.set_up("debug", form)
        logging.getLogger("streamlnn.x").warning("topic %s: %r", text, text, exc_info=error)
        return stderr.getvalue().split("\n")[:-1]

    yield log
    root.handlers[:] = before
    logging.getLogger("streamlnn").setLevel(level)


def is_harmless(text: str) -> bool:
    return all(unicodedata.category(letter)[0] != "C" for letter in text)


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_record_is_one_line_whatever_it_quotes(logged: Any, text: str) -> None:
    [line] = logged("text", text)
    assert is_harmless(line)
    assert " warning streamlnn.x: topic " in line
    [line] = logged("json", text)
    assert line.isascii()
    assert text in json.loads(line)["message"]


def test_an_exception_cannot_begin_a_line_of_its_own(logged: Any) -> None:
    _, *trace = logged("text", "a", ValueError(FORGED))
    assert trace
    assert all(line.startswith("    ") and is_harmless(line) for line in trace)


@settings(max_examples=50)
@given(st.text(max_size=40))
@example("".join(map(chr, range(256))))
def test_printable_text_is_one_line_and_plain_text_stays_as_it_is(text: str) -> None:
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert is_harmless(shown)
    assert not text.isprintable() or shown == text


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_a_table_shows_it_in_one_cell(text: str) -> None:
    table = columns(("stream", "n"), [(text, "1")], ("n",))
    assert len(table.split("\n")) == 2
    assert is_harmless(table.replace("\n", ""))


@pytest.mark.parametrize("stream", ["<script>alert(1)</script>", '"onmouseover="x', "a/../../etc"])
def test_a_stream_is_no_part_of_the_page_nor_a_label_and_is_escaped_in_urls(stream: str) -> None:
    """How a browser shows it is tested in one: `tests/daemon/test_web_streams.py`."""
    status = Status()
    status.forecast(stream, json.dumps({"stream": stream}).encode())
    server = serve(status, "127.0.0.1:0", None)
    try:
        page, metrics, listed = (
            get(server.address + path) for path in ("/", "/metrics", "/api/v1/streams")
        )
    finally:
        server.stop()
    assert stream not in page + metrics
    [told] = json.loads(listed)["streams"]
    assert told["url"] == f"/api/v1/streams/{quote(stream, safe='')}"


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def read(topic: str, payload: bytes = b'{"v": 1}') -> list[Any]:
    streams = StreamMap([StreamSettings(topic="s/{device}", id="{device}")], JsonCodec())
    return streams.read(Message(f"s/{topic}", payload, 0))


@pytest.mark.parametrize("device", ["a\nb", "\x1b[2J", "\x00", "\x9b", "x" * 1001], ids=ascii)
def test_what_cannot_be_a_topic_becomes_no_stream(device: str) -> None:
    with pytest.raises(DecodeError, match="the stream's id would"):
        read(device)


def test_a_field_with_an_endless_name_is_left_out() -> None:
    payload = json.dumps({"v": 1, "x" * 500_000: 2}).encode()
    assert read("pump", payload)[0].layout.names == ("v",)
