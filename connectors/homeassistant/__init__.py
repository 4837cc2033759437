"""Home Assistant: every stream is a device, which appears by itself, through MQTT discovery.

Read `sink` first, then `discovery`, which says what a device consists of.
"""

from __future__ import annotations

from connectors.homeassistant.sink import HomeAssistantSink as HomeAssistantSink

__all__ = ["HomeAssistantSink"]
