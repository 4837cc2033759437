"""Listening to a whole broker for a while, as a guest who leaves nothing behind."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any

from streamlnn.daemon.bar import Bar
from streamlnn.daemon.connector import Connector
from streamlnn.daemon.discovery.hearing import Ear
from streamlnn.daemon.run import stopping
from streamlnn.errors import InputUnavailable, NotConnected
from streamlnn.pipeline.contract import Context

log = logging.getLogger("streamlnn.init")

_TELL_SECS = 5.0
_WAIT_SECS = 0.1


def overhear(connector: Connector, topics: Sequence[str], secs: float) -> Ear:
    """Return what was heard on `topics` within `secs`; SIGINT or SIGTERM ends it sooner.

    The session is our own and clean, and QoS 0 leaves nothing to acknowledge: the daemon's session
    is not touched. Raises `InputUnavailable` when the broker cannot be reached.
    """
    wanted = {"topics": tuple(topics), "qos": 0, "retained": "seed"}
    guest = replace(connector, settings=connector.settings.model_copy(update=wanted))
    with closing(guest.make(Context("streamlnn-init", guest.id, daemon=False))) as source:
        try:
            source.connect(None)
        except NotConnected as error:
            raise InputUnavailable(str(error)) from None
        listener = _Listener(source, secs)
        log.info("listening for %g s to %s; Ctrl-C ends it sooner", secs, ", ".join(topics))
        with stopping(listener, secs):
            listener.run()
    return listener.ear


class _Listener:
    """Takes in what comes until told to stop, or until the broker is lost, and tells meanwhile.

    How much it was stands on one line of a terminal, and elsewhere in the log, now and then: what
    each of hundreds of topics is called stands in the proposal.
    """

    def __init__(self, source: Any, secs: float) -> None:
        self.stop = threading.Event()
        self.ear = Ear()
        self._source = source
        self._secs = secs
        self._began = self._told = time.monotonic()

    def run(self) -> None:
        try:
            with Bar("listening", self._come, what="messages", more=self._topics) as bar:
                while not self.stop.is_set():
                    bar.add(self._hear())
                    self._log_now_and_then()
        except NotConnected as error:
            log.warning("%s: going on with what was heard so far", error)

    def _hear(self) -> int:
        batch = self._source.read(_WAIT_SECS)
        messages = batch.messages if batch else ()
        for message in messages:
            self.ear.take(message)
        return len(messages)

    def _topics(self) -> str:
        return f"{len(self.ear):,} topics"

    def _come(self) -> float:
        return min(1.0, (time.monotonic() - self._began) / self._secs)

    def _log_now_and_then(self) -> None:
        if not sys.stderr.isatty() and time.monotonic() - self._told >= _TELL_SECS:
            self._told = time.monotonic()
            log.info("%d messages on %d topics so far", self.ear.messages, len(self.ear))
