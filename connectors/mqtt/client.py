"""Making a paho client and dialling the broker: what version, session and encryption ask for."""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors.mqtt.guarded import GuardedClient
from connectors.mqtt.settings import Address, BrokerSettings
from connectors.mqtt.wire import Wire

_REACH_SECS = 3.0
_KNOCK_SECS = 0.5
_LONGEST_EXPIRY = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Session:
    """Who we are to the broker, and for how many seconds it keeps our place (0: not at all)."""

    client_id: str
    keep_secs: float = 0.0
    receive_maximum: int = 65_535

    @property
    def clean(self) -> bool:
        """True when the broker shall forget us as soon as we are gone."""
        return self.keep_secs == 0


def random_id() -> str:
    """Return a client id that nobody else has, for a command beside the daemon."""
    return f"streamlnn-{secrets.token_hex(6)}"


def make_client(settings: BrokerSettings, session: Session, version: str) -> GuardedClient:
    """Return a client that is driven by hand and acknowledges nothing by itself.

    Raises `OSError` or `ValueError` for a file of the tls table that is no use, and `NotConnected`
    for a password's.
    """
    fresh = version == "5"
    client = GuardedClient(
        CallbackAPIVersion.VERSION2,
        session.client_id,
        clean_session=None if fresh else session.clean,
        protocol=MQTTProtocolVersion.MQTTv5 if fresh else MQTTProtocolVersion.MQTTv311,
        transport=settings.address.transport,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = _REACH_SECS
    equip(client, settings)
    return client


def dial(
    client: GuardedClient, settings: BrokerSettings, session: Session, version: str
) -> Wire | None:
    """Reach the broker, send CONNECT, and return the wire that the client is on from then on.

    None means that the broker hung up at once. Raises `OSError` or `ValueError`; blocks 3 s a step.
    """
    fresh = version == "5"
    client.connect(
        settings.address.host,
        settings.address.port,
        int(settings.keepalive),
        clean_start=session.clean if fresh else paho.MQTT_CLEAN_START_FIRST_ONLY,
        properties=_connect_properties(settings, session) if fresh else None,
    )
    sock = client.socket()
    if sock is None:
        return None
    _send_at_once(sock)
    client._sock = wire = Wire(sock, settings.max_packet_size)
    return wire


def is_listened_to(address: Address) -> bool:
    """Return whether anybody accepts connections at `address`; takes 0.5 s at most."""
    family = socket.AF_UNIX if address.transport == "unix" else socket.AF_INET
    try:
        if family == socket.AF_INET:
            socket.create_connection((address.host, address.port), _KNOCK_SECS).close()
        else:
            with socket.socket(family) as knocking:
                knocking.settimeout(_KNOCK_SECS)
                knocking.connect(address.host)
    except OSError:
        return False
    return True


def properties(packet_type: int, **values: object) -> Properties:
    """Return MQTT 5 properties with `values` set.

    >>> properties(PacketTypes.CONNECT, ReceiveMaximum=10).ReceiveMaximum
    10
    """
    made = Properties(packet_type)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def equip(client: paho.Client, settings: BrokerSettings) -> None:
    """Give a client what it needs to be let in. Raises as `make_client` does."""
    if settings.username:
        client.username_pw_set(settings.username, settings.secret())
    if settings.address.path:
        client.ws_set_options(settings.address.path)
    if settings.address.secure:
        client.tls_set_context(settings.tls.context())


def _connect_properties(settings: BrokerSettings, session: Session) -> Properties:
    made = properties(
        PacketTypes.CONNECT,
        ReceiveMaximum=session.receive_maximum,
        MaximumPacketSize=settings.max_packet_size,
    )
    if not session.clean:
        made.SessionExpiryInterval = min(int(session.keep_secs), _LONGEST_EXPIRY)
    return made


def _send_at_once(sock: Any) -> None:
    """Switch Nagle's algorithm off: with delayed acks it costs a third of the rate."""
    if getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
