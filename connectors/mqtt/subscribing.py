"""Asking the broker for topics, a few filters at a time, and judging what it grants."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from connectors.mqtt.connection import MqttConnection
from connectors.mqtt.guarded import GuardedClient

log = logging.getLogger("streamlnn.mqtt")

_RETAINED_ALWAYS = 0  # MQTT 5: retained messages at every subscription
_FILTERS_A_PACKET = 8  # some hosted brokers take no more


def subscribe(
    connection: MqttConnection, filters: Sequence[str], qos: int, retain_handling: int
) -> bool:
    """Subscribe, never to what this connection publishes, and wait for the broker's word.

    A broker that has kept our session may send all that it has queued before that word: False tells
    that this has to be taken first, and then `is_granted` asked. Raises `NotConnected` when a
    filter is refused or the broker is lost.
    """
    _ask(connection, filters, qos, retain_handling)
    return is_granted(connection, filters, qos)


def listen(connection: MqttConnection, filters: Sequence[str]) -> list[str]:
    """Subscribe at QoS 0 to what one can do without; return what the broker refuses.

    What it has retained comes, too. Raises `NotConnected` when the broker is lost.
    """
    answers = _ask(connection, filters, 0, _RETAINED_ALWAYS) or {}
    return [one for one, reason in answers.items() if reason.is_failure]


def is_granted(connection: MqttConnection, filters: Sequence[str], qos: int) -> bool:
    """Tell whether the broker has granted what `subscribe` asked for. Raises as that does."""
    grants = connection.answers()
    if grants is not None:
        _judge(connection, grants, filters, qos)
    return grants is not None


def unsubscribe(connection: MqttConnection, filters: Sequence[str]) -> None:
    """Have the broker forget subscriptions of an earlier life, and wait until it has."""
    answers = connection.request(
        _few(filters), lambda client, some: client.unsubscribe(list(some))[1]
    )
    for one, reason in (answers or {}).items():
        if reason.is_failure:
            log.warning(
                "%s: the broker keeps the subscription %r (%s)", connection.who, one, reason
            )


def _ask(
    connection: MqttConnection, filters: Sequence[str], qos: int, retain_handling: int
) -> dict[str, ReasonCode] | None:
    def ask(client: GuardedClient, some: Sequence[str]) -> int | None:
        if connection.version == "5":
            options = SubscribeOptions(qos, noLocal=True, retainHandling=retain_handling)
            return client.subscribe([(one, options) for one in some])[1]
        return client.subscribe([(one, qos) for one in some])[1]

    return connection.request(_few(filters), ask)


def _judge(
    connection: MqttConnection,
    grants: Mapping[str, ReasonCode],
    filters: Sequence[str],
    qos: int,
) -> None:
    for one in filters:
        if one not in grants:
            connection.give_up(f"the broker says nothing of the subscription {one!r}: see its log")
        elif grants[one].is_failure:
            connection.give_up(
                f"the broker refuses the subscription {one!r} ({grants[one]}): "
                "let this user read it, or correct topics"
            )
    if any(reason.value < qos for reason in grants.values()):
        log.warning("%s: the broker grants only QoS 0: messages may be lost", connection.who)


def _few(filters: Sequence[str]) -> list[tuple[str, ...]]:
    return [
        tuple(filters[start : start + _FILTERS_A_PACKET])
        for start in range(0, len(filters), _FILTERS_A_PACKET)
    ]
