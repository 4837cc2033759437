"""The options of `[[sink]] kind = "homeassistant"`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from connectors.mqtt.settings import MqttSinkSettings
from connectors.mqtt.topics import is_topic


class HomeAssistantSettings(MqttSinkSettings):
    """As an mqtt sink's; `via` names the mqtt source whose broker is Home Assistant's, too."""

    kind: Literal["homeassistant"] = "homeassistant"  # type: ignore[assignment]
    id: str = "homeassistant"
    via: str = Field(default="", description="the id of the mqtt source whose broker to use")
    prefix: str = Field(
        default="homeassistant", description="where Home Assistant looks for devices"
    )

    @field_validator("prefix")
    @classmethod
    def _a_topic(cls, text: str) -> str:
        if not is_topic(text) or text.endswith("/") or text.startswith("$"):
            raise ValueError("prefix is a topic such as homeassistant, without wildcards")
        return text
