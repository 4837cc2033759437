"""The page of streams of every kind, in a real Chromium: what was learned is shown as it is."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from brokers import wait_until
from browsers import chromium, drawn, line, opened, text, watched_page

from connectors.codecs import JsonCodec
from streamlnn.daemon.http import serve
from streamlnn.daemon.status import Status
from streamlnn.model.records import NANOSECONDS
from streamlnn.pipeline.contract import Batch, Message
from streamlnn.pipeline.journal import Journal
from streamlnn.pipeline.loop import Pipeline
from streamlnn.pipeline.plan import ModelSettings
from streamlnn.pipeline.streams import StreamMap, StreamSettings
from streamlnn.pipeline.testing import CollectingSink, ScriptedSource

N = 400


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


def messages(topic: str) -> Batch:
    """A sine of which one value is far off, and another field that is missing now and then."""
    made = [
        {"t": 60 * n, "a": math.sin(n / 9) + 9.0 * (n == N - 20), "b": n % 7 if n % 5 else None}
        for n in range(N)
    ]
    payloads = [json.dumps(one).encode() for one in made]
    return Batch([Message(topic, one, n * NANOSECONDS) for n, one in enumerate(payloads)], "")


@contextmanager
def served(folder: Path, units: int = 30, **table: Any) -> Iterator[tuple[Status, str]]:
    """The daemon's page after all records have been read."""
    status = Status()
    streams = StreamMap([StreamSettings(**{"topic": "s/{n}", "id": "{n}"} | table)], JsonCodec())
    with closing(Journal(folder)) as journal:
        Pipeline(
            journal,
            [(ScriptedSource([messages("s/pump")]), streams)],
            [CollectingSink()],
            status,
            instance="lab",
            model=ModelSettings(units=units),
        ).run()
    server = serve(status, "127.0.0.1:0", None, folder)
    try:
        yield status, f"{server.address}/"
    finally:
        server.stop()


BY_CLOCK = {"time": {"path": "t", "format": "unix"}, "fields": {"a": "a", "b": "b"}}
BY_COUNT = {"fields": {"a": "a", "b": "b"}, "horizons": [1, 12]}


def test_every_target_has_its_own_charts(browser: Any, tmp_path: Path) -> None:
    with (
        served(tmp_path, **BY_CLOCK, horizons=["1m", "10m"]) as (_, url),
        watched_page(browser) as page,
    ):
        opened(page, url, "pump")
        wait_until(lambda: drawn(page), "the charts")
        first = line(page, "measured")
        assert first["x"][0] == "1970-01-01T00:00:00.000"
        assert first["y"][N - 20] > 8
        page.select_option("#target", "b")
        wait_until(lambda: line(page, "measured")["y"][4] == 4, "the other target")
        assert line(page, "measured")["y"][5] is None
        assert len(line(page, "forecast")["x"]) == 3


def test_a_stream_without_a_clock_is_drawn_over_the_number_of_its_records(
    browser: Any, tmp_path: Path
) -> None:
    with served(tmp_path, **BY_COUNT) as (_, url), watched_page(browser) as page:
        opened(page, url, "pump")
        wait_until(lambda: drawn(page), "the charts")
        assert line(page, "measured")["x"] == list(range(N))
        assert line(page, "forecast")["x"] == [N - 1, N, N + 11]
        assert [cell.inner_text() for cell in page.locator("#horizons td:first-child").all()] == [
            "1 sample",
            "12 samples",
        ]


def test_what_was_odd_is_marked_and_told(browser: Any, tmp_path: Path) -> None:
    with (
        served(tmp_path, **BY_CLOCK, horizons=["1m", "10m"]) as (_, url),
        watched_page(browser) as page,
    ):
        opened(page, url, "pump")
        wait_until(lambda: drawn(page), "the charts")
        assert "1970-01-01T06:20:00.000" in line(page, "event")["x"]
        assert page.locator("#events li").count() > 0
        assert page.locator("#no-events").is_hidden()


def test_a_source_that_is_away_is_told_and_again_when_it_is_back(
    browser: Any, tmp_path: Path
) -> None:
    with served(tmp_path, **BY_COUNT) as (status, url), watched_page(browser) as page:
        status.source("plant", "lost", "connection refused")
        opened(page, url)
        wait_until(lambda: "connection refused" in text(page, "#missing"), "the loss")
        for name in ("plant", "scripted", "lines"):
            status.source(name, "ready")
        wait_until(lambda: page.locator("#missing").is_hidden(), "the return")
        assert text(page, "#instance").startswith("lab, streamlnn ")


def test_a_very_large_reservoir_is_told_and_not_drawn(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path, units=400, **BY_COUNT) as (_, url), watched_page(browser) as page:
        opened(page, url, "pump")
        wait_until(lambda: "400 units" in text(page, "#matrix-said"), "the reservoir")
        assert page.locator("#matrix").is_hidden()


def test_without_charts_the_page_says_what_they_need_and_shows_the_rest(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlnn.daemon.web.page.charts", lambda: None)
    with served(tmp_path, **BY_COUNT) as (_, url), watched_page(browser) as page:
        opened(page, url, "pump")
        assert "pip install 'streamlnn[web]'" in text(page, "#nocharts")
        assert page.locator("#horizons tbody tr").count() == 2


def test_a_stream_that_is_not_there_is_said_to_be_missing(browser: Any, tmp_path: Path) -> None:
    with served(tmp_path, **BY_COUNT) as (_, url), watched_page(browser) as page:
        opened(page, f"{url}#/nobody")
        wait_until(lambda: "no forecast of nobody" in text(page, "#choose"), "the word")
        page.click("#list a")
        wait_until(lambda: text(page, "#name") == "pump", "the one that is there")


def test_an_id_is_never_read_as_code(browser: Any, tmp_path: Path) -> None:
    name = "<img src=x onerror=alert(1)>"
    table = BY_COUNT | {"id": f"{name}{{n}}"}
    with served(tmp_path, **table) as (_, url), watched_page(browser) as page:
        opened(page, url)
        page.click("#list a")
        wait_until(lambda: text(page, "#name") == f"{name}pump", "the stream")
        assert page.locator("img").count() == 0
