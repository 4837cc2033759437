"""What the MQTT sink publishes, where, and when it counts as delivered."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from brokers import wait_until
from fake_broker import PUBLISH, FakeBroker
from mqtt_tools import Reader, connect_again, connected, make_sink, make_source

from connectors.mqtt import MqttSink
from connectors.mqtt.settings import MqttSinkSettings
from streamlnn.errors import ConfigError
from streamlnn.pipeline.contract import Context, NotConnected, Output

BASE = "streamlnn/plant1"
IDENTITY = {"instance": "plant1", "stream": "a/b", "epoch": "0", "seq": "5"}


@pytest.fixture
def source(broker):
    with connected(broker) as source:
        yield source


@pytest.fixture
def sink(source):
    sink = make_sink(source)
    source.connect(None)  # the last will goes with the connection
    sink.connect()
    return sink


def by_topic(messages) -> dict:
    return {message.topic: message for message in messages}


def flush_for_ever(sink) -> None:
    wait_until(lambda: sink.flush(0.1) < 0, "the sink to notice")


def test_every_kind_goes_to_its_topic(broker, sink):
    kinds = ["status", "info", "health", "streams"]
    of_a_stream = ["state", "forecast", "event"]
    with broker.collect(f"{BASE}/#") as collector:
        sink.write([Output(kind, kind.encode()) for kind in kinds])
        sink.write([Output(kind, kind.encode(), "north/pump 7", lsn=1) for kind in of_a_stream])
        sink.flush(5)
        came = by_topic(collector.wait(7))
    assert {topic: one.payload.decode() for topic, one in came.items()} == {
        **{f"{BASE}/{kind}": kind for kind in kinds},
        **{f"{BASE}/stream/north/pump 7/{kind}": kind for kind in of_a_stream},
    }


def test_state_of_things_is_retained_and_forecasts_are_not(broker, sink):
    for kind in ("status", "info", "health", "streams"):
        sink.write([Output(kind, b"{}")])
    for kind in ("state", "forecast", "event"):
        sink.write([Output(kind, b"{}", "a")])
    sink.flush(5)
    with broker.collect(f"{BASE}/#") as collector:
        broker.publish(f"{BASE}/end", b"")
        collector.wait(6)
        retained = {one.topic: one.qos for one in collector.messages if one.retain}
    assert retained == {
        f"{BASE}/status": 1,
        f"{BASE}/info": 1,
        f"{BASE}/health": 1,
        f"{BASE}/streams": 1,
        f"{BASE}/stream/a/state": 0,
    }


def test_the_state_of_a_stream_need_not_be_retained(broker, source):
    sink = make_sink(source, retain_state=False)
    sink.connect()
    with broker.collect(f"{BASE}/#") as live:
        sink.write([Output("state", b"{}", "a")])
        sink.flush(5)
        live.wait(1)
    with broker.collect(f"{BASE}/#") as late:
        broker.publish(f"{BASE}/end", b"")
        assert not late.wait(1)[0].retain


def test_a_forecasts_identity_travels_as_user_properties(broker, sink):
    with broker.collect(f"{BASE}/#") as collector:
        sink.write([Output("forecast", b"{}", "a/b", lsn=1, identity=IDENTITY)])
        sink.flush(5)
        (message,) = collector.wait(1)
    assert dict(message.properties.UserProperty) == IDENTITY
    assert message.qos == 1


def test_only_durable_outputs_count_as_delivered(sink):
    sink.write([Output("forecast", b"1", "a", lsn=1), Output("state", b"{}", "a")])
    sink.write([Output("info", b"{}"), Output("event", b"2", "a", lsn=1)])
    assert sink.flush(5) == 2
    sink.write([Output("forecast", b"3", "a", lsn=2)])
    assert sink.flush(5) == 3
    assert sink.flush(0) == 3


def test_thousands_of_outputs_arrive_in_order(broker, sink):
    with broker.collect(f"{BASE}/stream/#") as collector:
        sink.write([Output("forecast", b"%d" % lsn, "a", lsn=lsn) for lsn in range(3000)])
        assert sink.flush(30) == 3000
        payloads = [int(one.payload) for one in collector.wait(3000)]
    assert payloads == list(range(3000))


@pytest.mark.parametrize("stream", ["a/+", "#", "nul\0", "control\x07", "\ud800", "\uffff"])
def test_an_id_that_is_no_topic_is_counted_and_does_not_stall(broker, sink, caplog, stream):
    with broker.collect(f"{BASE}/#") as collector:
        sink.write([Output("forecast", b"1", stream, lsn=1), Output("event", b"2", stream, lsn=1)])
        sink.write([Output("forecast", b"3", "good", lsn=2)])
        assert sink.flush(5) == 3
        assert [one.payload for one in collector.wait(1)] == [b"3"]
    assert sum(sink.stats["refused"].values()) == 2
    assert caplog.text.count("cannot be an MQTT topic") == 1


def test_an_output_too_large_for_the_broker_is_dropped_and_told(make_broker, caplog):
    broker = make_broker("max_packet_size 2000")
    sink = make_sink(url=broker.url)
    sink.connect()
    sink.write([Output("forecast", b"x" * 2000, "a", lsn=1), Output("forecast", b"x", "a", lsn=2)])
    assert sink.flush(5) == 2
    assert "larger than the broker accepts" in caplog.text
    sink.close()


def test_what_was_too_large_once_is_told_again_when_it_fits(make_broker):
    broker = make_broker("max_packet_size 2000")
    sink = make_sink(url=broker.url)
    sink.connect()
    with broker.collect(f"{BASE}/streams") as collector:
        for payload in (b"x" * 2000, b"fits"):
            sink.write([Output("streams", payload)])
            sink.flush(5)
        assert [one.payload for one in collector.wait(1)] == [b"fits"]
    assert sum(sink.stats["refused"].values()) == 1
    sink.close()


def test_a_confirmation_that_never_comes_ends_the_connection():
    """The broker answers all but the first: waiting longer helps nobody, a new connection does."""
    with FakeBroker() as broker:
        sink = make_sink(url=broker.url)
        sink.connect()
        sink.connection.settings = sink.settings.model_copy(update={"keepalive": 0.1})
        sink.write([Output("forecast", b"%d" % n, "a", lsn=n) for n in (1, 2, 3)])
        broker.wait(PUBLISH, 3)
        for packet in [one for one in broker.packets if one.kind == PUBLISH][1:]:
            at = 2 + int.from_bytes(packet.body[:2], "big")
            broker.send(0x40, packet.body[at : at + 2])
        with pytest.raises(NotConnected, match="confirmed newer messages for 0 s but not an older"):
            flush_for_ever(sink)


def test_closing_leaves_offline_behind(broker, source, sink):
    sink.write([Output("status", b"online")])
    sink.flush(5)
    with broker.collect(f"{BASE}/status") as collector:
        assert collector.wait(1)[0].payload == b"online"
        sink.close()
        source.close()
        assert [one.payload for one in collector.wait(2)] == [b"online", b"offline"]
    with broker.collect(f"{BASE}/status") as collector:
        assert collector.wait(1)[0].retain


def test_a_killed_process_is_offline(broker):
    script = f"""
import sys
sys.path[:0] = {json.dumps([path for path in sys.path if path])}
from mqtt_tools import make_sink, make_source
from streamlnn.pipeline.contract import Output
source = make_source({broker.url!r}, "a")
sink = make_sink(source)
source.connect(None)
sink.connect()
sink.write([Output("status", b"online")])
sink.flush(10)
sys.stdin.read()
"""
    with broker.collect(f"{BASE}/status") as collector:
        process = subprocess.Popen([sys.executable, "-P", "-c", script], stdin=subprocess.PIPE)
        assert collector.wait(1)[0].payload == b"online"
        process.kill()
        process.communicate()
        assert collector.wait(2)[1].payload == b"offline"


def test_a_command_beside_the_daemon_does_not_touch_its_status(broker):
    broker.publish(f"{BASE}/status", b"online", retain=True)
    sink = make_sink(url=broker.url, daemon=False)
    sink.connect()
    sink.write([Output("status", b"offline"), Output("forecast", b"{}", "a", lsn=1)])
    assert sink.flush(5) == 1
    sink.close()
    with broker.collect(f"{BASE}/status") as collector:
        assert collector.wait(1)[0].payload == b"online"


def test_what_was_not_confirmed_is_published_on_the_next_connection(broker, source, sink):
    sink.write([Output("status", b"online"), Output("forecast", b"1", "a", lsn=1)])
    assert sink.flush(5) == 1
    broker.kill()
    Reader(source).until_lost()
    sink.write([Output("forecast", b"2", "a", lsn=2), Output("forecast", b"3", "a", lsn=3)])
    assert sink.flush(0.05) == 1
    broker.start()
    with broker.collect(f"{BASE}/#") as collector:
        connect_again(source, None)
        assert sink.flush(5) == 3
        came = [(one.topic, one.payload) for one in collector.wait(3)]
    assert came == [
        (f"{BASE}/stream/a/forecast", b"2"),
        (f"{BASE}/stream/a/forecast", b"3"),
        (f"{BASE}/status", b"online"),  # the new broker does not know it, the old one's will did
    ]


def test_via_a_source_it_waits_for_the_source(broker):
    source = make_source(broker.url, "a")
    sink = make_sink(source)
    sink.connect()
    sink.write([Output("forecast", b"1", "a", lsn=1)])
    assert sink.flush(0.01) == 0
    source.connect(None)
    assert sink.flush(5) == 1
    source.close()


def test_flushing_keeps_what_comes_in_for_the_source(broker):
    with connected(broker, "a") as source:
        sink = make_sink(source)
        sink.connect()
        broker.publish_all([("a", str(i)) for i in range(1500)])
        for lsn in range(20):
            sink.write([Output("forecast", b"1", "b", lsn=lsn)])
            sink.flush(5)
        reader = Reader(source)
        reader.until_count(1500)
        assert [int(one) for one in reader.payloads] == list(range(1500))


def test_with_its_own_url_it_says_so_when_the_broker_is_gone(broker):
    sink = make_sink(url=broker.url)
    sink.connect()
    sink.write([Output("forecast", b"1", "a", lsn=1)])
    assert sink.flush(5) == 1
    broker.kill()
    with pytest.raises(NotConnected, match=broker.url):
        flush_for_ever(sink)
    with pytest.raises(NotConnected, match="lost"):
        sink.write([Output("forecast", b"2", "a", lsn=2)])
    with pytest.raises(NotConnected, match="start the broker"):
        sink.connect()
    broker.start()
    sink.connect()
    sink.write([Output("forecast", b"2", "a", lsn=2)])
    assert sink.flush(5) == 1
    sink.close()


def test_via_something_that_is_no_mqtt_source_is_a_configuration_error():
    with pytest.raises(ConfigError, match="via = 'logs' is no mqtt source"):
        MqttSink(MqttSinkSettings(via="logs"), Context(connections={"logs": object()}))


def test_two_sinks_on_one_source_are_a_configuration_error(source):
    make_sink(source)
    with pytest.raises(ConfigError, match="url of its own"):
        make_sink(source, base_topic="other")


def test_an_instance_that_is_no_topic_is_a_configuration_error():
    with pytest.raises(ConfigError, match="instance 'a#b'"):
        MqttSink(MqttSinkSettings(url="mqtt://localhost"), Context(instance="a#b"))
