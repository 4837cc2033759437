"""The Python of the documents runs, block after block, as a reader would paste it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NEEDS = {"article.md": ["torch"], "river.md": ["river"], "reservoirpy.md": ["reservoirpy"]}
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", [name for name in NEEDS if (DOCS / name).exists()])
def test_the_python_of_a_document_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks in one namespace and in a folder of their own; every warning is an error."""
    for package in NEEDS[name]:
        pytest.importorskip(package)
    text = (DOCS / name).read_text()
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == text.count("```python"), "a block of Python does not end"
    assert blocks
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "document"}
    for block in blocks:
        above = text.count("\n", 0, block.start(1))  # so that an error tells the document's line
        exec(compile("\n" * above + block[1], str(DOCS / name), "exec"), names)
