"""The options of `[[sink]] kind = "homeassistant"`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from connectors.mqtt.settings import MqttSinkSettings, check_beginning


class HomeAssistantSettings(MqttSinkSettings):
    """As an mqtt sink's; `via` names the mqtt source whose broker is Home Assistant's, too."""

    kind: Literal["homeassistant"] = "homeassistant"  # type: ignore[assignment]
    id: str = "homeassistant"
    via: str = Field(default="", description="the id of the mqtt source whose broker to use")
    prefix: Annotated[str, AfterValidator(check_beginning)] = Field(
        default="homeassistant", description="where Home Assistant looks for devices"
    )
