"""Noticing another client that uses our client id: each connects and so throws the other out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

_REST_SECS = 60.0
_REST_ON_SUSPICION_SECS = 20.0
_KICKS_A_MINUTE = 3


class Rivals:
    """Counts how often the broker hung up, and keeps us away for a while when it is a rival.

    Without this, two clients of one id connect and throw each other out several times a second.
    Not every broker names the reason (mosquitto does from 2.0.15 on, and only in MQTT 5), so
    being thrown out again and again without a reason raises the suspicion.
    """

    def __init__(self) -> None:
        self._kicks: deque[float] = deque(maxlen=_KICKS_A_MINUTE + 1)
        self._rest_until = 0.0

    @property
    def rest_secs(self) -> float:
        """How long to stay away from now on; 0 when the field is free."""
        return max(0.0, self._rest_until - time.monotonic())

    def met(self) -> None:
        """Note that the broker named a rival."""
        self._rest(_REST_SECS)

    def kicked(self, is_there: Callable[[], bool]) -> bool:
        """Note that the broker hung up without a word; True when it does so again and again.

        `is_there` says whether anybody listens at the broker's address: one that has just ended
        threw everybody out.
        """
        self._kicks.append(time.monotonic())
        often = len(self._kicks) > _KICKS_A_MINUTE and self._kicks[-1] - self._kicks[0] < 60.0
        if often and not is_there():
            self.absent()
            return False
        if often:
            self._rest(_REST_ON_SUSPICION_SECS)
        return often

    def absent(self) -> None:
        """Note that the broker was out of reach or forgot us, so it hung up for its own reasons."""
        self._kicks.clear()

    def _rest(self, secs: float) -> None:
        self._rest_until = time.monotonic() + secs
