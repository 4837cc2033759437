"""What Home Assistant is told of a stream, so that it makes a device of it.

One sensor for each target and horizon; for each target whether it is odd, and how much; for the
stream whether it drifts, and its status. Each is a template into the stream's state message. The
form is that of MQTT discovery by device, of Home Assistant 2024.11 and later.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from streamlnn.pipeline.contract import ahead

_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
_MAKER, _MODEL = "streamlnn", "online forecaster"


class _Target(msgspec.Struct):
    unit: str = ""


class State(msgspec.Struct):
    """So much of a stream's state message as says what the stream consists of."""

    stream: str
    clock: str
    h: list[float]
    targets: dict[str, _Target]


class Component(NamedTuple):
    """One entity: its platform, and its options."""

    platform: str
    options: dict[str, Any]


def device_id(instance: str, stream: str) -> str:
    """Return the id of a stream's device, of letters, digits, - and _.

    What is changed for that is told apart by a hash.

    >>> device_id("plant1", "pump7"), device_id("plant1", "north/pump7")
    ('streamlnn_plant1_pump7', 'streamlnn_plant1_north_pump7_009d5f')
    """
    return f"{beginning(instance)}{_plain(stream)}"


def beginning(instance: str) -> str:
    """Return what the ids of all devices of an instance begin with."""
    return f"streamlnn_{_plain(instance)}_"


def _plain(name: str) -> str:
    made = _NO_ID.sub("_", name)
    if made == name:
        return made
    return f"{made}_{hashlib.sha256(name.encode()).hexdigest()[:6]}"


def device(
    state: State, instance: str, version: str, *, status_topic: str, state_topic: str
) -> dict[str, Any]:
    """Return the discovery message of one stream's device.

    It is available while the daemon is online, and the stream has not fallen silent.
    """
    own_id = device_id(instance, state.stream)
    return {
        "device": {
            "identifiers": [own_id],
            "name": state.stream,
            "manufacturer": _MAKER,
            "model": _MODEL,
            "sw_version": version,
        },
        "origin": {"name": "streamlnn", "sw_version": version},
        "availability": [
            {"topic": status_topic},
            {
                "topic": state_topic,
                "value_template": "{{ 'offline' if value_json.stale else 'online' }}",
            },
        ],
        "availability_mode": "all",
        "state_topic": state_topic,
        "qos": 1,
        "components": {
            name: {"platform": one.platform, "unique_id": f"{own_id}_{name}", **one.options}
            for name, one in components(state, state_topic)
        },
    }


def components(state: State, state_topic: str) -> Iterator[tuple[str, Component]]:
    """Yield the entities of a stream by name; a name stays the same for the same thing."""
    for m, (target, about) in enumerate(state.targets.items()):
        name = _plain(target)
        for k, h in enumerate(state.h):
            said = f"{target} in {ahead(h, state.clock)}"
            yield f"{name}_in_{_number(h)}", _forecast(said, about, m, k, state_topic)
        yield f"{name}_anomaly", _anomaly(target, m)
        yield f"{name}_score", _score(target, m)
    yield "drift", _drift()
    yield "status", _status()


def _number(h: float) -> str:
    """Return a horizon as part of an id, each another one.

    >>> _number(10.0), _number(0.5), _number(1234567.0)
    ('10', '0_5', '1234567')
    """
    return (str(int(h)) if h == int(h) else repr(h)).replace(".", "_")


def without(old: Mapping[str, str], new: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Return what takes away the components of before, by name and platform, that are no more."""
    return {name: {"platform": platform} for name, platform in old.items() if name not in new}


def _target(m: int) -> str:
    # By its place: the name of a target can be anything, quotes and braces among it.
    return f"(value_json.targets.values() | list)[{m}]"


def _forecast(said: str, about: _Target, m: int, k: int, state_topic: str) -> Component:
    there = _target(m)
    options: dict[str, Any] = {
        "name": said,
        "value_template": f"{{{{ {there}.yhat[{k}] }}}}",
        "state_class": "measurement",
        "suggested_display_precision": 2,
        "json_attributes_topic": state_topic,
        "json_attributes_template": (
            f"{{{{ dict(lower={there}.yhat_lower[{k}], upper={there}.yhat_upper[{k}], "
            "level=value_json.level, made=value_json.time) | tojson }}"
        ),
    }
    if about.unit:
        options["unit_of_measurement"] = about.unit
    return Component("sensor", options)


def _anomaly(target: str, m: int) -> Component:
    template = f"{{{{ 'ON' if {_target(m)}.anomaly else 'OFF' }}}}"
    return Component(
        "binary_sensor",
        {"name": f"{target} anomaly", "device_class": "problem", "value_template": template},
    )


def _score(target: str, m: int) -> Component:
    return Component(
        "sensor",
        {
            "name": f"{target} anomaly score",
            "entity_category": "diagnostic",
            "state_class": "measurement",
            "suggested_display_precision": 3,
            "value_template": f"{{{{ {_target(m)}.score }}}}",
        },
    )


def _drift() -> Component:
    return Component(
        "binary_sensor",
        {
            "name": "drift",
            "device_class": "problem",
            "value_template": "{{ 'ON' if value_json.status == 'drifting' else 'OFF' }}",
        },
    )


def _status() -> Component:
    return Component(
        "sensor",
        {
            "name": "status",
            "entity_category": "diagnostic",
            "device_class": "enum",
            "options": ["warming", "ok", "drifting"],
            "value_template": "{{ value_json.status }}",
        },
    )
