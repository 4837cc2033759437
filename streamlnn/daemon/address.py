"""Addresses to listen at, as HOST:PORT."""

from __future__ import annotations

import re
from ipaddress import ip_address

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\s]+):(?P<port>\d{1,5})")


def split_address(text: object) -> tuple[str, int]:
    """Return host and port of "host:port" or "[v6]:port"; raises `ValueError` for anything else.

    >>> split_address("127.0.0.1:8642"), split_address("[::1]:8642")
    (('127.0.0.1', 8642), ('::1', 8642))
    """
    match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if match is None or int(match["port"]) > 65535:
        raise ValueError(
            f'{text!r} is no address; write HOST:PORT, such as "127.0.0.1:8642", or false'
        )
    return match["host"].strip("[]").lower(), int(match["port"])


def is_loopback(host: str) -> bool:
    """Tell whether a host, by number or as `localhost`, is this machine and no other reaches it.

    >>> is_loopback("127.9.9.9"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("plant")
    (True, True, False, False)
    """
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
