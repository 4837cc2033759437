"""Why a topic is left out of a proposal, in words for whoever reads it."""

from __future__ import annotations

import re
from collections.abc import Collection

from streamlnn.daemon.discovery.hearing import Topic
from streamlnn.daemon.discovery.payloads import is_diagnostic

KEPT = "kept by the broker from before, and nothing new came while we listened"
UNREADABLE = "neither a number nor JSON"
NO_NUMBER = "words and switches: no number to forecast"
SWITCHES = "switches and contacts: true and false are no number to forecast"
BATCHED = (
    "line protocol, as Telegraf writes it, but with several points in one payload, which are "
    'refused: let Telegraf publish each by itself, with layout = "non-batch" in its '
    '[[outputs.mqtt]], and listen again; a source with format = "influx" will read them'
)
DIAGNOSTIC = "how the device is (radio, battery, uptime), not what it measures"
OURS = "forecasts, which streamlnn itself publishes"
_ATTRIBUTE = "attributes of a Home Assistant entity; its state is what is measured"
_UNWRITTEN = "a name that is too long, or has braces or control characters in it"
_SPARKPLUG = "Sparkplug: protobuf, which no codec here reads; let a bridge republish it as JSON"
_BY_NAME = (
    (re.compile(r"\$.*"), "what the broker tells of itself"),
    (re.compile(r"spBv1\.0/.*"), _SPARKPLUG),
    (re.compile(r"streamlnn/[^/]+/(stream|streams|status|info|health)(/.*)?"), OURS),
    (re.compile(r"homeassistant/(.*/config|status)"), "announcements to Home Assistant"),
    (re.compile(r"[^/]+/bridge(/.*)?"), "what a bridge such as zigbee2mqtt tells of itself"),
    (re.compile(r"(cmnd|stat)/.*|.*/(set|get|cmd|command)(/.*)?"), "commands and their answers"),
    (re.compile(r".*[{}\x00-\x1f\x7f-\x9f].*|.{500,}", re.DOTALL), _UNWRITTEN),
)
_TELLING = ("last_changed", "last_updated", "friendly_name", "unit_of_measurement")


def reason(topic: Topic, measured: Collection[str], entities: Collection[str]) -> str | None:
    """Return why nothing can be forecast of a topic, or None.

    `measured` are the paths of its numbers without those that are times; `entities` are all that
    the function of that name finds.

    >>> reason(Topic("spBv1.0/plant/DDATA/edge", live=1), (), ()).split(":")[0]
    'Sparkplug'
    """
    by_name = next((why for shape, why in _BY_NAME if shape.fullmatch(topic.name)), None)
    if by_name:
        return by_name
    if not topic.live:
        return KEPT
    parent, _, level = topic.name.rpartition("/")
    if parent in entities and level != "state":
        return _ATTRIBUTE
    return _by_payload(topic, measured)


def entities(names: Collection[str]) -> set[str]:
    """Return the topics above `state` and its attributes, as Home Assistant's statestream has them.

    >>> entities(["ha/sensor/a/state", "ha/sensor/a/last_changed", "b/state"])
    {'ha/sensor/a'}
    """
    known = {*names}
    above = {name.removesuffix("/state") for name in names if name.endswith("/state")}
    return {one for one in above if any(f"{one}/{word}" in known for word in _TELLING)}


def _by_payload(topic: Topic, measured: Collection[str]) -> str | None:
    if topic.ours:
        return OURS
    if 2 * topic.unreadable > topic.looks:
        return UNREADABLE
    if topic.is_line_protocol:
        return _by_points(topic)
    if not measured:
        return _without_number(topic)
    if {*measured} == {"value"} and is_diagnostic(topic.name, "/"):
        return DIAGNOSTIC
    return None


def _by_points(topic: Topic) -> str | None:
    if not topic.points.alone:
        return BATCHED
    return None if topic.points.numeric else NO_NUMBER


def _without_number(topic: Topic) -> str:
    if topic.switches:
        return SWITCHES
    return DIAGNOSTIC if topic.diagnostic else NO_NUMBER
