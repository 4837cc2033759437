"""What the daemon tells the service manager that started it (systemd's sd_notify protocol).

A datagram of NAME=VALUE lines to the unix socket that `NOTIFY_SOCKET` names. Without that variable
nothing is told, and nothing here ever fails or waits: the daemon works as well unwatched.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Mapping

from streamlnn.daemon.logs import printable
from streamlnn.daemon.status import Status

_FEEDS_A_TIMEOUT = 4.0


class Notifier:
    """Speaks to the service manager of `environment`.

    `monotonic` returns seconds by the clock that `RELOADING=1` is dated with.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        place = environment.get("NOTIFY_SOCKET", "")
        # "@" stands for the zero byte of an abstract socket, which has no file.
        self._address = place.replace("@", "\0", 1) if place.startswith("@") else place
        self._monotonic = monotonic
        timeout_us = environment.get("WATCHDOG_USEC", "")
        self._feed_every = int(timeout_us) / 1e6 / _FEEDS_A_TIMEOUT if timeout_us.isdigit() else 1.0
        self._fed = float("-inf")

    def tell(self, **values: object) -> None:
        """Send `values`, each as one line."""
        if self._address:
            text = "\n".join(f"{name}={printable(str(value))}" for name, value in values.items())
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out,
            ):
                out.setblocking(False)
                out.sendto(text.encode(), self._address)

    def reloading(self) -> None:
        """Tell that the configuration is being read again; `READY=1` ends it."""
        self.tell(RELOADING=1, MONOTONIC_USEC=int(self._monotonic() * 1e6))

    def feed(self) -> None:
        """Feed the watchdog, four times in its timeout at most."""
        now = self._monotonic()
        if self._address and now - self._fed >= self._feed_every:
            self._fed = now
            self.tell(WATCHDOG=1)


class NotifiedStatus(Status):
    """A status that the service manager hears of too.

    The watchdog is fed by the loop's own signs of life, in its own thread: while it hangs, nothing
    feeds. Ready means that the state is restored and the loop turns; a broker that is away is told
    in words, because no restart of ours would bring it back.
    """

    def __init__(self, notifier: Notifier) -> None:
        super().__init__()
        self._notifier = notifier
        self._told = ""

    def recovered(self) -> None:
        """Tell that the saved state is restored."""
        super().recovered()
        self.tell_ready()

    def tell_ready(self) -> None:
        """Tell that the daemon works, and how."""
        self._told = self._in_words()
        self._notifier.tell(READY=1, STATUS=self._told)

    def source(self, name: str, state: str, detail: str = "") -> None:
        """Tell that a source is `connecting`, `ready` or `lost`; `detail` says why."""
        super().source(name, state, detail)
        self._tell_news()

    def sink(self, name: str, state: str, detail: str = "") -> None:
        """Tell that a sink is `ready`, `lost` or `full`; `detail` says why."""
        super().sink(name, state, detail)
        self._tell_news()

    def _live(self) -> None:
        super()._live()
        self._notifier.feed()

    def _tell_news(self) -> None:
        words = self._in_words()
        if words != self._told:
            self._told = words
            self._notifier.tell(STATUS=words)

    def _in_words(self) -> str:
        return "; ".join([*self.missing(), *self.degraded()]) or "following every source"
