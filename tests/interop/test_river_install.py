"""The extra `river` installs alone."""

from __future__ import annotations

from pathlib import Path

from installs import clean, run, wheel

RIVER = """
import importlib.util
from math import sin

from river import evaluate, linear_model, metrics

from streamlnn.interop.river import ReservoirFeatures, StreamForecaster

model = ReservoirFeatures(units=20) | linear_model.BayesianLinearRegression()
waves = [({"v": sin(t / 5)}, sin((t + 1) / 5)) for t in range(300)]
assert evaluate.progressive_val_score(waves, model, metrics.MAE()).get() < 0.5

assert StreamForecaster(horizon=3).horizon == 3  # to forecast, it compiles as the daemon does
assert importlib.util.find_spec("torch") is None
"""


def test_the_extra_river_brings_its_world_and_not_torch(tmp_path: Path) -> None:
    python = clean(tmp_path / "venv", f"{wheel(tmp_path)}[river]")
    run(python, "-c", RIVER, cwd=tmp_path)
