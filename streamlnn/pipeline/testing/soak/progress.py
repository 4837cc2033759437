"""Telling how it goes: one line that is overwritten on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Self

_LOOK_SECS = 1.0
_LINE_SECS = 10.0


class Progress:
    """Calls `look` every second from a thread of its own, and shows on stderr what it returns."""

    def __init__(self, look: Callable[[], str]) -> None:
        self._look = look
        self._ended = threading.Event()
        self._is_terminal = sys.stderr.isatty()
        self._thread = threading.Thread(target=self._work, name="soak-progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._is_terminal:
            sys.stderr.write("\n")

    def _work(self) -> None:
        due = 0.0
        while not self._ended.wait(_LOOK_SECS):
            line = self._look()
            if self._is_terminal:
                sys.stderr.write(f"\r\033[K{line}")
                sys.stderr.flush()
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINE_SECS
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
