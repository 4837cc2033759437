"""The page in a real Chromium: it shows what happens, as it happens, to everybody."""

from __future__ import annotations

import json
import math
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
from brokers import free_port, wait_until
from browsers import chromium, colours, drawn, line, opened, text, watched_page
from daemons import Daemon

from streamlnn.daemon.board import number

axe = pytest.importorskip("axe_playwright_python.sync_playwright", exc_type=ModuleNotFoundError)

CONFIG = """
[daemon]
instance = "plant"
data_dir = "{folder}/data"

[http]
listen = "127.0.0.1:{port}"
{more}

[[source]]
kind = "tail"
id = "logs"
paths = ["{folder}/*.jsonl"]
format = "jsonl"
start = "begin"

[[stream]]
from = "logs"
id = "plant/{{stem}}"
fields = {{ flow = "flow" }}
units = {{ flow = "l/s" }}
time = {{ path = "t", format = "unix" }}
horizons = ["1s", "5s", "20s"]
"""
STREAMS = ("pump", "valve", "fan")
TOKYO = timezone(timedelta(hours=9))


class Plant:
    """Sensors that write ten lines a second, a daemon that follows them, and its page."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder, self.port = folder, free_port()
        self.config = folder / "pipeline.toml"
        self.config.write_text(CONFIG.format(folder=folder, port=self.port, more=more))
        self.url = f"http://127.0.0.1:{self.port}/"
        self._stopped = threading.Event()
        self._n = 0
        for n in range(600):
            self._write(n - 600)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.daemon = Daemon(self.config)
        self.daemon.wait_ready(self.port)
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self.daemon.kill()

    def restart(self) -> None:
        self.daemon = Daemon(self.config)
        self.daemon.wait_ready(self.port)

    def _run(self) -> None:
        while not self._stopped.wait(0.1):
            self._write(0)

    def _write(self, back: int) -> None:
        self._n += 1
        for place, name in enumerate(STREAMS):
            record = {"t": time.time() + back / 10, "flow": 5 + math.sin(self._n / (9 + place))}
            with (self.folder / f"{name}.jsonl").open("a") as file:
                file.write(json.dumps(record) + "\n")


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with Plant(tmp_path_factory.mktemp("plant")) as plant:
        yield plant


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with watched_page(browser) as page:
        yield page


def test_all_streams_are_listed_and_change_as_it_happens(page: Any, plant: Plant) -> None:
    opened(page, plant.url)
    names = [row.inner_text() for row in page.locator("#list tbody a").all()]
    assert sorted(names) == [f"plant/{name}" for name in sorted(STREAMS)]
    before = text(page, "#list tbody tr td.number")
    assert before.endswith("l/s")
    wait_until(lambda: text(page, "#list tbody tr td.number") != before, "another value")
    assert text(page, "#link") == "live"


def test_one_stream_is_shown_in_full_with_the_keyboard_alone(page: Any, plant: Plant) -> None:
    opened(page, plant.url)
    page.focus("#filter")
    page.keyboard.type("valve")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    wait_until(lambda: text(page, "#name") == "plant/valve", "the stream")
    wait_until(lambda: drawn(page), "the charts")
    assert page.locator("#horizons tbody tr").count() == 3
    assert "l/s" in text(page, "#standing")
    before = text(page, "#standing")
    wait_until(lambda: text(page, "#standing") != before, "news")
    wait_until(lambda: colours(page) > 20, "the reservoir's states")
    assert page.locator("#list tbody tr:visible").count() == 1


def test_the_chart_holds_what_was_measured_before_the_daemon_was_started(
    page: Any, tmp_path: Path
) -> None:
    """Of 600 and more, which a daemon before it has read, every second one at least."""
    with Plant(tmp_path) as plant:
        wait_until(lambda: read(plant, "plant/pump") > 600, "all to be read")
        plant.daemon.kill()
        plant.restart()
        opened(page, plant.url, "plant/pump")
        wait_until(lambda: drawn(page), "the charts")
        assert len(line(page, "measured")["x"]) > 300
        assert len(line(page, "forecast")["x"]) == 4


def read(plant: Plant, stream: str) -> int:
    url = f"{plant.url}api/v1/streams/{quote(stream, safe='')}"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(json.load(answer)["seq"])
    except urllib.error.HTTPError:  # nothing has been read yet
        return 0


def test_the_page_survives_a_restart_of_the_daemon(browser: Any, tmp_path: Path) -> None:
    with Plant(tmp_path) as plant:
        context = browser.new_context()
        page = opened(context.new_page(), plant.url, "plant/pump")
        page.select_option("#earlier", "2")
        wait_until(lambda: text(page, "#link") == "live", "the page")
        plant.daemon.kill()
        wait_until(lambda: "does not answer" in text(page, "#link"), "the loss to be told")
        plant.restart()
        wait_until(lambda: text(page, "#link") == "live", "the page to find it again")
        before = text(page, "#standing")
        wait_until(lambda: text(page, "#standing") != before, "news")
        assert page.input_value("#earlier") == "2"
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("stream", ["", "plant/pump"])
def test_nothing_keeps_anybody_from_reading_it(
    browser: Any, plant: Plant, scheme: str, stream: str
) -> None:
    context = browser.new_context(color_scheme=scheme)
    page = opened(context.new_page(), plant.url, stream)
    if stream:
        wait_until(lambda: drawn(page), "the charts")
    found = axe.Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]][:3]) for one in found] == []
    context.close()


@pytest.mark.parametrize("width", [320, 390, 900, 1100, 1301])
def test_every_screen_scrolls_one_way_only(browser: Any, plant: Plant, width: int) -> None:
    """Nothing is wider than it, and the table of horizons stays out of the chart beside it."""
    context = browser.new_context(viewport={"width": width, "height": 800}, has_touch=width < 500)
    page = opened(context.new_page(), plant.url, "plant/pump")
    wait_until(lambda: drawn(page), "the charts")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ends, heard = page.evaluate(
        """() => ["#now-said + *", "#heard"].map((one) =>
            document.querySelector(one).getBoundingClientRect())
            .map((box) => [box.left, box.right, box.top])"""
    )
    assert ends[1] <= heard[0] or ends[2] < heard[2]
    context.close()


def test_the_page_writes_numbers_as_the_terminal_does(page: Any, plant: Plant) -> None:
    told = [(100.5872, None), (1234.567, 0.02), (123456.7, 0), (-0.00012345, 1e-6), (0, 1)]
    opened(page, plant.url)
    said = page.evaluate(
        """async (told) => { const { number } = await import('./web/words.js');
        return told.map((one) => number(...one)); }""",
        told,
    )
    assert [float(one) for one in said] == [float(number(*one)) for one in told]


def test_the_charts_show_the_time_of_the_readers_clock(browser: Any, plant: Plant) -> None:
    context = browser.new_context(timezone_id="Asia/Tokyo")
    page = opened(context.new_page(), plant.url, "plant/pump")
    wait_until(lambda: drawn(page), "the charts")
    newest = datetime.fromisoformat(line(page, "measured")["x"][-1])
    assert abs(newest - datetime.now(TOKYO).replace(tzinfo=None)) < timedelta(minutes=1)
    context.close()


def test_what_is_shown_fills_the_picture(page: Any, tmp_path: Path) -> None:
    """A value of long ago, outside what is shown, does not press the rest flat."""
    plant, pump = Plant(tmp_path), tmp_path / "pump.jsonl"
    long_ago = json.dumps({"t": time.time() - 300, "flow": 1000.0})
    pump.write_text(f"{long_ago}\n{pump.read_text()}")
    with plant:
        opened(page, plant.url, "plant/pump")
        wait_until(lambda: drawn(page), "the charts")
        assert max(line(page, "measured")["y"]) == 1000.0
        reach = "document.getElementById('fan')._fullLayout.yaxis.range[1]"
        wait_until(lambda: page.evaluate(reach) < 100.0, "the picture to be filled")


def test_where_there_is_a_token_the_page_asks_for_it(browser: Any, tmp_path: Path) -> None:
    with Plant(tmp_path, 'token = "open sesame"') as plant:
        context = browser.new_context()
        page = context.new_page()
        page.goto(plant.url)
        page.wait_for_selector("#login:visible")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#login:visible")
        page.fill("#token", "open sesame")
        page.keyboard.press("Enter")
        page.wait_for_selector("#list tbody tr")
        assert page.locator("#login").is_hidden()
        context.close()
