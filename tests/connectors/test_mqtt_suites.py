"""The MQTT connectors keep what the shipped suites ask of every source and sink."""

from __future__ import annotations

import pytest
from mqtt_tools import connected, make_sink, make_source

from streamlnn.pipeline.contract import Sink, Source
from streamlnn.pipeline.testing import SinkSuite, SourceSuite, payloads, read_all

PAYLOADS = [b"%d" % number for number in range(50)]


class TestMqttSource(SourceSuite):
    @pytest.fixture(autouse=True)
    def queued(self, broker) -> None:
        """The broker holds messages for a session that an earlier process began."""
        self.broker = broker
        with connected(broker, "a"):
            pass
        broker.publish_all([("a", payload) for payload in self.expected()])

    def make(self) -> Source:
        return make_source(self.broker.url, "a")

    def expected(self) -> list[bytes]:
        return PAYLOADS

    def test_connecting_twice_is_fine(self) -> None:
        """What came on the first connection is handed out, and once more as the broker repeats it.

        To drop it instead would lose it where the broker has forgotten it in between.
        """
        source = self.connected()
        source.connect(None)
        seen: list[bytes] = []
        while len(set(seen)) < len(PAYLOADS):
            seen += payloads(read_all(source, 1))
        assert list(dict.fromkeys(seen)) == PAYLOADS
        source.close()


class MqttSinkSuite(SinkSuite):
    @pytest.fixture(autouse=True)
    def collecting(self, broker) -> object:
        self.broker = broker
        with broker.collect("streamlnn/plant1/stream/#") as self.collector:
            yield

    def delivered(self) -> list[bytes]:
        return [message.payload for message in self.collector.wait(20)]


class TestMqttSinkOfItsOwn(MqttSinkSuite):
    def make(self) -> Sink:
        return make_sink(url=self.broker.url)


class TestMqttSinkViaASource(MqttSinkSuite):
    @pytest.fixture(autouse=True)
    def source(self, broker) -> object:
        with connected(broker, "a") as self.source:
            yield

    def make(self) -> Sink:
        return make_sink(self.source)
