"""Connecting, and connecting again: the one place where retries live."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from streamlnn.errors import NotConnected

log = logging.getLogger("streamlnn.link")

FIRST_PAUSE_SECS = 0.5
LONGEST_PAUSE_SECS = 3.0
LONGEST_REST_SECS = 30.0
STEADY_SECS = 1.0
_REST_PER_EFFORT = 5.0


class Link:
    """One connector's connection: speaks once when it is lost and once when it is back.

    `up` is False until `try_connect` has succeeded. Pauses double from half a second to three
    seconds, with jitter, so that a fleet does not come back all at once, and that whoever is back
    is met within five seconds. A try holds up the other connectors while it lasts, so that after a
    slow one (nobody says even no) five times as long is waited, half a minute at most. A
    connection that broke within a second counts as a failed try.
    """

    def __init__(self, name: str, connect: Callable[[], None]) -> None:
        self.name = name
        self.up = False
        self.trouble = "not connected yet"
        self._connect = connect
        self._told = False
        self._pause = FIRST_PAUSE_SECS
        self._next_try = 0.0
        self._up_since = 0.0

    def try_connect(self) -> bool:
        """Connect unless it is too early for another try; tell whether the link is up."""
        began = time.monotonic()
        if not self.up and began >= self._next_try:
            try:
                self._connect()
            except NotConnected as error:
                self.lost(error)
                self._rest(time.monotonic() - began)
            else:
                self._back()
        return self.up

    def lost(self, error: NotConnected) -> None:
        """Note that the other side is gone, and when to try again."""
        now = time.monotonic()
        if self.up and now - self._up_since >= STEADY_SECS:
            self._pause = FIRST_PAUSE_SECS
        self.up = False
        self.trouble = str(error)
        if not self._told:
            log.warning("%s: %s; trying again until it is there", self.name, error)
            self._told = True
        self._next_try = now + self._pause * random.uniform(0.5, 1.0)  # noqa: S311
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECS)

    def _rest(self, effort_secs: float) -> None:
        rest = min(_REST_PER_EFFORT * effort_secs, LONGEST_REST_SECS)
        self._next_try = max(self._next_try, time.monotonic() + rest)

    def _back(self) -> None:
        self.up = True
        self._up_since = time.monotonic()
        self.trouble = ""
        if self._told:
            log.warning("%s: connected", self.name)
            self._told = False
