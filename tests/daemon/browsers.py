"""A real Chromium, without a window, and what a person would look at in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

playwright = pytest.importorskip("playwright.sync_api", exc_type=ModuleNotFoundError)


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; skips where there is none, which in CI is a failure."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=program, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def watched_page(browser: Any, **context: Any) -> Iterator[Any]:
    """A page; whatever it asks for elsewhere, and every error in it, fails the test."""
    asked: list[str] = []
    errors: list[str] = []
    own = browser.new_context(timezone_id="UTC", **context)
    page = own.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    own.close()
    assert not [url for url in asked if not re.match(r"(http://127\.0\.0\.1:|data:|blob:)", url)]
    assert not errors


def opened(page: Any, url: str, stream: str = "") -> Any:
    """The page at `url`, with the list of streams, or one of them in full."""
    page.goto(url + (f"#/{stream.replace('/', '%2F')}" if stream else ""))
    page.wait_for_selector("#list tbody tr")
    if stream:
        page.wait_for_selector("#horizons tbody tr")
    return page


def drawn(page: Any) -> bool:
    """Whether all charts are there."""
    charts = ("#fan", "#heard", "#matrix", "#spectrum")
    return all(page.locator(f"{one} .main-svg").count() > 0 for one in charts)


def line(page: Any, name: str) -> dict[str, list[Any]]:
    """What a line of the large chart shows."""
    found = f"document.getElementById('fan').data.find((t) => t.name === {name!r})"
    told: dict[str, list[Any]] = page.evaluate(
        f"() => {{ const {{ x, y }} = {found}; return {{ x, y }}; }}"
    )
    return told


def colours(page: Any) -> int:
    """How many colours the picture of the states holds."""
    return int(
        page.evaluate(
            """() => { const c = document.getElementById('states');
            if (!c.width || !c.height) return 0;
            const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height)
              .data.buffer);
            return new Set(d).size; }"""
        )
    )


def text(page: Any, selector: str) -> str:
    """What a person reads there."""
    return str(page.locator(selector).first.inner_text())
