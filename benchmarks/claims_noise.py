"""Robustness: how the error grows when noise, outliers and holes are put into a clean signal.

Everyone sees the disturbed signal and nothing else; what is asked is the clean signal's value h
samples ahead. Errors are mean absolute ones in standard deviations of the clean signal, geometric
means over the signals; beside them, in brackets, the error against what was observed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.claims_peers import PEERS, Forecasts
from benchmarks.claims_streams import clean_signals
from benchmarks.common import Array, figure, mae, paired
from streamlnn import Forecaster

HORIZONS = (1, 12)
OUTLIER = 10.0
DISTURBANCES = (
    ("none", (0.0,)),
    ("noise", (0.05, 0.1, 0.2, 0.4)),
    ("outliers", (0.001, 0.01, 0.05)),
    ("missing", (0.05, 0.2, 0.5)),
)
"""Noise in standard deviations of the signal, the rest in shares of the samples."""


def disturbed(clean: Array, kind: str, level: float, random: np.random.Generator) -> Array:
    """Return the signal (n,) with a disturbance of one kind; missing samples are NaN.

    >>> clean = np.zeros(1000)
    >>> random = np.random.default_rng(0)
    >>> int(np.isnan(disturbed(clean, "missing", 0.2, random)).sum() / 100)
    2
    """
    size, hit = clean.std(), random.random(clean.size) < level
    if kind == "noise":
        return np.asarray(clean + level * size * random.standard_normal(clean.size))
    if kind == "outliers":
        return clean + hit * random.choice([-OUTLIER, OUTLIER], clean.size) * size
    return np.where(hit, np.nan, clean) if kind == "missing" else clean.copy()


def ours(y: Array, horizons: Sequence[int]) -> Array:
    """Return our model's forecasts (n, horizons), at its defaults."""
    return Forecaster(list(horizons)).replay(None, y).yhat


EVERYONE: dict[str, Forecasts] = {"ours": ours, **PEERS}


def scores(seen: Array, clean: Array, everyone: dict[str, Forecasts]) -> Array:
    """Return the errors (2, horizons, forecasters): against the clean and the observed value.

    Of the second half of the targets: the first is to learn from.
    """
    said = [forecast(seen, HORIZONS) for forecast in everyone.values()]
    found = [
        [mae(*paired(truth, [yhat[:, k] for yhat in said], h, clean.size // 2))
         for k, h in enumerate(HORIZONS)]
        for truth in (clean, seen)
    ]  # fmt: skip
    return np.array(found) / clean.std()


def table(n: int, seeds: Sequence[int]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: for each disturbance, level and horizon everyone's error."""
    rows = []
    for kind, levels in DISTURBANCES:
        for level in levels:
            found = _over_signals(n, seeds, kind, level)
            rows += [_row(kind, level, h, found[:, k]) for k, h in enumerate(HORIZONS)]
    return ["disturbance", "h", *EVERYONE], rows


def _over_signals(n: int, seeds: Sequence[int], kind: str, level: float) -> Array:
    found = []
    for seed in seeds:
        for clean in clean_signals(n, seed).values():
            seen = disturbed(clean, kind, level, np.random.default_rng([seed, 200]))
            found.append(scores(seen, clean, EVERYONE))
    return np.exp(np.log(np.array(found)).mean(axis=0))


def _row(kind: str, level: float, h: int, found: Array) -> list[str]:
    label = kind if kind == "none" else f"{kind} {100.0 * level:.3g} %"
    best = figure(found[0].min())
    cells = [f"**{best}**" if figure(a) == best else figure(a) for a in found[0]]
    return [label, str(h), *(f"{a} ({figure(b)})" for a, b in zip(cells, found[1], strict=True))]


def growth(n: int, seed: int, kind: str, level: float, names: Sequence[str]) -> dict[str, float]:
    """Return the error at h = 1 against the clean value, geometric mean over the signals."""
    everyone = {name: EVERYONE[name] for name in names}
    found = [
        scores(disturbed(clean, kind, level, np.random.default_rng([seed, 200])), clean, everyone)
        for clean in clean_signals(n, seed).values()
    ]
    means = np.exp(np.log(np.array(found)[:, 0, 0]).mean(axis=0))
    return dict(zip(names, means.tolist(), strict=True))
