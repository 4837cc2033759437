"""Which fields of a proposal are worth forecasting, and in which unit they are where that is known.

A field that is no target is learned from all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from streamlnn.daemon.discovery.payloads import plain
from streamlnn.daemon.discovery.vocabulary import QUANTITIES, SECONDARY

_ZIGBEE = {
    "temperature": "°C", "devicetemperature": "°C", "humidity": "%", "soilmoisture": "%",
    "pressure": "hPa", "illuminance": "lx", "illuminancelux": "lx", "co2": "ppm", "pm25": "µg/m³",
    "power": "W", "current": "A", "energy": "kWh",
}  # fmt: skip
_TASMOTA_ENERGY = {
    "power": "W", "apparentpower": "VA", "reactivepower": "var", "voltage": "V", "current": "A",
    "frequency": "Hz", "total": "kWh", "today": "kWh", "yesterday": "kWh",
}  # fmt: skip


def targets(fields: Mapping[str, str], still: Collection[str]) -> list[str] | None:
    """Return the names of the fields to forecast, or None for all of them.

    `fields` are paths by name. Counters and what follows from other fields are left out, and the
    paths that stood `still` while heard, unless they are quantities: a room's temperature stands
    still for minutes.

    >>> targets({"power": "ENERGY.Power", "total": "ENERGY.Total", "mode": "mode"}, {"mode"})
    ['power']
    """
    words = {name: plain(path.rpartition(".")[2]) for name, path in fields.items()}
    found = [
        name
        for name, word in words.items()
        if word not in SECONDARY and (word in QUANTITIES or fields[name] not in still)
    ]
    return found if 0 < len(found) < len(fields) else None


def units(topic: str, fields: Mapping[str, str]) -> dict[str, str]:
    """Return units by the name of the field, of senders whose units never differ.

    >>> units("zigbee2mqtt/{room}", {"temperature": "temperature", "angle": "angle"})
    {'temperature': '°C'}
    """
    told = {name: _unit(topic.split("/")[0].lower(), path, fields) for name, path in fields.items()}
    return {name: unit for name, unit in told.items() if unit}


def _unit(sender: str, path: str, fields: Mapping[str, str]) -> str | None:
    above, _, last = path.rpartition(".")
    if sender == "zigbee2mqtt" and not above:
        # A battery's voltage is in mV; that of a socket stands beside its power.
        return "V" if last == "voltage" and "power" in fields.values() else _ZIGBEE.get(plain(last))
    if sender == "tele" and above == "ENERGY":
        return _TASMOTA_ENERGY.get(plain(last))
    if sender == "tele" and last == "Humidity":
        return "%"
    return None
