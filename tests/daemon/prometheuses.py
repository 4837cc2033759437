"""A real Prometheus that scrapes a daemon, as docker/prometheus.yml says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from brokers import free_port, wait_until
from daemons import answers

DOCKER = Path(__file__).parents[2] / "docker"


def mapped(name: str, places: dict[str, str]) -> str:
    """Return a file of docker/ with the container's places as those of this machine."""
    text = (DOCKER / name).read_text()
    for place, here in places.items():
        assert place in text, f"{place} does not stand in {name}"
        text = text.replace(place, here)
    return text


def find(program: str) -> str:
    """Return where a program of Prometheus is; skips where it is not, which in CI is a failure."""
    found = shutil.which(program)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{program} is not installed: apt-get install prometheus")
        pytest.skip(f"needs {program}: apt-get install prometheus")
    return found


class Prometheus:
    """One that is running at `url`."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> Any:
        """Return the data that its API answers with."""
        with urlopen(f"{self.url}/api/v1/{path}?{urlencode(parameters)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[Any]:
        """Return the series that an expression has now."""
        found: list[Any] = self.ask("query", query=expression)["result"]
        return found


@contextmanager
def scraping(config: Path) -> Iterator[Prometheus]:
    """Run Prometheus on a configuration, with its data beside it."""
    port = free_port()
    flags = [f"--config.file={config}", f"--storage.tsdb.path={config.parent / 'series'}"]
    log = config.with_suffix(".log")
    with log.open("wb") as said:
        process = subprocess.Popen(
            [find("prometheus"), *flags, f"--web.listen-address=127.0.0.1:{port}"], stderr=said
        )
    made = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_until(lambda: _is_up(process, made.url, log), "Prometheus")
        yield made
    finally:
        process.terminate()
        process.wait(20)


def _is_up(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, f"Prometheus ended: {log.read_text()}"
    return answers(f"{url}/-/ready")
