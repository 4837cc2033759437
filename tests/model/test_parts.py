"""Parts of compiled entries are linked and not made into machine code; Python can call them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numba import njit

from streamlnn.model import parts
from streamlnn.model.parts import part


def total(x: Any) -> Any:
    found = 0.0
    for k in range(x.size):
        found += np.tanh(x[k]) / (k + 1.0)
    return found


def test_this_version_of_numba_has_what_parts_need() -> None:
    """Where it has not, the first start takes half as long again: look into `parts`."""
    assert parts.ARE_KNOWN


@pytest.mark.parametrize("known", [True, False], ids=["known", "another numba"])
def test_a_part_gives_the_numbers_that_numba_gives(
    known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linked into others, called from Python before and after, and where it is no part at all."""
    monkeypatch.setattr(parts, "ARE_KNOWN", known)
    inner, x = part(error_model="numpy")(total), np.random.default_rng(1).standard_normal(1000)
    usual = njit(total)(x)
    assert inner(x) == usual

    @njit
    def outer(x: Any) -> Any:
        return inner(x)

    assert outer(x) == inner(x) == usual


def test_a_part_is_linked_and_not_made_into_machine_code() -> None:
    inner = part()(total)
    njit(lambda x: inner(x))(np.ones(3))
    [compiled] = inner.overloads.values()
    assert isinstance(compiled.library, parts._PartLibrary)
    assert compiled.entry_point is not None, "numba looks a function up by it"


def test_what_a_part_cannot_take_is_an_error_and_no_crash() -> None:
    """Another process tries it, because it could be one."""
    code = """
from numba import njit
from numba.core.errors import TypingError
from streamlnn.model.parts import part
inner = part()(lambda x: x + 1.0)
outer = njit(lambda x: inner(x))
assert outer(1.0) == inner(1.0) == 2.0
try:
    inner("a word")
except TypingError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"
