"""The daemon installs without what its side doors need."""

from __future__ import annotations

from pathlib import Path

from installs import clean, run, wheel

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


def test_the_daemon_needs_neither_torch_nor_river(tmp_path: Path) -> None:
    """Nor scipy, which numba would take where it is."""
    python = clean(tmp_path / "venv", wheel(tmp_path))
    assert "AR(24)" in run(python, "-c", PLAIN, cwd=tmp_path)
