"""MQTT in and out: `MqttSource` follows topics, `MqttSink` publishes what the pipeline tells.

A sink `via` a source shares its connection; the source's `read` and the sink's `flush` both drive
it. To read on: `source`, `sink`, `connection` (bytes move), `outgoing` (the window of what is not
confirmed), `client` (what paho is told), `settings`, and three helpers.
"""

from connectors.mqtt.sink import MqttSink
from connectors.mqtt.source import MqttSource

__all__ = ["MqttSink", "MqttSource"]
