"""Past values, among which a season that nobody gave is looked for (`season_finding`).

A ring keeps the newest records, at most `MOST_REMEMBERED` of them, evenly spaced. Where the seasons
are given it keeps none.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import exact
from streamlnn.model.season_search import initial_search
from streamlnn.model.settings import Settings
from streamlnn.model.state import SEASON_PUSHED

MOST_REMEMBERED = 1024
"""Past values kept, at most."""


def initial_seasons(settings: Settings) -> dict[str, NDArray[Any]]:
    """Return the seasons given; where there are none, the ring and the search for one."""
    T, given = len(settings.target_fields), settings.season_lengths
    size = 0 if given else MOST_REMEMBERED
    return {
        "seasons": np.array(given or [0.0]),
        "season_at": np.zeros(size),
        "season_values": np.zeros((size, T)),
        "season_spacing": np.zeros(1),
        "season_search": np.tile(initial_search(), (0 if given else T, 1)),
    }


@exact
def remember(s, at):
    """Keep the newest values, unless the last kept are near enough."""
    n, size = s.counts[SEASON_PUSHED], s.season_at.size
    if size == 0 or (n > 0 and at < s.season_at[(n - 1) % size] + s.season_spacing[0]):
        return
    s.season_at[n % size] = at
    for t in range(s.targets.size):
        s.season_values[n % size, t] = s.values[s.targets[t]]
    s.counts[SEASON_PUSHED] = n + 1
