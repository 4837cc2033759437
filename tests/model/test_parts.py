"""Parts of compiled entries are linked, not made into machine code, and cannot hurt Python."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from numba import njit

from streamlnn.model import parts
from streamlnn.model.parts import part


def test_this_version_of_numba_has_what_parts_need() -> None:
    """Where it has not, the first start takes half as long again: look into `parts`."""
    assert parts.ARE_KNOWN


def test_a_part_gives_the_numbers_that_numba_gives() -> None:
    def total(x):  # type: ignore[no-untyped-def]
        found = 0.0
        for k in range(x.size):
            found += np.tanh(x[k]) / (k + 1.0)
        return found

    inner, usual = part()(total), njit(total)

    @njit
    def outer(x):  # type: ignore[no-untyped-def]
        return inner(x) - usual(x)

    assert outer(np.random.default_rng(1).standard_normal(1000)) == 0.0


@pytest.mark.parametrize("first", ["inner(1.0)", "outer(1.0)"], ids=["never used", "used"])
def test_python_that_calls_a_part_gets_an_error(first: str) -> None:
    """And no crash, which is why another process tries it."""
    code = f"""
from numba import njit
from streamlnn.model.parts import part
inner = part()(lambda x: x + 1.0)
outer = njit(lambda x: inner(x))
try:
    {first}
    inner(1.0)
except TypeError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
