"""The JSON Schema of a whole configuration, for editors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from streamlnn.daemon.tables import SINGLE, installed
from streamlnn.pipeline.settings import StreamSettings


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12), with the tables of every installed connector."""
    tables: dict[str, list[type[BaseModel]]] = {
        **{name: [model] for name, model in SINGLE.items()},
        "source": [model for _, model in installed("source")],
        "stream": [StreamSettings],
        "sink": [model for _, model in installed("sink")],
    }
    every = [model for models in tables.values() for model in models]
    found, definitions = models_json_schema([(model, "validation") for model in every])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "streamlnn configuration",
        "type": "object",
        "additionalProperties": False,
        "required": ["source", "stream"],
        "properties": {
            name: _table(name, [found[model, "validation"] for model in models])
            for name, models in tables.items()
        },
        **definitions,
    }


def _table(name: str, kinds: list[dict[str, Any]]) -> dict[str, Any]:
    if name in SINGLE:
        return kinds[0]
    return {"type": "array", "items": {"anyOf": kinds}}
