"""Environments that hold what a user would install, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]


def wheel(folder: Path) -> str:
    """Return the wheel of this checkout, built into a folder."""
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(folder), str(ROOT))
    (made,) = folder.glob("streamlnn-*.whl")
    return str(made)


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
