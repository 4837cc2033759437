"""What `doctor` can find out about a broker: by asking it, not by believing its configuration.

All is done by guests with ids of their own, on topics below `<base_topic>/<instance>/doctor/` that
the daemon never reads. A session that is needed for a while expires by itself should we be killed.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

from paho.mqtt.client import topic_matches_sub

from connectors.mqtt.client import random_id
from connectors.mqtt.guest import Guest
from connectors.mqtt.settings import BrokerSettings, MqttSinkSettings, MqttSourceSettings
from streamlnn.pipeline.contract import Context, Finding, NotConnected

PROBE_MESSAGES = 5_000
PROBE_SECS = 10.0
PROBE_EXPIRY_SECS = 60.0
ROUND_TRIPS = 20
QUIET_SECS = 0.5
SMALL_WINDOW = 100
SMALL_PACKET = 65_536
WHOLE_PACKET = 268_435_455
VERSION_TOPIC = "$SYS/broker/version"


def examine_source(settings: MqttSourceSettings, context: Context) -> Iterator[Finding]:
    """Yield what an MQTT source would meet at its broker."""
    try:
        with Guest(settings) as guest:
            yield from _reached(settings, guest)
            yield _round_trip(guest, _scratch("streamlnn", context))
        yield _expiry(settings)
        for topic in context.topics or settings.topics:
            yield _readable(settings, topic)
        yield from _queue(settings, context)
    except NotConnected as error:
        yield Finding("broker", "problem", str(error), "then run doctor again")


def examine_sink(settings: MqttSinkSettings, context: Context) -> Iterator[Finding]:
    """Yield what an MQTT sink would meet at its broker, or at that of the source it goes via."""
    via = context.connections.get(settings.via)
    broker: BrokerSettings = via.settings if via else settings
    topic = _scratch(settings.base_topic, context)
    try:
        with Guest(broker) as guest:
            if not via:
                yield from _reached(broker, guest)
            yield from _writable(guest, topic, f"{settings.base_topic}/{context.instance}/#")
            if not getattr(guest.granted, "RetainAvailable", True):
                yield _keeps(kept=False)
            else:
                yield _keeps(kept=_is_kept(broker, guest, f"{topic}/retained"))
    except NotConnected as error:
        if not via:
            yield Finding("broker", "problem", str(error), "then run doctor again")


def _scratch(base: str, context: Context) -> str:
    return f"{base}/{context.instance}/doctor/{random_id()}"


# What the broker says of itself


def _reached(settings: BrokerSettings, guest: Guest) -> Iterator[Finding]:
    kind = _kind(guest)
    said = f"{settings.url} answers, MQTT {guest.version}, {kind or 'kind unknown'}"
    if guest.version == "5":
        yield Finding("broker", "ok", said, value=kind or None)
    else:
        way_out = "use a broker of MQTT 5: an older one sends few messages at once"
        yield Finding("broker", "warning", said, way_out, kind or None)
    yield _privacy(settings)
    yield from _limits(guest)


def _kind(guest: Guest) -> str:
    if guest.subscribe(VERSION_TOPIC):
        return ""
    guest.listen(QUIET_SECS)
    told = [message.payload for message in guest.heard if message.topic == VERSION_TOPIC]
    return told[-1].decode(errors="replace") if told else ""


def _privacy(settings: BrokerSettings) -> Finding:
    address = settings.address
    if address.is_here:
        return Finding("privacy", "ok", "the broker is on this machine")
    if not address.secure:
        said = "the password and all values" if settings.username else "all values"
        way_out = "write mqtts:// or wss://, with tls.ca for a certificate of your own"
        return Finding("privacy", "warning", f"{said} cross the network unencrypted", way_out)
    if not settings.username and not settings.tls.cert:
        way_out = "set allow_anonymous false on the broker, here username and password_file"
        return Finding("privacy", "warning", "the broker lets in everybody", way_out)
    return Finding("privacy", "ok", "encrypted, with a name")


def _limits(guest: Guest) -> Iterator[Finding]:
    if guest.version != "5":
        return
    largest = getattr(guest.granted, "MaximumPacketSize", WHOLE_PACKET)
    said = f"up to {largest:,} bytes" if largest < WHOLE_PACKET else "of any size"
    small = largest < SMALL_PACKET
    yield Finding(
        "packets",
        "warning" if small else "ok",
        f"the broker takes packets {said}",
        "raise the broker's largest packet: a forecast of many fields may exceed it" * small,
        largest,
    )
    window = getattr(guest.granted, "ReceiveMaximum", 65_535)
    said = f"{window:,} of our messages may be under way to the broker at once"
    yield Finding("outgoing window", "ok", said, value=window)


def _round_trip(guest: Guest, topic: str) -> Finding:
    took = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        guest.subscribe(topic)
        took.append(time.perf_counter() - began)
    median = statistics.median(took)
    said = f"{median * 1e3:.1f} ms, the slowest of {ROUND_TRIPS} {max(took) * 1e3:.1f} ms"
    return Finding("round trip", "ok", said, value=median)


def _expiry(settings: MqttSourceSettings) -> Finding:
    """Ask for a session as long as the daemon's, and end it at once."""
    name, asked = random_id(), settings.session_expiry
    with Guest(settings, client_id=name, keep_secs=asked) as guest:
        granted = getattr(guest.granted, "SessionExpiryInterval", asked)
        version = guest.version
    with Guest(settings, client_id=name):
        pass
    if version != "5":
        return Finding("session", "ok", "is kept as long as the broker likes, in MQTT 3.1.1")
    if granted < asked:
        said = f"the broker forgets us after {granted:,.0f} s, we ask for {asked:,.0f} s"
        way_out = "raise the broker's longest session expiry, or lower session_expiry"
        return Finding("session", "warning", said, way_out, granted)
    return Finding("session", "ok", f"is kept for {asked:,.0f} s while we are away", value=granted)


# What this user may do


def _readable(settings: BrokerSettings, topic: str) -> Finding:
    with Guest(settings) as guest:
        refusal = guest.subscribe(topic)
    if refusal:
        said, way_out = f"{topic} is refused: {refusal}", f"let this user read {topic}"
        return Finding("subscription", "problem", said, way_out)
    return Finding("subscription", "ok", f"{topic} is granted")


def _writable(guest: Guest, topic: str, wanted: str) -> Iterator[Finding]:
    """Tell whether a message comes back that we publish where only the daemon writes."""
    unread = guest.subscribe(topic)
    refusal = guest.publish(topic, b"doctor")
    guest.listen(QUIET_SECS)
    way_out = f"let this user write {wanted}"
    if refusal:
        yield Finding("publishing", "problem", f"{topic} is refused: {refusal}", way_out)
    elif any(message.topic == topic for message in guest.heard):
        yield Finding("publishing", "ok", f"what is published on {topic} is delivered")
    elif guest.version == "5":
        said = f"{topic} was taken and did not come back{': ' + unread if unread else ''}"
        yield Finding("publishing", "ok", f"{said}; this user may not read it")
    else:
        said = "nothing came back: this user may not write, or may not read what it wrote"
        yield Finding("publishing", "warning", said, way_out)


def _is_kept(settings: BrokerSettings, guest: Guest, topic: str) -> bool | None:
    """Tell whether a retained message is there for who comes later; None: it is not to be seen."""
    if guest.publish(topic, b"doctor", retain=True):
        return None
    try:
        with Guest(settings) as later:
            if later.subscribe(topic):
                return None
            return later.listen(QUIET_SECS) > 0
    finally:
        guest.publish(topic, b"", retain=True)


def _keeps(*, kept: bool | None) -> Finding:
    if kept:
        return Finding("retained", "ok", "the broker keeps retained messages", value="kept")
    if kept is None:
        return Finding("retained", "ok", "not to be seen with the rights of this user")
    said = "no retained message came back: who comes later sees no state until the next one"
    way_out = "set retain_available true on the broker, or give this user read rights"
    return Finding("retained", "warning", said, way_out)


# What the broker keeps for a client that is away


class _Kept(NamedTuple):
    sent: int
    window: int
    delivered: int


def _queue(settings: MqttSourceSettings, context: Context) -> Iterator[Finding]:
    topic = _scratch("streamlnn", context)
    if any(topic_matches_sub(one, topic) for one in context.topics or settings.topics):
        said = "not tried: the daemon follows the topic on which it would be tried"
        yield Finding("queue", "warning", said, "follow fewer topics than everything")
        return
    with Guest(settings) as sender:
        refusal = sender.publish(topic, b"doctor")
        kept = None if refusal else _fill(settings, sender, topic)
    if kept is None or not kept.delivered:
        said = f"not tried: this user may not write and read {topic}"
        yield Finding("queue", "warning", said, "look at the broker's max_queued_messages")
        return
    yield _window(kept)
    yield _queue_limit(kept)


def _fill(settings: MqttSourceSettings, sender: Guest, topic: str) -> _Kept:
    """Leave, let others speak, come back: what was kept, and how much of it comes at once."""
    name, keep, most = random_id(), PROBE_EXPIRY_SECS, settings.receive_maximum
    try:
        with Guest(settings, client_id=name, keep_secs=keep) as away:
            away.subscribe(topic)
        said = [f"doctor {n}".encode() for n in range(PROBE_MESSAGES)]
        sent = sender.publish_all(topic, said, PROBE_SECS)
        with Guest(
            settings, client_id=name, keep_secs=keep, receive_maximum=most, holds=True
        ) as back:
            window = back.listen(QUIET_SECS)
            back.let_go()
            return _Kept(sent, window, back.listen(QUIET_SECS))
    finally:
        with Guest(settings, client_id=name):
            pass


def _window(kept: _Kept) -> Finding:
    least = "at least " if kept.window == kept.delivered else ""
    said = f"{least}{kept.window:,} messages come before the first is acknowledged"
    if kept.window >= SMALL_WINDOW:
        return Finding("window", "ok", said, value=kept.window)
    way_out = "MQTT 5 lets us choose it; for 3.1.1 set max_inflight_messages 1000 on the broker"
    return Finding("window", "warning", said, way_out, kept.window)


def _queue_limit(kept: _Kept) -> Finding:
    if kept.delivered >= kept.sent:
        said = f"at least {kept.delivered:,} messages are kept while we are away"
        return Finding("queue", "ok", said, value=kept.delivered)
    said = f"{kept.delivered:,} messages are kept while we are away, of {kept.sent:,}"
    way_out = "set max_queued_messages on the broker to the rate times the longest outage, or more"
    return Finding("queue", "warning", said, way_out, kept.delivered)
