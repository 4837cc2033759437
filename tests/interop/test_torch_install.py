"""The extra `torch` installs alone."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from installs import clean, run, wheel

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


def test_the_extra_torch_brings_the_module_and_not_river(tmp_path: Path) -> None:
    """PyTorch as the tests have it: another may be several times as large."""
    torch = version("torch").split("+")[0]
    python = clean(tmp_path / "venv", f"{wheel(tmp_path)}[torch]", f"torch=={torch}")
    run(python, "-c", TORCH, cwd=tmp_path)
