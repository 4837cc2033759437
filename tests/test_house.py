"""The house stands as it was drawn: floors, doors, and what is in the wheel."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, entry_points
from pathlib import Path

import pytest

import connectors
import streamlnn
from streamlnn.pipeline import plugins

FLOORS = ["model", "pipeline", "evaluation", "plot", "daemon"]
PACKAGES = [Path(package.__file__ or "").parent for package in (streamlnn, connectors)]
FILES = sorted(path for package in PACKAGES for path in package.rglob("*.py"))
NAMES = {
    path: ".".join(path.relative_to(PACKAGES[0].parent).with_suffix("").parts) for path in FILES
}
BORDER = {"streamlnn.pipeline.contract", "streamlnn.model.records", "streamlnn.errors"}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            if node.module in ("streamlnn.model", "streamlnn.pipeline", "streamlnn.daemon"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def floor(module: str) -> int | None:
    parts = module.split(".")
    is_on_floor = parts[0] == "streamlnn" and len(parts) > 1 and parts[1] in FLOORS
    return FLOORS.index(parts[1]) if is_on_floor else None


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_imports_point_downwards_only(path: Path) -> None:
    mine = floor(NAMES[path])
    for module in imports(path):
        if NAMES[path].startswith("streamlnn"):
            assert not module.startswith("connectors"), f"imports {module}"
        theirs = floor(module)
        if mine is not None and theirs is not None:
            assert theirs <= mine, f"imports {module}, which is above it"


@pytest.mark.parametrize(
    "path", [path for path in FILES if NAMES[path].startswith("connectors")], ids=NAMES.get
)
def test_a_connector_knows_the_border_and_no_more(path: Path) -> None:
    ours = {module for module in imports(path) if module.startswith("streamlnn")}
    assert ours <= BORDER


@pytest.mark.parametrize("path", FILES, ids=NAMES.get)
def test_nothing_is_ever_unpickled(path: Path) -> None:
    text = path.read_text()
    assert not {"pickle", "joblib", "dill", "shelve", "marshal"} & set(imports(path))
    assert "allow_pickle" not in text


@pytest.mark.parametrize("path", [p for p in FILES if "/model/" in str(p)], ids=NAMES.get)
def test_the_ground_floor_reads_no_clock_and_starts_no_thread(path: Path) -> None:
    assert not {"time", "datetime", "threading", "asyncio", "socket", "random"} & set(imports(path))


def test_the_installed_package_is_tested_and_holds_two_packages() -> None:
    """The wheel brings streamlnn and connectors, with their types, and nothing else."""
    files = distribution("streamlnn").files or []
    tops = {file.parts[0] for file in files if ".." not in file.parts}
    if any(top.endswith(".pth") for top in tops):
        pytest.skip("installed editable: there is no wheel to look into")
    assert {top for top in tops if not top.endswith(".dist-info")} == {"streamlnn", "connectors"}
    assert {"streamlnn/py.typed", "connectors/py.typed"} <= {str(file) for file in files}


@pytest.mark.parametrize("role", sorted(plugins.GROUPS))
def test_every_entry_point_loads(role: str) -> None:
    kinds = [point.name for point in entry_points(group=plugins.GROUPS[role])]
    assert kinds
    assert all(plugins.load(role, kind) for kind in kinds)


def test_an_unknown_kind_names_the_nearest_and_what_is_installed() -> None:
    with pytest.raises(Exception, match=r"unknown source kind 'mqt'; did you mean 'mqtt'\?"):
        plugins.load("source", "mqt")


SIDE_DOORS = [path for path in FILES if NAMES[path].startswith("streamlnn.interop")]


@pytest.mark.parametrize("path", SIDE_DOORS, ids=NAMES.get)
def test_a_side_door_opens_on_the_ground_floor_only(path: Path) -> None:
    ours = {module for module in imports(path) if module.startswith(("streamlnn", "connectors"))}
    below = ("streamlnn.model", "streamlnn.errors", "streamlnn.interop")
    assert all(module.startswith(below) for module in ours), ours


@pytest.mark.parametrize("path", [p for p in FILES if p not in SIDE_DOORS], ids=NAMES.get)
def test_nothing_comes_in_by_a_side_door(path: Path) -> None:
    theirs = {module.split(".")[0] for module in imports(path)}
    assert not any(module.startswith("streamlnn.interop") for module in imports(path))
    assert not theirs & {"torch", "ncps"}


def test_the_package_alone_imports_neither_the_model_nor_the_heavy_extras() -> None:
    code = (
        "import sys, streamlnn, streamlnn.daemon.cli; "
        "print([m for m in ('numba', 'river', 'torch', 'amqtt', 'uvicorn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, timeout=60, check=True
    )
    assert done.stdout.strip() == b"[]"


def test_the_readme_shows_a_configuration_that_is_sound(tmp_path: Path) -> None:
    """The first TOML block of the README is checked as a user's would be."""
    readme = Path(__file__).parents[1] / "README.md"
    block = re.search(r"```toml\n(.*?)```", readme.read_text(), re.DOTALL)
    assert block
    config = tmp_path / "pipeline.toml"
    config.write_text(block[1])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "streamlnn", "check", str(config)],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()


def test_the_readme_shows_python_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = Path(__file__).parents[1] / "README.md"
    block = re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    assert block
    monkeypatch.chdir(tmp_path)
    values = [float(n % 7) for n in range(100)]
    times = [60.0 * n for n in range(100)]
    names: dict[str, object] = {
        "stream": zip(times, values, strict=True),
        "times": times,
        "values": values,
    }
    exec(block[1], names)
    assert (tmp_path / "pump7.slnn").exists()
