"""What the options of the MQTT connectors accept, and what they say to what they do not."""

from __future__ import annotations

import doctest
import json

import pytest
from pydantic import ValidationError

from connectors.mqtt import client, settings, source, topics
from connectors.mqtt.settings import Address, MqttSinkSettings, MqttSourceSettings
from connectors.mqtt.topics import check_filter, is_topic

URL = "mqtt://localhost"


def problem(settings: type, **options: object) -> str:
    with pytest.raises(ValidationError) as caught:
        settings(**options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://h", Address("tcp", False, "h", 1883)),
        ("mqtts://h:1", Address("tcp", True, "h", 1)),
        ("mqtt://[::1]:1884", Address("tcp", False, "::1", 1884)),
        ("ws://h/path", Address("websockets", False, "h", 80, "/path")),
        ("wss://h", Address("websockets", True, "h", 443)),
        ("unix:///run/m.sock", Address("unix", False, "/run/m.sock", 1)),
    ],
)
def test_an_address_is_read(url, expected):
    assert Address.parse(url) == expected


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("localhost:1883", "begins with mqtt"),
        ("http://h", "begins with mqtt"),
        ("mqtt://", "names no host"),
        ("unix://run", "names no socket"),
        ("mqtt://u:secret@h", "password_file"),
        ("mqtt://h:99999", "the port is a number up to 65535: write mqtt://h:1883"),
        ("mqtts://h:port", "write mqtts://h:8883"),
        ("ssl://h:8883", "did you mean mqtts://h:8883?"),
        ("u:secret@h", "begins with mqtt"),
    ],
)
def test_a_bad_address_is_told_and_not_repeated(url, hint):
    text = problem(MqttSourceSettings, url=url)
    assert hint in text
    assert "secret" not in text


def test_qos_2_is_refused_with_the_reason():
    assert "QoS 2 would lose" in problem(MqttSourceSettings, url=URL, qos=2)


def test_a_password_is_in_no_message_and_no_repr():
    settings = MqttSourceSettings(url=URL, username="u", password="hunter2")
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
    text = problem(MqttSourceSettings, url=URL, password="hunter2", qos="hunter2")
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"password": "x", "username": "u", "password_file": "/f"}, "keep one of them"),
        ({"password": "x"}, "add username"),
        ({"tls": {"ca": "/ca"}}, "mqtts or wss"),
        ({"url": "mqtts://h", "tls": {"cert": "/c"}}, "belong together"),
        ({"keepalive": "0s"}, "between 1s"),
        ({"session_expiry": "0s"}, "queues nothing"),
        ({"keepalive": 30}, "string with a unit"),
        ({"topics": ["a/#/b"]}, "# only at the end"),
        ({"topics": ["$share/g/a"]}, "shared subscription"),
        ({"retained": "maybe"}, "ignore"),
        ({"surprise": 1}, "not permitted"),
    ],
)
def test_a_source_says_what_does_not_fit(options, hint):
    assert hint in problem(MqttSourceSettings, **{"url": URL, **options})


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({}, "give either via"),
        ({"via": "plant", "url": URL}, "give either via"),
        ({"via": "plant", "username": "u"}, "username: belongs to the source"),
        ({"url": URL, "base_topic": "a/#"}, "without wildcards"),
        ({"url": URL, "base_topic": "a/"}, "without wildcards"),
        ({"url": URL, "qos": 2}, "0 or 1"),
    ],
)
def test_a_sink_says_what_does_not_fit(options, hint):
    assert hint in problem(MqttSinkSettings, **options)


def test_defaults_are_those_of_the_documentation():
    settings = MqttSourceSettings(url=URL)
    assert (settings.version, settings.qos, settings.retained) == ("auto", 1, "ignore")
    assert (settings.keepalive, settings.session_expiry) == (30.0, 7 * 86400.0)
    assert (settings.receive_maximum, settings.format) == (4096, "json")
    assert MqttSinkSettings(via="plant").base_topic == "streamlnn"


@pytest.mark.parametrize("settings", [MqttSourceSettings, MqttSinkSettings])
def test_the_json_schema_can_be_made(settings):
    schema = json.dumps(settings.model_json_schema())
    assert "keepalive" in schema


@pytest.mark.parametrize("text", ["#", "+", "a/#", "+/a/+", "/", "a//b", "$SYS/#"])
def test_a_filter_is_accepted(text):
    assert check_filter(text) == text


@pytest.mark.parametrize("text", ["", "a#", "#/a", "a+/b", "a/+b", "a\0", "x" * 65536, "a/#/#"])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(ValueError, match="filter"):
        check_filter(text)


@pytest.mark.parametrize("text", ["", "a/+", "#", "\x1f", "\x7f", "\ufdd0", "\U0001ffff", "\ud800"])
def test_what_cannot_be_published_under_is_no_topic(text):
    assert not is_topic(text)


@pytest.mark.parametrize(
    "module",
    [source, client, settings, topics],
)
def test_examples_in_docstrings_hold(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
