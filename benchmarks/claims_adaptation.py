"""Adaptation: how far off a forecaster is after its stream has changed, and for how long.

For each switch, from the absolute errors at the targets behind it:
- after: their mean over the first 500 targets;
- steady: their mean over the last third of the regime;
- back: how many targets it takes until the mean over 100 of them is within 1.2 of a level that
  stands for having learned the new regime: the forecaster's own steady error, or the lowest steady
  error of all forecasters. By its own a forecaster that never learns is back at once; the common
  level is the harder and the fairer question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.claims_peers import PEERS
from benchmarks.claims_streams import Switching, switching
from benchmarks.common import Array, best_in_bold, geometric_mean
from streamlnn import Forecaster

HORIZONS = (1, 12)
AFTER = 500
WINDOW = 100
SLACK = 1.2
NEVER = np.inf
DIVERGED = 1_000.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """What one forecaster did behind each switch, arrays (forecasters, switches)."""

    after: Array
    steady: Array
    back_to_own: Array
    back_to_best: Array


def ours_and_frozen(stream: Switching, horizons: Sequence[int]) -> tuple[Array, Array]:
    """Return the forecasts (n, horizons) of our model, and of it with learning stopped.

    The frozen one is, in each regime, the model as it was at the switch before: it goes on to
    scale, to step its reservoir and to mix with the weights it had, and learns nothing.
    """
    model, ours, frozen = Forecaster(list(horizons)), [], []
    for part in np.split(stream.y, stream.switches):
        still = stopped(model) if ours else None
        ours.append(model.replay(None, part).yhat)
        frozen.append(still.replay(None, part).yhat if still else ours[0])
    return np.concatenate(ours), np.concatenate(frozen)


_MOVING = ("U", "D", "U_own", "D_own", "waiting_gain", "waiting_own_gain", "refresh_gain")
_MOVING += ("refresh_own_gain",)


def _heavier(regrets: Array) -> None:
    """Scale regrets, and their squares behind them, so far up that what follows is nothing."""
    experts = regrets.shape[-1] // 2
    regrets[..., :experts] *= 1e100
    regrets[..., experts:] *= 1e200


def stopped(model: Forecaster) -> Forecaster:
    """Return a copy of the model that never learns again.

    Its gains and its covariances are 0, so that no weight moves; the losses and regrets that
    decide between the experts are so large that no new error changes their ratios.
    """
    state = model.state()
    for name, array in state.items():
        if name in _MOVING:
            array[...] = 0.0
        elif name in ("losses", "top_losses"):
            array *= 1e200
        elif name == "regrets":
            _heavier(array)
    still = Forecaster.from_state(model.settings, state)
    still._state.own_settings[:] = (0.5, 1.0)  # forgetting and ridge of what is never learned
    return still


def errors(y: Array, yhat: Array, h: int) -> Array:
    """Return the absolute error at each target (n,), NaN for the first h."""
    return np.append(np.full(h, np.nan), np.abs(y[h:] - yhat[:-h]))


def recovery(e: Array, switches: Sequence[int]) -> Recovery:
    """Return what the errors `e` (forecasters, n) say of each switch."""
    regimes = np.split(e, switches, axis=1)[1:]
    steady = np.stack([r[:, -(r.shape[1] // 3) :].mean(axis=1) for r in regimes], axis=1)
    after = np.stack([r[:, :AFTER].mean(axis=1) for r in regimes], axis=1)
    best = np.broadcast_to(steady.min(axis=0), steady.shape)
    return Recovery(after, steady, _back(regimes, steady), _back(regimes, best))


def _back(regimes: list[Array], levels: Array) -> Array:
    found = np.empty(levels.shape)
    for (who, k), level in np.ndenumerate(levels):
        rolling = np.convolve(regimes[k][who], np.ones(WINDOW) / WINDOW, "valid")
        within = np.flatnonzero(rolling <= SLACK * level)
        found[who, k] = within[0] if within.size else NEVER
    return found


def forecasts(stream: Switching) -> dict[str, Array]:
    """Return the forecasts (n, horizons) of everyone, ours first."""
    ours, frozen = ours_and_frozen(stream, HORIZONS)
    peers = {name: peer(stream.y, HORIZONS) for name, peer in PEERS.items()}
    return {"ours": ours, "ours, frozen": frozen, **peers}


def table(length: int, seeds: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: for each stream and horizon what everyone did, medians over seeds."""
    runs = [[(s, forecasts(s)) for s in switching(length, seed)] for seed in seeds]
    names = list(runs[0][0][1])
    rows, means = [], []
    for same in zip(*runs, strict=True):
        for k, h in enumerate(HORIZONS):
            found = _over_seeds(same, k, h)
            means.append([_ratio(found.after, names), _ratio(found.steady, names)])
            rows += _rows(f"{same[0][0].name}, {h} ahead", found, means[-1])
    return ["stream", "measure", *names], rows + _all(np.array(means))


def _over_seeds(same: Sequence[tuple[Switching, dict[str, Array]]], k: int, h: int) -> Recovery:
    """Put the switches of all seeds side by side."""
    found = []
    for stream, said in same:
        e = np.stack([errors(stream.y, yhat[:, k], h) for yhat in said.values()])
        found.append(recovery(e, stream.switches))
    parts = ("after", "steady", "back_to_own", "back_to_best")
    return Recovery(*(np.concatenate([getattr(f, p) for f in found], axis=1) for p in parts))


def _ratio(e: Array, names: list[str]) -> list[float]:
    """Geometric mean over the switches of error / persistence's error."""
    naive = e[names.index("persistence")]
    return [geometric_mean(row / naive) for row in e]


def _rows(name: str, found: Recovery, ratios: list[list[float]]) -> list[list[str]]:
    own, best = (np.median(b, axis=1) for b in (found.back_to_own, found.back_to_best))
    return [
        [name, "MAE of 500 after, of persistence's", *told(ratios[0])],
        ["", "steady MAE, of persistence's", *told(ratios[1])],
        ["", "targets until at its own steady level", *map(_count, own)],
        ["", "targets until at the best steady level", *map(_count, best)],
    ]


def told(ratios: list[float]) -> list[str]:
    """Return the figures, the lowest in bold; those of forecasters that broke by their size alone.

    >>> told([0.5, 1e12])
    ['**0.500**', '> 1000']
    """
    cells = best_in_bold(ratios)
    return [
        "> 1000" if ratio > DIVERGED else cell for ratio, cell in zip(ratios, cells, strict=True)
    ]


def _count(targets: float) -> str:
    return "never" if targets == NEVER else f"{targets:.0f}"


def _all(means: Array) -> list[list[str]]:
    overall = [[geometric_mean(column) for column in means[:, k].T] for k in range(2)]
    labels = ("MAE of 500 after, of persistence's", "steady MAE, of persistence's")
    return [
        ["all, geometric mean" if k == 0 else "", label, *told(overall[k])]
        for k, label in enumerate(labels)
    ]
