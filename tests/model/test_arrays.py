"""Packed arrays come back as they were, or not at all."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlnn.errors import StateError
from streamlnn.model import arrays


def _sample() -> bytes:
    return arrays.pack(
        {"name": "pump", "levels": [1, 2.5, None]},
        {
            "weights": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4),
            "counts": np.array([1, -(2**60)], np.int64),
            "flags": np.array([True, False]),
            "none": np.zeros((0, 3)),
            "nan": np.array([np.nan, np.inf, -0.0]),
        },
    )


def test_what_was_packed_comes_back_with_dtype_shape_and_bits() -> None:
    """Meta and arrays survive, NaN and empty arrays too, and the arrays can be written to."""
    meta, found = arrays.unpack(_sample())
    assert meta == {"name": "pump", "levels": [1, 2.5, None]}
    assert {k: (v.dtype.name, v.shape) for k, v in found.items()} == {
        "weights": ("float32", (3, 4)),
        "counts": ("int64", (2,)),
        "flags": ("bool", (2,)),
        "none": ("float64", (0, 3)),
        "nan": ("float64", (3,)),
    }
    assert arrays.pack(meta, found) == _sample()
    found["weights"][0, 0] = 7.0


def test_slices_and_foreign_byte_orders_are_packed_by_value() -> None:
    """A strided or big-endian array comes back as the same numbers."""
    grid = np.arange(20.0).reshape(4, 5)
    _, found = arrays.unpack(arrays.pack({}, {"a": grid[::2, ::2], "b": grid.astype(">f8")}))
    np.testing.assert_array_equal(found["a"], grid[::2, ::2])
    np.testing.assert_array_equal(found["b"], grid)


def test_an_array_of_objects_is_refused() -> None:
    """What cannot be stored as plain numbers is named."""
    with pytest.raises(ValueError, match="'odd' is object"):
        arrays.pack({}, {"odd": np.array([None])})


@given(st.integers(min_value=0))
@settings(max_examples=200, deadline=None)
def test_a_file_cut_anywhere_is_refused(cut: int) -> None:
    """No prefix of a packed state is taken for one."""
    data = _sample()
    with pytest.raises(StateError):
        arrays.unpack(data[: cut % len(data)])


@given(st.integers(min_value=0), st.integers(min_value=0, max_value=7))
@settings(max_examples=300, deadline=None)
def test_a_flipped_bit_anywhere_is_noticed(position: int, bit: int) -> None:
    """Whichever bit turns, the state is refused."""
    data = bytearray(_sample())
    data[position % len(data)] ^= 1 << bit
    with pytest.raises(StateError):
        arrays.unpack(bytes(data))


def test_foreign_files_are_refused_by_their_beginning() -> None:
    """Something else of sufficient length is told by its first bytes."""
    with pytest.raises(StateError, match="begins with b'PK"):
        arrays.unpack(b"PK\x03\x04" + bytes(100))


@pytest.mark.parametrize(
    ("listing", "words"),
    [
        ([["x", "float64", [2**40]]], "larger than the file"),
        ([["x", "float64", [-1]]], "shape"),
        ([["x", "object", [1]]], "makes no sense"),
        ([["x", "float64"]], "makes no sense"),
        ([], "belong to no array"),
    ],
)
def test_a_well_sealed_lie_allocates_nothing(listing: list[object], words: str) -> None:
    """A header that promises more than the file holds is refused, checksum or not."""
    import json

    header = json.dumps({"meta": {}, "arrays": listing}).encode()
    body = bytes(8)
    data = arrays.MAGIC + struct.pack("<QQ", len(header), len(body)) + header + body
    with pytest.raises(StateError, match=words):
        arrays.unpack(data + arrays._digest(data))
