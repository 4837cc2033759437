"""How the model's inner loops are compiled.

Each part of the model holds its own loops, beside the text that explains them. They are called
from one another and compiled together into the few entries that Python calls.

Sums may be reordered and fused (`fused`: `reassoc`, `contract`) where that lets them use vector
instructions, and nowhere else; the other liberties of fast maths cost accuracy here. Short loops
over arrays become part of their callers (`inlined`, `fused`): to pass arrays to a function of its
own takes as long as a sum over a hundred numbers.

What is compiled here counts no references, because it makes no arrays and keeps none (`_nrt`): a
record takes hundreds of looks at arrays, and to ask at each whether anybody counts was half of the
time until its forecast. So loops get all arrays from outside, and a slice ends where it is used.

Compiling takes tens of seconds, so the entries' machine code is cached. numba notices a change in
the file of a cached function only, not in those of the functions it calls, and cannot even read
what an older version cached of a type that is no more. Therefore a function is either `cached`, and
calls nothing outside its file, or an `entry`, whose name in the cache holds a digest of all files
of this folder.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit, typeof
from numba.core import cgutils
from numba.extending import intrinsic

from streamlnn.model.parts import part

_COMMON: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
_UNCOUNTED: dict[str, Any] = {**_COMMON, "_nrt": False}

exact = part(**_UNCOUNTED)
inlined = part(**_UNCOUNTED, forceinline=True)
fused = part(**_UNCOUNTED, forceinline=True, fastmath={"reassoc", "contract"})


def cached(function: Any = None, **options: Any) -> Any:
    """Compile like `exact`, and keep the machine code for the next process where that is possible.

    numba refuses to cache, by an exception, where neither the package's folder nor the user's
    cache folder can be written; then every process compiles anew.
    """
    if function is None:
        return lambda later: cached(later, **options)
    try:
        return njit(cache=True, **_COMMON, **options)(function)
    except RuntimeError:
        return njit(**_COMMON, **options)(function)


def direct(function: Any, *arguments: Any) -> Any:
    """Return the machine code of `function` for arguments of these types, as it is called.

    It takes no others, and does not look at each call what it was given: a microsecond cheaper.
    """
    return _compiled(function, tuple(typeof(argument) for argument in arguments))


@cache  # numba takes a quarter of a millisecond to find again what it has
def _compiled(function: Any, kinds: tuple[Any, ...]) -> Any:
    return function.compile(kinds)


def _unowned(_context, arrays):
    """Return a tuple of arrays whose references compiled code does not count.

    Counting is atomic, and a record takes hundreds of looks at arrays: it was a third of a step.
    """

    def make(context, builder, _signature, args):
        made = args[0]
        for i, kind in enumerate(arrays):
            view = context.make_array(kind)(context, builder, builder.extract_value(made, i))
            view.meminfo = cgutils.get_null_value(view.meminfo.type)
            made = builder.insert_value(made, view._getvalue(), i)
        return made

    return arrays(arrays), make


unowned: Any = intrinsic(_unowned)


def _digest() -> str:
    texts = (path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.blake2b(b"\0".join(texts), digest_size=8).hexdigest()


_SOURCES = _digest()


def entry(function: Any) -> Any:
    """Compile and cache a function that calls others of this folder."""
    function.__qualname__ += f"_{_SOURCES}"
    return cached(function)
