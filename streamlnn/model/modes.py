"""Linear multi-timescale memory: damped oscillators that listen to one target.

Each mode is a complex number that turns and fades, z <- lambda z + sqrt(1 - |lambda|^2) u, with a
time constant between 2 and 300 usual steps and the slower, the less it turns (a diagonal linear
recurrence: Gu et al. 2022, Orvieto et al. 2023). Together they remember ten times further back than
the lags do, at two features a mode. Over an elapsed time dt a mode fades and turns as far as in dt
steps.
"""

# mypy: allow-untyped-defs, allow-untyped-calls

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.model.compiled import exact

MODES = 20

_TAU = np.exp(np.linspace(np.log(2.0), np.log(300.0), MODES))
_GOLDEN = (np.arange(1, MODES + 1) * 0.6180339887498949) % 1.0
_ANGLE = np.pi * _GOLDEN * np.minimum(1.0, 6.0 / _TAU)
_FADE = np.exp(-1.0 / _TAU)
_COS, _SIN = _FADE * np.cos(_ANGLE), _FADE * np.sin(_ANGLE)
_GAIN = np.sqrt(1.0 - _FADE**2)


def initial_modes(targets: int, dtype: str) -> dict[str, NDArray[Any]]:
    """Return the modes before the first record: at rest."""
    return {"modes": np.zeros((targets, 2, MODES), dtype)}


@exact
def _turned(real, imaginary, fade, angle):
    cos, sin = fade * np.cos(angle), fade * np.sin(angle)
    return cos * real - sin * imaginary, cos * imaginary + sin * real


@exact
def turn(modes, u, steps):
    """Move one target's modes (2, MODES) on by `steps` under the input u."""
    number = modes.dtype.type
    for k in range(MODES):
        real, imaginary = modes[0, k], modes[1, k]
        if steps == 1.0:
            cos, sin, gain = number(_COS[k]), number(_SIN[k]), number(_GAIN[k])
            modes[0, k] = cos * real - sin * imaginary + gain * number(u)
            modes[1, k] = cos * imaginary + sin * real
        else:
            fade = np.exp(-steps / _TAU[k])
            real, imaginary = _turned(real, imaginary, fade, _ANGLE[k] * min(steps, 1e3))
            modes[0, k] = real + np.sqrt(1.0 - fade * fade) * u
            modes[1, k] = imaginary
