"""Why a broker is out of reach, in words that say the way out."""

from __future__ import annotations

import socket
import ssl

from paho.mqtt.reasoncodes import ReasonCode

from connectors.mqtt.settings import Address

SESSION_TAKEN_OVER = 0x8E
UNSUPPORTED_VERSION = 0x84
NOT_NOW = frozenset([0x88, 0x89])
"""Refusals that pass by themselves and soon: it is starting, or busy."""

_REFUSALS = {
    UNSUPPORTED_VERSION: 'write version = "auto" or the version it speaks',
    0x85: "choose another client_id",
    0x86: "check username and password",
    0x87: "check username and password, and that this user may connect",
    0x88: "the broker is up but not ready: it is tried again",
    0x89: "the broker is busy: it is tried again",
    0x8A: "ask the broker's owner to unban this client",
    0x8C: "the broker wants another way to log in than a password",
    0x95: "lower max_packet_size",
    0x97: "the broker's limit of clients is reached: ask its owner",
    0x9A: "it keeps no retained messages, and our last will is one: use another broker",
    0x9B: "it takes no messages of QoS 1, and our last will is one: use another broker",
    0x9C: "write the other server's url",
    0x9D: "write the other server's url",
    0x9F: "the broker limits how often clients connect: it is tried again",
}


def why_not_reached(error: Exception, address: Address) -> str:
    """Say what kept the network from connecting, and what to do."""
    if isinstance(error, socket.gaierror):
        return f"the name {address.host!r} is not known: check the url and the name server"
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message
        return f"its certificate is not trusted ({said}): check the name in the url, set tls.ca"
    if isinstance(error, ssl.SSLError):
        return f"no encrypted connection ({error.reason}): check the port and the tls table"
    if address.secure and isinstance(error, ConnectionResetError):
        return "it hung up on the encryption: check the port and the tls table"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there: start the broker, or check host and port"
    if isinstance(error, BlockingIOError):
        return "nobody takes the calls at its socket: see whether the broker hangs"
    if isinstance(error, TimeoutError):
        return "no answer: check host and port, and the firewall between"
    return f"{error}: check the url"


def why_refused(reason: ReasonCode) -> str:
    """Say what the broker's answer to CONNECT means, and what to do."""
    return f"it answered {str(reason)!r}: {_REFUSALS.get(reason.value, 'see its log')}"


def why_lost(goodbye: ReasonCode | None, complaint: str, *, silent: bool, version: str) -> str:
    """Say why a connection ended: what the broker said, that it is silent, or what it did wrong."""
    if goodbye is not None:
        way_out = _REFUSALS.get(goodbye.value)
        return f"it hung up ({goodbye})" + (f": {way_out}" if way_out else "")
    if silent:
        return "there was no answer to our pings: the broker or the network stands still"
    what = complaint or "it sent something malformed"
    return f"{what}, which MQTT {version} does not allow: see its log"
