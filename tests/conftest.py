"""Fixtures that many tests share: a real broker, and as many more as a test asks for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from brokers import Broker, MakeBroker, find_mosquitto


@pytest.fixture
def make_broker(tmp_path: Path) -> Iterator[MakeBroker]:
    """`make_broker(*config_lines, anonymous=True)`: a started mosquitto of its own."""
    with _making(tmp_path) as make:
        yield make


@pytest.fixture(scope="module")
def make_lasting_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeBroker]:
    """The same for a whole module."""
    with _making(tmp_path_factory.mktemp("brokers")) as make:
        yield make


@contextmanager
def _making(place: Path) -> Iterator[MakeBroker]:
    if find_mosquitto() is None:
        if os.environ.get("CI") == "true":
            pytest.fail("mosquitto is not installed: apt-get install mosquitto")
        pytest.skip("needs mosquitto: apt-get install mosquitto")
    brokers: list[Broker] = []

    def make(*lines: str, anonymous: bool = True) -> Broker:
        folder = place / f"broker{len(brokers)}"
        folder.mkdir()
        brokers.append(Broker(folder, *lines, anonymous=anonymous))
        return brokers[-1].start()

    yield make
    for broker in brokers:
        broker.kill()


@pytest.fixture
def broker(make_broker: MakeBroker) -> Broker:
    """A started mosquitto that keeps nothing over a restart."""
    return make_broker()
