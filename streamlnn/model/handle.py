"""One reference to many arrays, as compiled code takes it.

A numba `structref`, apart from how its fields are read: what is compiled here counts no references
(see `compiled`), and structref's own way of reading a field insists on counting.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
from __future__ import annotations

from typing import Any

from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.datamodel.registry import default_manager
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr

_DATA = 3
"""Which word of numba's record of some memory points at the memory: after the count of references
and two words of who sets it free."""


class HandleType(types.StructRef):
    """How numba sees one reference to many arrays."""

    def preprocess_fields(self, fields: Any) -> Any:
        """Forget what is only true of one array, so that one compilation serves all."""
        return tuple((name, types.unliteral(kind)) for name, kind in fields)


def _fields(context, builder, kind, value):
    memory = cgutils.create_struct_proxy(kind)(context, builder, value=value).meminfo
    words = builder.bitcast(memory, cgutils.voidptr_t.as_pointer())
    fields = kind.get_data_type()
    where = context.data_model_manager[fields].get_value_type().as_pointer()
    start = builder.load(cgutils.gep(builder, words, _DATA))
    start = builder.bitcast(start, where)
    return cgutils.create_struct_proxy(fields)(context, builder, ref=start)


def register(kind: Any) -> Any:
    """Let compiled code read the fields of handles of this type."""
    default_manager.register(kind, models.StructRefModel)

    @infer_getattr
    class Fields(AttributeTemplate):
        key = kind

        def generic_resolve(self, one, name):  # type: ignore[override]
            return one.field_dict.get(name)

    @lower_getattr_generic(kind)
    def read(context, builder, one, value, name):
        return getattr(_fields(context, builder, one, value), name)

    @lower_setattr_generic(kind)
    def write(context, builder, sig, args, name):
        one, given = sig.args
        fields = _fields(context, builder, one, args[0])
        setattr(fields, name, context.cast(builder, args[1], given, one.field_dict[name]))

    return kind
