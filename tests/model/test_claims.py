"""The article's three claims, small: adaptation, robustness, exploration.

`python -m benchmarks.claims` measures the same at length. Every bound here is one that a frozen,
a peer's or a single expert's forecast is held against in the same run.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("reservoirpy")
pytest.importorskip("river")

from benchmarks import claims_adaptation, claims_exploration, claims_noise
from benchmarks.claims_streams import Switching, switching
from benchmarks.common import geometric_mean

LENGTH = 1_000
ESN = "ReservoirPy .9995"
STREAMS = {stream.name: stream for stream in switching(LENGTH, 0)}


def behind_switches(stream: Switching) -> claims_adaptation.Recovery:
    """Ours in row 0, ours frozen at the switch before in row 1, one sample ahead."""
    said = claims_adaptation.ours_and_frozen(stream, [1])
    e = np.stack([claims_adaptation.errors(stream.y, yhat[:, 0], 1) for yhat in said])
    return claims_adaptation.recovery(e, stream.switches)


@pytest.mark.parametrize("name", STREAMS)
def test_a_switch_of_the_dynamics_is_learned_and_a_frozen_readout_never_gets_there(
    name: str,
) -> None:
    """Within 350 samples the error is 1.2 of that at the end of the regime, in the median."""
    found = behind_switches(STREAMS[name])
    assert np.median(found.back_to_best[0]) <= 350
    assert np.median(found.back_to_best[1]) == claims_adaptation.NEVER
    assert np.median(found.steady[0] / found.steady[1]) < 0.8


def errors(kind: str, level: float, n: int = 2_000, *others: str) -> dict[str, float]:
    """Errors against the clean value of ours, of persistence and of others, by name."""
    return claims_noise.growth(n, 0, kind, level, ["ours", "persistence", *others])


def test_noise_costs_less_than_it_costs_others() -> None:
    """From 5 to 40 % of noise the error stays below the peers', and grows less than the noise."""
    little, much = (errors("noise", level, 2_000, ESN) for level in (0.05, 0.4))
    for found in (little, much):
        assert found["ours"] < 0.6 * found["persistence"]
        assert found["ours"] < found[ESN]
    assert much["ours"] / little["ours"] < 0.4 / 0.05


def test_outliers_of_ten_deviations_cost_less_than_they_cost_persistence() -> None:
    """One sample in a thousand, and one in a hundred."""
    few, more = errors("outliers", 0.001, 4_000), errors("outliers", 0.01, 4_000)
    assert few["ours"] < 0.4 * few["persistence"]
    assert more["ours"] < 0.85 * more["persistence"]


def test_missing_samples_cost_less_than_they_cost_others() -> None:
    """A fifth of the samples missing: less than half of what ReservoirPy is off by."""
    found = errors("missing", 0.2, 2_000, ESN)
    assert found["ours"] < 0.5 * found[ESN]
    assert found["ours"] < 0.2 * found["persistence"]


def test_the_mixture_is_near_the_best_expert_and_no_expert_is_near_everywhere() -> None:
    """Within 5 % of the best in hindsight on every series; overall better than any one expert."""
    found = [list(claims_exploration.cells(one)) for one in claims_exploration.made(2 * LENGTH, 0)]
    on_each = [geometric_mean(cell.ratio for cell in cells) for cells in found]
    overall = geometric_mean(on_each)
    assert max(on_each) < 1.05
    assert max(cell.ratio for cells in found for cell in cells) < 1.15
    assert overall < 1.0
    for name in found[0][0].experts:
        ratios = [c.experts[name] / c.experts[c.best] for cells in found for c in cells]
        assert geometric_mean(ratios) > 1.04 * overall, name
