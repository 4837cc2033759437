"""What MQTT allows as a topic and as a filter, so that no broker has to cut us off to tell."""

from __future__ import annotations

from functools import lru_cache

_MAX_BYTES = 65_535


def check_filter(text: str) -> str:
    """Return `text` when it is an MQTT filter that may be subscribed to.

    Raises `ValueError`, with the way out, when it is none, and for a shared subscription: the
    broker would deal the messages of one stream out to several readers.

    >>> check_filter("sensors/+/#")
    'sensors/+/#'
    """
    if text.startswith("$share/"):
        raise ValueError(
            f"{text!r} is a shared subscription, which would split a stream among readers; "
            "subscribe to the plain filter"
        )
    if not _is_text(text):
        raise ValueError(f"{text!r} cannot be an MQTT filter: it is empty, too long or not text")
    if not all(_is_level(level) for level in text.removesuffix("#").split("/")):
        raise ValueError(
            f"{text!r} is no MQTT filter: + stands alone between slashes, and # only at the end"
        )
    if text.endswith("#") and text != "#" and not text.endswith("/#"):
        raise ValueError(f"{text!r} is no MQTT filter: # stands alone after the last slash")
    return text


@lru_cache(maxsize=16_384)
def is_topic(text: str) -> bool:
    r"""Return whether a message can be published under `text`.

    Wildcards are refused by the standard; for a control character a broker may drop the client.

    >>> is_topic("a/b"), is_topic("a/+"), is_topic("a\x00")
    (True, False, False)
    """
    return _is_text(text) and "+" not in text and "#" not in text


def _is_level(level: str) -> bool:
    return "#" not in level and ("+" not in level or level == "+")


def _is_text(text: str) -> bool:
    return text != "" and _fits(text) and not any(_is_control(ord(letter)) for letter in text)


def _fits(text: str) -> bool:
    try:
        return len(text.encode()) <= _MAX_BYTES
    except UnicodeEncodeError:
        return False


def _is_control(code: int) -> bool:
    return (
        code < 0x20 or 0x7F <= code < 0xA0 or 0xFDD0 <= code <= 0xFDEF or (code & 0xFFFE) == 0xFFFE
    )
