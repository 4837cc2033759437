"""What all tests of commands share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that runs in this process sets up logging for all of it."""
    before = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = before
