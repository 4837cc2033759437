"""Parts of compiled entries: optimised once, as a whole, where they are used.

numba optimises each function that a compiled one calls, and makes machine code of it, before it
links it in and optimises it again. A record goes through some 150 functions, seven deep: a third of
the first start went into machine code that nobody calls. So a part stops at the text for LLVM, and
the entry that it is linked into optimises all of it.

This leans on a few names inside numba. Where a later version has them no more, every part is
compiled as numba does it: a longer first start, and the same numbers.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import ctypes
import functools
from typing import Any

from numba import jit, njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

_INNARDS = (
    "_optimize_final_module _finalize_final_module _finalize_dynamic_globals _ensure_finalized"
)
ARE_KNOWN = all(hasattr(JITCodeLibrary, name) for name in _INNARDS.split())
"""Whether this version of numba has what parts need."""

_BARE: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_REFUSES = ctypes.cast(ctypes.pythonapi.PyErr_BadArgument, ctypes.c_void_p).value
"""What runs when Python calls a part that was linked into an entry: it raises `TypeError`."""


class _NoMachineCode:
    """In the place of what holds finished machine code: a part has none to point to."""

    def set_env(self, _name, _environment):
        """Drop the environment: only code that makes or raises Python objects reads it."""


class _PartLibrary(JITCodeLibrary):
    """The code of one part, for others to be linked with."""

    @property
    def codegen(self):
        return _NoMachineCode()

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True

    def get_pointer_to_function(self, _name):
        self._ensure_finalized()
        return _REFUSES


class _PartCompiler(Compiler):
    """numba's compiler, made to put a function into a `_PartLibrary`."""

    def __init__(self, typing, target, _library, arguments, returned, flags, local_types):
        library = _PartLibrary(target.codegen(), "part")
        super().__init__(typing, target, library, arguments, returned, flags, local_types)


def part(**options: Any) -> Any:
    """Return a decorator like `njit(**options)` for functions that only compiled code calls."""
    if not ARE_KNOWN:
        return njit(**options)
    return jit(**options, **_BARE, nopython=True, pipeline_class=_PartCompiler)


@functools.cache
def alone(used: Any) -> Any:
    """Return a part as a function that Python can call."""
    options = {name: chosen for name, chosen in used.targetoptions.items() if name not in _BARE}
    return jit(**options)(used.py_func)
