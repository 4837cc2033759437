"""What the daemon is told to do: by signals, by the clock, by the end of its own pipeline."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from queue import Empty, SimpleQueue
from types import FrameType
from typing import NoReturn, Self

log = logging.getLogger("streamlnn.run")

GRACE_SECS = 6.5
"""So long may everything take to end in order: containers are killed after 10 s."""
_LAST_WORD_SECS = 0.5
_LOOK_UP_SECS = 1.0

Order = Enum("Order", "STOP RELOAD OVER")


class Orders:
    """Orders in the order they came. `for_secs` after `begin` it is time to stop, None: never.

    With `reloads` SIGHUP means to read the configuration again; but from a terminal that has gone
    it means what it always did. Whatever has not ended 6.5 s after the first order to stop is left
    behind.
    """

    def __init__(self, *, for_secs: float | None, reloads: bool) -> None:
        # Unlike other queues, one that a signal handler may put into.
        self._queue: SimpleQueue[Order] = SimpleQueue()
        self._timer = _timer(for_secs or 0.0, self.stop)
        self._patience = _timer(GRACE_SECS, _give_up)
        self._for_secs = for_secs
        self._numbers = [signal.SIGTERM, signal.SIGINT, *([signal.SIGHUP] if reloads else [])]
        self._had_terminal = os.isatty(2)
        self._stops = self._begun = False

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._hear) for number in self._numbers}
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._patience.cancel()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def begin(self) -> None:
        """Let the time run, at the first call: loading the model is no part of it."""
        if self._for_secs is not None and not self._begun:
            self._begun = True
            self._timer.start()

    def put(self, order: Order) -> None:
        """Give an order, from any thread."""
        self._queue.put(order)

    def stop(self) -> None:
        """Give the order to stop, and begin to lose patience."""
        if not self._stops:
            self._stops = True
            self._patience.start()
        self.put(Order.STOP)

    def next(self) -> Order:
        """Wait for the next order; signals are heard meanwhile."""
        while True:
            # A signal that the system gives to another thread is heard here, but wakes nobody.
            with suppress(Empty):
                return self._queue.get(timeout=_LOOK_UP_SECS)

    def _hear(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - their shape
        hung_up = self._had_terminal and not os.isatty(2)
        if number == signal.SIGHUP and not hung_up:
            self.put(Order.RELOAD)
        else:
            self.stop()


def leave(why: str) -> NoReturn:
    """End the process now, whatever its threads wait for: what a kill could spoil is safe."""
    # Whoever is to read our logs may be what stands still.
    telling = threading.Thread(target=log.warning, args=("%s", why), daemon=True)
    telling.start()
    telling.join(_LAST_WORD_SECS)
    os._exit(0)


def _give_up() -> None:
    leave(
        f"not everything has ended within {GRACE_SECS:g} s, and what has not is left behind: all "
        "that was acknowledged is on disk, and the next start goes on from there"
    )


def _timer(secs: float, action: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(secs, action)
    timer.daemon = True
    return timer
