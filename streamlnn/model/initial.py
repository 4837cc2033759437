"""The state of a forecaster that has seen nothing yet."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.experts import Learner, expert_names, joint_learners, own_learners
from streamlnn.model.features import lags_of
from streamlnn.model.intervals import initial_intervals
from streamlnn.model.mixture import MIXTURES, initial_mixture
from streamlnn.model.modes import initial_modes
from streamlnn.model.monitor import WATCHED
from streamlnn.model.profiles import initial_profiles
from streamlnn.model.readout import unit_factor
from streamlnn.model.reservoir import LagUnits, Reservoir, by_inputs
from streamlnn.model.scaling import initial_scaling
from streamlnn.model.season_search import FEWEST
from streamlnn.model.seasons import initial_seasons
from streamlnn.model.settings import Settings
from streamlnn.model.settling import SCORES
from streamlnn.model.state import CONDITIONS, COUNTS, NEXT_LOOK, TOLD, State
from streamlnn.model.waiting import FEWEST_WAITING, MOST_WAITING, turns

PLASTICITY_RATE = 1e-4


def initial_state(settings: Settings) -> State:
    """Return the arrays of a model that has seen nothing."""
    fixed = _fixed(settings)
    parts = fixed | _running(settings) | _readouts(settings) | _heard(fixed)
    return State(**parts, **_waiting(settings, parts), **initial_seasons(settings))


def hearing(state: State, reservoir: Reservoir) -> State:
    """Return a state that has seen nothing, with this reservoir in place of the drawn one.

    Raises `ValueError` where it hears another number of inputs than the model has fields.
    """
    if reservoir.inputs != state.values.size:
        raise ValueError(
            f"the reservoir hears {reservoir.inputs} inputs; this model has fields="
            f"{state.values.size}"
        )
    given = reservoir.stepped(state.x.dtype)
    return state._replace(**given, drive=given["bias"].copy(), gate=given["gate_bias"].copy())


def _fixed(settings: Settings) -> dict[str, NDArray[Any]]:
    joint, own = joint_learners(settings), own_learners(settings)
    return {
        "by_time": np.array([settings.by_time]),
        "horizons": np.array(settings.horizon_lengths),
        "targets": np.array(settings.target_fields, np.int64),
        "alpha": np.array([1.0 - settings.level]),
        "joint_sizes": _sizes(joint),
        "joint_settings": _manners(joint),
        "own_sizes": _sizes(own),
        "own_settings": _manners(own),
        "plasticity": np.array([PLASTICITY_RATE if settings.plasticity else 0.0]),
        **_units(settings.units, settings.fields, settings.seed, settings.dtype),
    }


def _sizes(learners: list[Learner]) -> NDArray[np.int64]:
    return np.array([learner.size for learner in learners], np.int64)


def _manners(learners: list[Learner]) -> NDArray[np.float64]:
    return np.array([(each.forgetting, each.ridge) for each in learners])


@lru_cache(maxsize=8)
def _units(units: int, fields: int, seed: int, dtype: str) -> dict[str, NDArray[Any]]:
    """Return the fixed random units: all models with the same settings share them."""
    reservoir = Reservoir(units, fields, seed, dtype=dtype)
    lag_units = LagUnits(units, fields * lags_of(fields), seed, dtype=dtype)
    return {
        **reservoir.stepped(dtype),
        "V": by_inputs(lag_units.V),
        "V_bias": lag_units.bias,
    }


def _running(settings: Settings) -> dict[str, NDArray[Any]]:
    T, H = len(settings.target_fields), len(settings.horizons)
    every, experts = settings.every or 0.0, len(expert_names(settings))
    return {
        "counts": _counts(settings),
        "clock": np.array([np.nan, every, every, np.nan, every, every]),
        "gaps": np.zeros(32),
        "scores": np.zeros((T, H, SCORES)),
        "monitor": np.zeros((T, WATCHED)),
        "forecast": np.full((TOLD, H, T), np.nan),
        "condition": np.zeros((CONDITIONS, T)),
        "due": np.zeros(H, np.int64),
        "stride": np.ones(H, np.int64),
        **initial_scaling(settings.fields, T),
        **initial_mixture(T, H, experts),
        **initial_intervals(T, H),
        **initial_profiles(T, settings.season_slots),
    }


def _counts(settings: Settings) -> NDArray[np.int64]:
    counts = np.zeros(COUNTS, np.int64)
    counts[NEXT_LOOK] = 0 if settings.seasons else FEWEST
    return counts


def _readouts(settings: Settings) -> dict[str, NDArray[Any]]:
    T, H, dtype = len(settings.target_fields), len(settings.horizons), settings.dtype
    joint, own = joint_learners(settings), own_learners(settings)
    return {
        "x": np.zeros(settings.units, dtype),
        "ip_gain": np.ones(settings.units, dtype),
        "ip_bias": np.zeros(settings.units, dtype),
        **initial_modes(T, dtype),
        "features": np.zeros(joint[0].size, dtype),
        "own": np.zeros((T, max(learner.size for learner in own)), dtype),
        "U": _factors(joint, dtype),
        "D": _precisions(joint).astype(dtype),
        "weights": np.zeros((T, H, _sizes(joint).sum()), dtype),
        "U_own": np.tile(_factors(own, dtype), (T, 1)),
        "D_own": np.tile(_precisions(own), (T, 1)).astype(dtype),
        "said": np.zeros((T, H, len(joint) + len(own)), dtype),
        "said_of": np.full(H, -1),
        "own_weights": np.zeros((T, H, _sizes(own).sum()), dtype),
    }


def _heard(fixed: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return what the units hear while all are at rest: their biases."""
    biases = {"drive": "bias", "gate": "gate_bias", "lag_drive": "V_bias"}
    return {name: fixed[bias].copy() for name, bias in biases.items()}


def _factors(learners: list[Learner], dtype: str) -> NDArray[Any]:
    return np.concatenate([unit_factor(each.size, dtype) for each in learners])


def _precisions(learners: list[Learner]) -> NDArray[np.float64]:
    return np.concatenate([np.full(each.size, 1.0 / each.ridge) for each in learners])


def _waiting(settings: Settings, parts: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    C, dtype = _slots(settings), settings.dtype
    T, H, _, E = parts["losses"].shape
    Q, M, A = parts["log_q"].shape[2], parts["features"].size, parts["own"].shape[1]
    N, B = parts["D"].size, parts["D_own"].shape[1]
    return {
        "waiting_at": np.zeros(C),
        "waiting_seq": np.zeros(C, np.int64),
        "waiting_base": np.zeros((C, T, 3)),
        "waiting_experts": np.zeros((C, T, H, 1 + MIXTURES + E)),
        "waiting_bands": np.zeros((C, T, H, 1 + Q)),
        "waiting_x": np.zeros((C, M), dtype),
        "waiting_gain": np.zeros((C, N), dtype),
        "waiting_own": np.zeros((C, T, A), dtype),
        "waiting_own_gain": np.zeros((C, T, B), dtype),
        "refresh_gain": np.zeros((turns(C), N), dtype),
        "refresh_own_gain": np.zeros((turns(C), T, B), dtype),
    }


def _slots(settings: Settings) -> int:
    if settings.by_time:
        return FEWEST_WAITING
    return min(MOST_WAITING, int(settings.horizon_lengths[-1]) + 1)
