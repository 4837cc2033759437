"""What every codec keeps."""

from __future__ import annotations

import json
from typing import Any

from streamlnn.errors import DecodeError
from streamlnn.pipeline.contract import Codec, Message


class CodecSuite:
    """What every codec keeps. Give it `make`; `message` if a payload alone is not enough."""

    def make(self) -> Codec:
        """Return a codec."""
        raise NotImplementedError

    def message(self, payload: bytes) -> Message:
        """Return a message that carries `payload`."""
        return Message("origin", payload, None)

    def test_any_bytes_give_a_tree_or_a_decode_error(self) -> None:
        """Whatever a payload holds, the answer is a tree of plain values or `DecodeError`."""
        from hypothesis import example, given, settings
        from hypothesis import strategies as some

        hostile = (
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b"1" * 5_000,
            b"1e999",
            b"NaN",
            b"\0",
            b"\xff",
        )
        codec = self.make()

        @settings(deadline=None)
        @given(some.binary() | some.text().map(str.encode) | _json_bytes(some))
        def holds(payload: bytes) -> None:
            _check_tree(codec, self.message(payload))

        for payload in hostile:
            holds = example(payload)(holds)
        holds()

    def test_the_same_payload_gives_the_same_tree(self) -> None:
        """A codec remembers nothing: what a payload means does not depend on those before it."""
        from hypothesis import given, settings
        from hypothesis import strategies as some

        used = self.make()

        @settings(deadline=None)
        @given(some.binary() | _json_bytes(some))
        def holds(payload: bytes) -> None:
            message = self.message(payload)
            assert _outcome(used, message) == _outcome(self.make(), message)

        holds()


def _json_bytes(some: Any) -> Any:
    leaves = some.none() | some.booleans() | some.integers() | some.floats() | some.text()
    trees = some.recursive(
        leaves, lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner)
    )
    return trees.map(lambda tree: json.dumps(tree).encode())


def _outcome(codec: Codec, message: Message) -> str:
    try:
        return repr(codec.decode(message))
    except DecodeError as error:
        return f"DecodeError: {error}"


def _check_tree(codec: Codec, message: Message) -> None:
    try:
        nodes = [codec.decode(message)]
    except DecodeError:
        return
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            assert all(isinstance(key, str) for key in node)
            nodes.extend(node.values())
        elif isinstance(node, list):
            nodes.extend(node)
        else:
            assert node is None or isinstance(node, bool | int | float | str), node
            assert not isinstance(node, float) or abs(node) < float("inf"), node
