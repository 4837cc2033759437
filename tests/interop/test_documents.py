"""The documents run, block after block, as a reader would paste them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {
    "article.md": ["torch", "matplotlib"],
    "river.md": ["river"],
    "reservoirpy.md": ["reservoirpy", "torch"],
}
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", NEEDS)
def test_a_document_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in one namespace and in a folder of their own; every warning is an error.

    Of the shell, our own commands run; what installs anything has been installed.
    """
    for package in NEEDS[name]:
        pytest.importorskip(package)
    text = (DOCS / name).read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python") + text.count("```sh"), "a block does not end"
    assert any(block[1] == "python" for block in blocks)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks:
        if block[1] == "sh":
            _run_ours(block[2])
            continue
        above = text.count("\n", 0, block.start(2))  # so that an error tells the document's line
        exec(compile("\n" * above + block[2], str(DOCS / name), "exec"), names)


def _run_ours(lines: str) -> None:
    for line in lines.splitlines():
        command, *words = line.split()
        if command == "streamlnn":
            subprocess.run(
                [sys.executable, "-P", "-m", "streamlnn", *words], timeout=200, check=True
            )
