"""Whether a terminal is ours to draw on, and how it is left alone while we are suspended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


def is_ours(*descriptors: int) -> bool:
    """Return whether these are a terminal that can be drawn on, and that we have the use of.

    A program in the background would draw over what is typed there.
    """
    try:
        return os.environ.get("TERM") not in (None, "dumb", "unknown") and all(
            os.isatty(one) and os.tcgetpgrp(one) == os.getpgrp() for one in descriptors
        )
    except OSError:  # a terminal, and not that of our session
        return False


@contextmanager
def suspendable(leave: Callable[[], object], take_up: Callable[[], object]) -> Iterator[None]:
    """On Ctrl-Z `leave` the terminal before stopping, and `take_up` when the process goes on."""

    def suspend(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signal's shape
        leave()
        signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTSTP)  # and here we stand until SIGCONT
        signal.signal(signal.SIGTSTP, suspend)
        take_up()

    before = signal.signal(signal.SIGTSTP, suspend)
    try:
        yield
    finally:
        signal.signal(signal.SIGTSTP, before)


@contextmanager
def silent_stdout() -> Iterator[None]:
    """Let what is written to standard output go nowhere, whoever writes it."""
    sys.stdout.flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
