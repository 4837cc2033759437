"""The state of a forecaster that has seen nothing yet."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model import kernels
from streamlnn.model.intervals import initial_intervals
from streamlnn.model.kernels import LAGS, State
from streamlnn.model.mixture import initial_mixture
from streamlnn.model.reservoir import LagUnits, Reservoir
from streamlnn.model.scaling import initial_scaling
from streamlnn.model.settings import Settings
from streamlnn.model.waiting import FEWEST_WAITING, MOST_WAITING, turns

MOST_REMEMBERED = 4096
"""Past values kept for the seasons, at most: a longer season is kept at a coarser spacing."""

RESERVOIR_READOUT = (0.9995, 0.1)
OWN_READOUTS = ((0.998, 0.1), (0.9998, 0.1))
"""Forgetting and ridge of the readout on all features, and of the autoregressions."""


def initial_state(settings: Settings) -> State:
    """Return the arrays of a model that has seen nothing."""
    parts = _fixed(settings) | _running(settings) | _learned(settings)
    return State(**parts, **_waiting(settings, parts), **_seasons(settings))


def lags_of(fields: int) -> int:
    """How many past values of each field the joint features hold."""
    return max(4, min(LAGS, 192 // fields))


def feature_count(settings: Settings) -> int:
    """Length of the joint feature vector: 1, the lags, both halves of the reservoir."""
    return 1 + settings.fields * lags_of(settings.fields) + 2 * settings.units


def _fixed(settings: Settings) -> dict[str, NDArray[Any]]:
    return {
        "by_time": np.array([settings.by_time]),
        "horizons": np.array(settings.horizon_lengths),
        "seasons": np.array(settings.season_lengths, np.float64),
        "targets": np.array(settings.target_fields, np.int64),
        "alpha": np.array([1.0 - settings.level]),
        "readout_settings": np.array([RESERVOIR_READOUT, *OWN_READOUTS]),
        **_units(settings.units, settings.fields, settings.seed, settings.dtype),
    }


@lru_cache(maxsize=8)
def _units(units: int, fields: int, seed: int, dtype: str) -> dict[str, NDArray[Any]]:
    """Return the fixed random units: all models with the same settings share them."""
    reservoir = Reservoir(units, fields, seed, dtype=dtype)
    lag_units = LagUnits(units, fields * lags_of(fields), seed, dtype=dtype)
    return {
        "taps": reservoir.taps.astype(np.int64),
        "W": reservoir.links,
        "W_in": reservoir.W_in,
        "bias": reservoir.bias,
        "tau": reservoir.tau,
        "V": lag_units.V,
        "V_bias": lag_units.bias,
    }


def _running(settings: Settings) -> dict[str, NDArray[Any]]:
    T, H = len(settings.target_fields), len(settings.horizons)
    every = settings.every or 0.0
    experts = kernels.FIRST_OWN + len(OWN_READOUTS) + len(settings.seasons)
    return {
        "counts": np.zeros(kernels.COUNTS, np.int64),
        "clock": np.array([np.nan, every, every, np.nan, every]),
        "gaps": np.zeros(32),
        "scores": np.zeros((T, H, kernels.SCORES)),
        "monitor": np.zeros((T, kernels.WATCHED)),
        "forecast": np.full((3, H, T), np.nan),
        "quality": np.full((2, H, T), np.nan),
        "due": np.zeros(H, np.int64),
        "stride": np.ones(H, np.int64),
        **initial_scaling(settings.fields, T),
        **initial_mixture(T, H, experts),
        **initial_intervals(T, H),
    }


def _learned(settings: Settings) -> dict[str, NDArray[Any]]:
    dtype, M, A = settings.dtype, feature_count(settings), 1 + LAGS
    T, H, L = len(settings.target_fields), len(settings.horizons), len(OWN_READOUTS)
    ridges = np.array([ridge for _, ridge in OWN_READOUTS])
    return {
        "x": np.zeros(settings.units, dtype),
        "features": np.zeros(M, dtype),
        "own": np.zeros((T, A), dtype),
        "U": np.zeros(M * (M - 1) // 2, dtype),
        "D": np.full(M, 1.0 / RESERVOIR_READOUT[1], dtype),
        "weights": np.zeros((T, H, M), dtype),
        "U_own": np.zeros((T, L, A * (A - 1) // 2), dtype),
        "D_own": np.broadcast_to(1.0 / ridges[:, None], (T, L, A)).astype(dtype),
        "own_weights": np.zeros((T, L, H, A), dtype),
    }


def _waiting(settings: Settings, parts: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    C = _slots(settings)
    T, H, G, E = parts["losses"].shape
    Q, M, A = parts["log_q"].shape[2], parts["D"].size, parts["own"].shape[1]
    dtype, L = settings.dtype, len(OWN_READOUTS)
    return {
        "waiting_at": np.zeros(C),
        "waiting_seq": np.zeros(C, np.int64),
        "waiting_base": np.zeros((C, T, 2)),
        "waiting_experts": np.zeros((C, T, H, 1 + G + E)),
        "waiting_bands": np.zeros((C, T, H, 1 + Q)),
        "waiting_x": np.zeros((C, M), dtype),
        "waiting_gain": np.zeros((C, M), dtype),
        "waiting_own": np.zeros((C, T, A), dtype),
        "waiting_own_gain": np.zeros((C, T, L, A), dtype),
        "refresh_gain": np.zeros((turns(C), M), dtype),
        "refresh_own_gain": np.zeros((turns(C), T, L, A), dtype),
    }


def _slots(settings: Settings) -> int:
    if settings.by_time:
        return FEWEST_WAITING
    return min(MOST_WAITING, int(settings.horizon_lengths[-1]) + 1)


def _seasons(settings: Settings) -> dict[str, NDArray[Any]]:
    T, longest = len(settings.target_fields), max(settings.season_lengths, default=0.0)
    spacing = longest / MOST_REMEMBERED
    size = MOST_REMEMBERED
    if not settings.by_time:
        spacing = max(1.0, math.ceil(spacing))
        size = math.ceil(longest / spacing)
    size = size + 2 if longest else 0
    return {
        "season_at": np.zeros(size),
        "season_values": np.zeros((size, T)),
        "season_spacing": np.array([spacing]),
    }
