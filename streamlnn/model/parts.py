"""Parts of compiled entries: optimised once, as a whole, where they are used.

numba optimises each function that a compiled one calls, and makes machine code of it, before it
links it in and optimises it again. A record goes through some 150 functions, seven deep: a third of
the first start went into machine code that nobody calls. So a part stops at the text for LLVM, and
the entry that it is linked into optimises all of it.

A part can be called from Python, too, and is compiled by itself then: the classes that do one step
at a time use that, and so do the tests.

This leans on a few names inside numba. Where a later version has them no more, every part is
compiled as numba does it: a longer first start, and the same numbers.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import functools
from typing import Any

from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher

_INNARDS = (
    "_optimize_final_module _finalize_final_module _finalize_dynamic_globals _ensure_finalized"
)
ARE_KNOWN = all(hasattr(JITCodeLibrary, name) for name in _INNARDS.split())
"""Whether this version of numba has what parts need."""


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
        return 0


class _PartCompiler(Compiler):
    """numba's compiler, made to put a function into a `_PartLibrary`."""

    def __init__(self, typing, target, _library, arguments, returned, flags, local_types):
        library = _PartLibrary(target.codegen(), "part")
        super().__init__(typing, target, library, arguments, returned, flags, local_types)


class _Part(CPUDispatcher):
    """A function as compiled code calls it; from Python it is another, compiled by itself."""

    def __init__(self, function, options):
        self._alone = njit(**options)(function)
        chosen = {**options, "nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
        super().__init__(function, targetoptions=chosen, pipeline_class=_PartCompiler)

    def __call__(self, *arguments):
        return self._alone(*arguments)


def part(**options: Any) -> Any:
    """Return a decorator like `njit(**options)`, for functions that compiled code calls."""
    return functools.partial(_Part, options=options) if ARE_KNOWN else njit(**options)
