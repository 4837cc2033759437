"""The extras install alone, each into an environment that holds nothing else."""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAIN = """
import importlib
import sys
from pathlib import Path

for extra, needed in (("torch", "PyTorch"), ("river", "River")):
    try:
        importlib.import_module(f"streamlnn.interop.{extra}")
    except ImportError as error:
        assert str(error) == (
            f"streamlnn.interop.{extra} needs {needed}: pip install 'streamlnn[{extra}]'"
        ), error
    else:
        raise AssertionError(f"{extra} is installed")

Path("r.csv").write_text("\\n".join(["v", *(str(n % 17) for n in range(120)), ""]))
sys.argv = ["streamlnn", "eval", "r.csv", "--skip", "20"]
from streamlnn.daemon.cli import main

main()
"""
TORCH = """
import importlib.util

import torch

from streamlnn.interop.torch import ESN, LiquidCell

model = ESN(10, 100, 1)
x = torch.randn(32, 50, 10)
assert model(x).shape == (32, 1)
model.fit(x, x[:, -1, :1]).partial_fit(x, x[:, -1, :1])
assert LiquidCell(10, 20)(x[:, 0], dt=0.5).shape == (32, 20)
assert importlib.util.find_spec("river") is None
"""
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (made,) = folder.glob("streamlnn-*.whl")
    return made


def run(*words: str, cwd: Path | None = None) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, cwd=cwd)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def clean(folder: Path, *packages: str) -> str:
    """Return the Python of a new environment with these packages and what they ask for."""
    venv.create(folder, with_pip=True)
    python = str(folder / "bin" / "python")
    run(python, "-m", "pip", "install", "--no-compile", "--disable-pip-version-check", *packages)
    return python


def test_the_daemon_needs_neither_torch_nor_river(wheel: Path, tmp_path: Path) -> None:
    """Nor scipy, which numba would take where it is."""
    python = clean(tmp_path / "venv", str(wheel))
    assert "AR(24)" in run(python, "-c", PLAIN, cwd=tmp_path)


def test_the_extra_torch_brings_the_module_and_not_river(wheel: Path, tmp_path: Path) -> None:
    """PyTorch as the tests have it: another may be several times as large."""
    torch = version("torch").split("+")[0]
    python = clean(tmp_path / "venv", f"{wheel}[torch]", f"torch=={torch}")
    run(python, "-c", TORCH, cwd=tmp_path)


def test_the_extra_river_brings_its_world_and_not_torch(wheel: Path, tmp_path: Path) -> None:
    python = clean(tmp_path / "venv", f"{wheel}[river]")
    run(python, "-c", RIVER, cwd=tmp_path)
