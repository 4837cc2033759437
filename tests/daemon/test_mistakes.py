"""What a newcomer gets wrong is told so that a newcomer understands it, whatever else is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from streamlnn.daemon.cli import cli

SOURCE = '[[source]]\nkind = "mqtt"\nid = "plant"\nurl = "mqtt://localhost:1883"\n'
STREAM = '[[stream]]\nfrom = "plant"\ntopic = "sensors/{device}"\nid = "{device}"\n'
WHOLE = SOURCE + STREAM
BEGIN = "`streamlnn init` writes one to begin with"
UNITS = "write a number and a unit (us, ms, s, m, min, h, d, w)"
SCHEMES = "a broker's url begins with mqtt, mqtts, ws, wss, unix, then ://"
TWO_BRACKETS = "write each key and table once, and [[source]], [[stream]], [[sink]] in two brackets"


def check(path: Path) -> Result:
    result = CliRunner().invoke(cli, ["check", str(path)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(folder: Path, text: str | bytes) -> list[str]:
    """What `check` says of a file that is wrong, without the file's name."""
    path = folder / "f.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    result = check(path)
    assert result.exit_code == 78
    assert result.stdout == ""
    return result.stderr.replace(f"{path}:", "").splitlines()


KEYS = {
    "the source's topics in a stream": (
        SOURCE + STREAM.replace("topic =", "topics ="),
        "7: stream.topics: unknown key; did you mean 'topic'? "
        "('topics' belongs in [[source]] of kind mqtt)",
    ),
    "a stream's topic in the source": (
        SOURCE + 'topic = "sensors/#"\n' + STREAM,
        "5: source.topic: unknown key; did you mean 'topics'? ('topic' belongs in [[stream]])",
    ),
    "a key of another program": (
        SOURCE + 'user = "me"\n' + STREAM,
        "5: source.user: unknown key; did you mean 'username'?",
    ),
    "a key in capitals": (
        WHOLE + "LEVEL = 0.9\n",
        "9: stream.LEVEL: unknown key; did you mean 'level'?",
    ),
    "a table in the plural": (
        SOURCE.replace("source", "sources") + STREAM,
        "1: sources: unknown table; did you mean [[source]]?",
    ),
    "a table of another program": (
        SOURCE.replace("source", "input") + STREAM,
        "1: input: unknown table; did you mean [[source]]?",
    ),
    "a stream's list above all tables": (
        'horizons = ["1m"]\n' + WHOLE,
        "1: horizons: unknown key; it belongs in [[stream]] (it stands before the first table)",
    ),
    "single brackets": (
        SOURCE + STREAM.replace("[[stream]]", "[stream]"),
        "5: stream: there may be several: write [[stream]], in two brackets",
    ),
    "a source without a kind, whose id is the stream's": (
        SOURCE.replace('kind = "mqtt"\nid = "plant"\n', "") + STREAM,
        "1: source.kind: missing; name one of mqtt, replay, stdin, tail",
    ),
    "a kind in capitals": (
        SOURCE.replace('"mqtt"', '"MQTT"') + STREAM,
        "2: source.kind: unknown source kind 'MQTT'; did you mean 'mqtt'? "
        "(installed: mqtt, replay, stdin, tail)",
    ),
}
VALUES = {
    "a url without its scheme": (
        SOURCE.replace("mqtt://", "") + STREAM,
        f"4: source.url: {SCHEMES}; did you mean mqtt://localhost:1883?",
    ),
    "a url of another program": (
        SOURCE.replace("mqtt://", "ssl://") + STREAM,
        f"4: source.url: {SCHEMES}; did you mean mqtts://localhost:1883?",
    ),
    "a url with a secret and no scheme": (
        SOURCE.replace("mqtt://", "me:s3cret@") + STREAM,
        f"4: source.url: {SCHEMES}",
    ),
    "a port that is none": (
        SOURCE.replace("1883", "18833333") + STREAM,
        "4: source.url: the port is a number up to 65535: write mqtt://localhost:1883",
    ),
    "half a pair of braces": (
        WHOLE.replace('{device}"\nid', '{device"\nid'),
        "7: stream.topic: braces come in pairs and hold a name: write {device}",
    ),
    "one horizon without a list": (
        WHOLE + 'horizons = "10s"\n',
        '9: stream.horizons: expected a list in [ ], not "10s"; '
        'write horizons = ["10s", "1m"] or [1, 12]',
    ),
    "horizons of both kinds": (
        WHOLE + 'horizons = [1, "10s"]\n',
        '9: stream.horizons: write all as samples (1, 12) or all as durations ("10s", "1m")',
    ),
    "horizons with a fraction": (
        WHOLE + "horizons = [1.5, 2]\n",
        "9: stream.horizons: expected a whole number, not 1.5; or expected text in quotes, not "
        '1.5; write horizons = ["10s", "1m"] or [1, 12]',
    ),
    "a duration in words": (
        WHOLE + 'horizons = ["10 seconds"]\n',
        f"9: stream.horizons: '10 seconds' is not a duration: {UNITS}; did you mean '10s'?",
    ),
    "a duration in capitals": (
        WHOLE + 'every = "5MS"\n',
        f"9: stream.every: '5MS' is not a duration: {UNITS}; did you mean '5ms'?",
    ),
    "a duration without a unit": (
        WHOLE + "every = 5\n",
        '9: stream.every: a duration is a string with a unit, such as "10s", not 5',
    ),
    "fields in a list": (
        WHOLE + 'fields = ["temp"]\n',
        '9: stream.fields: expected a table in { }, not ["temp"]; '
        'write fields = { temperature = "values.temp" }',
    ),
    "a time without a table": (
        WHOLE + 'time = "ts"\n',
        '9: stream.time: expected a table in { }, not "ts"; '
        'write time = { path = "ts", format = "unix_ms" }',
    ),
    "a time format of another program": (
        WHOLE + 'time = { path = "ts", format = "iso8601" }\n',
        "9: stream.time.format: 'iso8601' is no time format; did you mean 'rfc3339'? take one of "
        "auto, unix, unix_ms, unix_us, unix_ns, rfc3339 or a pattern such as %Y-%m-%d %H:%M:%S",
    ),
    "one limit": (
        WHOLE + "limits = { temp = 85 }\n",
        "9: stream.limits.temp: expected a list in [ ], not 85; "
        "write limits = { temperature = [-20, 85] }",
    ),
    "a level in percent": (
        WHOLE + "level = 90\n",
        "9: stream.level: this must be less than or equal to 0.9999, not 90; write level = 0.9",
    ),
    "encryption switched on": (
        SOURCE + "tls = true\n" + STREAM,
        "5: source.tls: expected a table in { }, not true; "
        'write tls = { ca = "/etc/streamlnn/ca.pem" }',
    ),
    "a name with a space": (
        '[daemon]\ninstance = "my plant"\n' + WHOLE,
        "2: daemon.instance: 'my plant' will stand in topics; take letters, digits, _ . and - "
        "only, such as 'my-plant'",
    ),
}
SYNTAX = {
    "text without quotes": (
        WHOLE.replace('"plant"', "plant"),
        '3: not TOML: Invalid value; text stands in quotes: id = "plant"',
    ),
    "a secret without quotes": (
        SOURCE + "password = s3cret\n" + STREAM,
        '5: not TOML: Invalid value; text stands in quotes: password = "..."',
    ),
    "a number with its unit": (
        WHOLE + "every = 5s\n",
        "9: not TOML: Expected newline or end of document after a statement; "
        'text stands in quotes: every = "5s"',
    ),
    "a quote that does not end": (
        WHOLE.replace('"plant"\nurl', '"plant\nurl'),
        '3: not TOML: A quote does not end; close it on the same line with "',
    ),
    "quotes of a text program": (
        WHOLE.replace('"plant"\nurl', "\u201cplant\u201d\nurl"),
        '3: not TOML: Invalid value; these quotes are of a text program: write straight ones, "',
    ),
    "a colon": (
        WHOLE.replace("id =", "id:", 1),
        "3: not TOML: Expected '=' after a key in a key/value pair; write = after a key, not a "
        "colon",
    ),
    "a path of Windows": (
        '[daemon]\ndata_dir = "C:\\Users\\me"\n' + WHOLE,
        "2: not TOML: Invalid hex value; a backslash begins an escape: write / in paths, or put "
        "the text in single quotes",
    ),
    "truth in capitals": (
        "[model]\nplasticity = True\n" + WHOLE,
        "2: not TOML: Invalid value; write it in small letters: plasticity = true",
    ),
    "a table on several lines": (
        WHOLE + 'fields = {\n  t = "temp",\n}\n',
        "9: not TOML: Invalid initial character for a key part; a table in { } stands on one "
        "line, without a comma at its end",
    ),
    "a bracket too few": (
        WHOLE.replace("[[stream]]", "[[stream]"),
        "5: not TOML: Expected ']]' at the end of an array declaration; close a table's name as "
        "it was opened: [daemon], [[source]], [[stream]]",
    ),
    "a table twice": (
        f'[daemon]\n{WHOLE}[daemon]\ninstance = "a"\n',
        f"10: not TOML: [daemon] stands twice; {TWO_BRACKETS}",
    ),
    "a key twice": (
        SOURCE + 'id = "b"\n' + STREAM,
        f"5: not TOML: A key stands twice; {TWO_BRACKETS}",
    ),
    "YAML": (
        "source:\n  - kind: mqtt\n    url: mqtt://localhost\n",
        "1: not TOML: Expected '=' after a key in a key/value pair; this looks like YAML, and a "
        f"configuration is TOML: {BEGIN}",
    ),
    "JSON": (
        '{"source": [{"kind": "mqtt"}]}\n',
        "1: not TOML: Invalid statement; this looks like JSON, and a configuration is TOML: "
        f"{BEGIN}",
    ),
    "nothing": ("", f"1: source: nothing stands here yet; {BEGIN}"),
    "comments": ("# to do\n", f"1: source: nothing stands here yet; {BEGIN}"),
    "UTF-16": (WHOLE.encode("utf-16"), "1: not UTF-8 text; save the file as UTF-8"),
}


@pytest.mark.parametrize("mistake", KEYS)
def test_a_name_that_is_wrong_is_told_with_the_right_one(tmp_path: Path, mistake: str):
    text, message = KEYS[mistake]
    assert told(tmp_path, text) == [message]


@pytest.mark.parametrize("mistake", VALUES)
def test_a_value_that_is_wrong_is_told_with_how_to_write_it(tmp_path: Path, mistake: str):
    text, message = VALUES[mistake]
    assert told(tmp_path, text) == [message]


@pytest.mark.parametrize("mistake", SYNTAX)
def test_a_file_that_is_no_toml_is_told_with_what_to_write_instead(tmp_path: Path, mistake: str):
    text, message = SYNTAX[mistake]
    assert told(tmp_path, text) == [message]


def test_an_address_in_two_keys_is_told_as_one_url(tmp_path: Path):
    text = SOURCE.replace('url = "mqtt://localhost:1883"', 'host = "localhost"\nport = 1883')
    assert told(tmp_path, text + STREAM) == [
        "1: source.url: missing; add url = ... (mqtt, mqtts, ws, wss or unix, then ://HOST:PORT)",
        "4: source.host: unknown key; did you mean 'url'?",
        "5: source.port: unknown key; did you mean 'url'?",
    ]


def test_mistakes_of_every_table_are_told_together(tmp_path: Path):
    text = (
        SOURCE.replace("mqtt://", "")
        + STREAM.replace("{device}", "{device", 1)
        + 'horizon = ["1m"]\n[daemon]\ninstance = "a b"\n'
    )
    assert [line.split(": ")[1] for line in told(tmp_path, text)] == [
        "source.url",
        "stream.topic",
        "stream.horizon",
        "daemon.instance",
    ]


def test_a_file_with_tabs_line_ends_of_windows_and_a_byte_order_mark_is_sound(tmp_path: Path):
    text = WHOLE.replace("id = ", "\tid\t=\t").replace("\n", "\r\n")
    (tmp_path / "f.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert check(tmp_path / "f.toml").exit_code == 0


def test_a_file_that_is_not_there_can_be_made(tmp_path: Path):
    path = tmp_path / "my f.toml"
    assert check(path).stderr == (
        f"{path}: cannot be read: No such file or directory; name another file, or make it: "
        f"streamlnn init -o '{path}'\n"
    )
    assert "cannot be read: Is a directory; name the file in it" in check(tmp_path).stderr


# What may be meant


def warnings(folder: Path, text: str, mode: int = 0o600) -> list[str]:
    path = folder / "f.toml"
    path.write_text(f'[daemon]\ndata_dir = "{folder}/data"\n{text}')
    path.chmod(mode)
    result = check(path)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.replace(f"{path}:", "").splitlines()
    return [line.removeprefix("warning   ") for line in lines if line.startswith("warning")]


LOGIN = SOURCE + 'username = "me"\npassword = "s3cret"\n' + STREAM


def test_a_password_that_all_can_read_is_warned_of(tmp_path: Path):
    assert warnings(tmp_path, LOGIN, 0o644) == [
        "8: source.password: everybody on this machine can read it (the file's mode is 0644); "
        f"chmod 600 {tmp_path}/f.toml if the daemon is its owner, else put it into a file: "
        "password_file (under systemd with LoadCredential)"
    ]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_password_that_is_kept_from_others_is_not(tmp_path: Path, mode: int):
    assert warnings(tmp_path, LOGIN, mode) == []


def test_a_password_of_the_environment_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    text = LOGIN.replace("s3cret", "${MQTT_PASSWORD}") + '[http]\ntoken = ""\n'
    assert warnings(tmp_path, text, 0o644) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            WHOLE.replace("localhost", "$BROKER_HOST"),
            "6: source.url: $BROKER_HOST is taken as it is; for the variable write ${BROKER_HOST}",
        ),
        (
            WHOLE + 'fields = { t = "$.values[0].temp" }\n',
            "11: stream.fields.t: '$.values[0].temp' is looked up as it is; a dotted path is "
            "meant: values.0.temp",
        ),
        (
            WHOLE.replace('id = "{device}"', 'id = "{site}/{device}"'),
            "10: stream.id: {site} is no level of the topic, so it is taken from the payload, and "
            "a message without 'site' is put aside",
        ),
        (
            WHOLE.replace("1883", "8883"),
            "source 'plant': mqtt://localhost:8883: port 8883 is that of encrypted connections: "
            "write mqtts://",
        ),
    ],
)
def test_what_is_seldom_meant_is_warned_of(tmp_path: Path, text: str, message: str):
    assert warnings(tmp_path, text) == [message]


def test_what_line_protocol_tells_in_every_payload_may_stand_in_an_id(tmp_path: Path):
    id_ = 'id = "{topic}/{_series}/{_measurement}"'
    text = WHOLE.replace('id = "{device}"', id_).replace(SOURCE, SOURCE + 'format = "influx"\n')
    assert warnings(tmp_path, text) == []
    (json_knows_none, _) = warnings(tmp_path, WHOLE.replace('id = "{device}"', id_))
    assert "{_series} is no level of the topic" in json_knows_none
    (tag,) = warnings(tmp_path, text.replace("{_series}", "{host}"))
    assert "{host} is no level of the topic" in tag
