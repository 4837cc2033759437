"""Not pestering a broker that said no: what it said will hardly change within a second."""

from __future__ import annotations

import time

_FIRST_REST_SECS = 1.0
_LONGEST_REST_SECS = 30.0


class Restraint:
    """Rests for 1 s after the second refusal in a row, then 2 s, 4 s and so on up to 30 s."""

    def __init__(self) -> None:
        self._rest = 0.0
        self._until = 0.0

    @property
    def rest_secs(self) -> float:
        """How long not to ask from now on; 0 when we may."""
        return max(0.0, self._until - time.monotonic())

    def refused(self) -> None:
        """Note that the broker is there and does not want us."""
        self._until = time.monotonic() + self._rest
        self._rest = min(max(2 * self._rest, _FIRST_REST_SECS), _LONGEST_REST_SECS)

    def welcome(self) -> None:
        """Note that it has let us in."""
        self._rest = 0.0
