"""Named arrays to bytes and back: the form in which a model's state is stored. Never pickle.

Layout: 8 bytes of magic and version; the header's length and the body's length, 8 bytes each,
little-endian; the header, JSON: `meta` and a list of name, dtype and shape; the arrays' raw bytes,
little-endian, one after the other; 32 bytes of BLAKE2b over all that went before.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamlnn.errors import StateError

MAGIC = b"SLNN\x00\x00\x00\x01"
_LENGTHS = struct.Struct("<QQ")
_DIGEST = 32
_KINDS = {"bool": "|b1", "int8": "|i1", "int64": "<i8", "float32": "<f4", "float64": "<f8"}


def pack(meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return `meta` (anything JSON can say) and `arrays` as bytes.

    Raises `ValueError` for an array whose dtype is not bool, int8, int64, float32 or float64.

    >>> meta, arrays = unpack(pack({"a": 1}, {"x": np.arange(3.0)}))
    >>> meta, arrays["x"].tolist()
    ({'a': 1}, [0.0, 1.0, 2.0])
    """
    listing = [[name, _kind(name, a), list(a.shape)] for name, a in arrays.items()]
    header = json.dumps({"meta": meta, "arrays": listing}, allow_nan=False).encode()
    body = b"".join(
        np.ascontiguousarray(a, _KINDS[a.dtype.name]).tobytes() for a in arrays.values()
    )
    sealed = MAGIC + _LENGTHS.pack(len(header), len(body)) + header + body
    return sealed + _digest(sealed)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return what `pack` was given. The arrays are fresh and writable.

    Raises `StateError` that says what is wrong when `data` is anything but the whole, unchanged
    output of `pack`; nothing is allocated before the lengths and the checksum hold.
    """
    header, body = _opened(data)
    try:
        listing = [(str(name), str(kind), tuple(shape)) for name, kind, shape in header["arrays"]]
        return dict(header["meta"]), _cut(listing, body)
    except (KeyError, TypeError, ValueError) as error:
        raise StateError(f"saved state has a header that makes no sense: {error}") from error


def _kind(name: str, array: NDArray[Any]) -> str:
    if array.dtype.name not in _KINDS:
        raise ValueError(f"array {name!r} is {array.dtype}; only {', '.join(_KINDS)} can be packed")
    return str(array.dtype.name)


def _digest(data: bytes | memoryview) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def _opened(data: bytes) -> tuple[dict[str, Any], memoryview]:
    start = len(MAGIC) + _LENGTHS.size
    if len(data) < start + _DIGEST:
        raise StateError(f"saved state is cut short: {len(data)} bytes")
    if data[: len(MAGIC)] != MAGIC:
        raise StateError(
            f"not a saved state of this version: it begins with {data[:8]!r}; name a file that "
            "`state export` or, in Python, `Forecaster.save` wrote"
        )
    head, body = _LENGTHS.unpack_from(data, len(MAGIC))
    if start + head + body + _DIGEST != len(data):
        raise StateError(f"saved state is {len(data)} bytes, its header says otherwise")
    if _digest(memoryview(data)[:-_DIGEST]) != data[-_DIGEST:]:
        raise StateError("saved state is damaged: its checksum does not hold")
    return _header(data[start : start + head]), memoryview(data)[start + head : -_DIGEST]


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text)
    except ValueError as error:
        raise StateError(f"saved state has a header that is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise StateError("saved state has a header that is not an object")
    return header


def _cut(listing: list[tuple[str, str, tuple[int, ...]]], body: memoryview) -> dict[str, Any]:
    arrays, at = {}, 0
    for name, kind, shape in listing:
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"shape {shape} of {name!r}")
        dtype = np.dtype(_KINDS[kind])
        end = at + math.prod(shape) * dtype.itemsize
        if end > len(body):
            raise ValueError(f"{name!r} of shape {shape} is larger than the file")
        arrays[name] = (
            np.frombuffer(body[at:end], dtype).reshape(shape).astype(dtype.newbyteorder("="))
        )
        at = end
    if at != len(body):
        raise ValueError(f"{len(body) - at} bytes belong to no array")
    return arrays
