"""The configuration is read as it is written, and all that is wrong with it is told at once."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from streamlnn.daemon.config import Config, load, loads
from streamlnn.daemon.lines import key_lines, line_of
from streamlnn.daemon.schema import config_schema
from streamlnn.daemon.tables import homes
from streamlnn.daemon.topics import meet
from streamlnn.errors import ConfigError

SAMPLE = Path(__file__).parents[2] / "docker" / "pipeline.toml"

BROKER = """
[[source]]
kind = "mqtt"
id = "plant"
url = "mqtt://localhost"
"""
STREAM = """
[[stream]]
topic = "sensors/{device}"
id = "{device}"
"""
WHOLE = BROKER + STREAM
FOLDERS = """
[[source]]
kind = "tail"
id = "north"
paths = ["/north/*.csv"]
[[source]]
kind = "tail"
id = "south"
paths = ["/south/*.csv"]
"""


def stream(topic: str, id_: str, more: str = "") -> str:
    return f'[[stream]]\ntopic = "{topic}"\nid = "{id_}"\n{more}\n'


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loads(text, "f.toml")
    return caught.value.problems


# What is read


def test_the_smallest_configuration_needs_a_source_and_a_stream_and_has_all_defaults():
    config = loads(WHOLE)
    assert isinstance(config, Config)
    assert config.daemon.instance == "streamlnn"
    assert config.daemon.snapshot_every == 3600.0
    assert config.daemon.keep == 86400.0
    assert config.daemon.max_size == 2_000_000_000
    assert (config.daemon.log.level, config.daemon.log.format) == ("info", "text")
    assert config.http.listen == "127.0.0.1:8642"
    assert (config.model.units, config.model.seed, config.model.dtype) == (100, 1, "float32")


def test_without_a_sink_forecasts_go_out_where_the_samples_came_in():
    (sink,) = loads(WHOLE).sinks
    assert (sink.kind, sink.settings.via) == ("mqtt", "plant")


def test_without_a_broker_and_a_sink_forecasts_go_to_stdout():
    (sink,) = loads('[[source]]\nkind = "stdin"\n[[stream]]\n').sinks
    assert sink.kind == "stdout"


def test_an_mqtt_sink_goes_via_the_only_broker():
    (sink,) = loads(WHOLE + '[[sink]]\nkind = "mqtt"').sinks
    assert sink.settings.via == "plant"


def test_a_source_without_an_id_is_called_after_its_kind():
    text = '[[source]]\nkind = "stdin"\n[[source]]\nkind = "stdin"\n'
    config = loads(text + '[[stream]]\nfrom = "stdin"\nid = "a"\n[[stream]]\nfrom = "stdin-2"')
    assert [source.id for source in config.sources] == ["stdin", "stdin-2"]
    assert [source.settings.id for source in config.sources] == ["stdin", "stdin-2"]


def test_a_stream_reads_from_the_only_source_there_is():
    config = loads(WHOLE)
    assert config.streams_of("plant") == list(config.streams)
    assert config.filters("plant") == ("sensors/+",)


def test_data_is_kept_in_the_state_directory_of_the_user(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert loads(WHOLE).daemon.data_dir == Path("/state/streamlnn")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert loads(WHOLE).daemon.data_dir == Path("/home/me/.local/state/streamlnn")
    assert loads('[daemon]\ndata_dir = "~/d"' + WHOLE).daemon.data_dir == Path("/home/me/d")


def test_variables_in_strings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SITE", "north")
    monkeypatch.setenv("EMPTY", "")
    text = """[daemon]
instance = "${SITE}-${EMPTY:-a}${NO_SUCH:-b}${EMPTY}"
[[source]]
kind = "mqtt"
url = "mqtt://localhost"
username = "cost$$5 $5 $${SITE}"
[[stream]]
topic = "sensors/{device}"
"""
    config = loads(text)
    assert config.daemon.instance == "north-ab"
    assert config.sources[0].settings.username == "cost$5 $5 ${SITE}"


@pytest.mark.parametrize("off", ["false", '""'])
def test_http_can_be_turned_off(off: str):
    assert loads(f"[http]\nlisten = {off}" + WHOLE).http.listen == ""


@pytest.mark.parametrize("listen", ["localhost:1", "[::1]:1", "127.9.9.9:0"])
def test_an_address_of_this_machine_needs_no_token(listen: str):
    assert loads(f'[http]\nlisten = "{listen}"' + WHOLE).http.listen == listen


def test_the_token_is_read_from_its_file_and_never_shown(tmp_path: Path):
    file = tmp_path / "token"
    file.write_text("s3cret\n")
    file.chmod(0o600)
    http = loads(f'[http]\nlisten = "0.0.0.0:1"\ntoken_file = "{file}"' + WHOLE).http
    assert http.secret() == "s3cret"
    shown = loads('[http]\nlisten = "0.0.0.0:1"\ntoken = "s3cret"' + WHOLE)
    assert shown.http.secret() == "s3cret"
    assert "s3cret" not in repr(shown)


@pytest.mark.parametrize("content", [None, "\n", b"\xff\xfe"])
def test_a_token_that_cannot_be_read_is_a_configuration_error(tmp_path: Path, content: Any):
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(0o600)
    http = loads(f'[http]\ntoken_file = "{file}"' + WHOLE).http
    with pytest.raises(ConfigError, match=r"http.token_file: .*token.*(; name|is empty|UTF-8)"):
        http.secret()


def test_a_command_that_brings_its_own_input_needs_no_source():
    config = loads("[[stream]]\nhorizons = [1, 2]", live=False)
    assert config.sources == ()
    assert config.streams[0].horizons == [1, 2]
    assert loads("", live=False).streams == ()


def test_a_file_is_read_with_any_line_ends_and_a_byte_order_mark(tmp_path: Path):
    file = tmp_path / "f.toml"
    file.write_bytes(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    config = load(file)
    assert config.path == file
    assert config.sources[0].id == "plant"


def test_the_sample_configuration_is_sound_and_names_every_table(monkeypatch: pytest.MonkeyPatch):
    for name in ("STREAMLNN_INSTANCE", "STREAMLNN_TOKEN", "STREAMLNN_LISTEN", "MQTT_URL"):
        monkeypatch.delenv(name, raising=False)
    config = load(SAMPLE)
    assert [source.kind for source in config.sources] == ["mqtt", "tail"]
    assert [len(config.streams_of(source.id)) for source in config.sources] == [1, 1]
    assert tomllib.loads(SAMPLE.read_text()).keys() == config_schema()["properties"].keys()


def test_the_sample_configuration_serves_others_once_it_has_a_token(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("STREAMLNN_LISTEN", "0.0.0.0:8642")
    with pytest.raises(ConfigError, match="has no token"):
        load(SAMPLE)
    monkeypatch.setenv("STREAMLNN_TOKEN", "s3cret")
    assert load(SAMPLE).http.secret() == "s3cret"


# What is wrong

NO_DURATION = "is not a duration: write a number and a unit (us, ms, s, m, min, h, d, w)"

TWINS = (
    "f.toml:{line}: stream.id: another [[stream]] has the id '{id}', so both can name one stream, "
    "which would be fed twice; put into the id what tells them apart, as in '{apart}'"
)
FIELDS = ["a", *(f"f{number}" for number in range(32))]
EXCESS = "nested too deeply, or a name or number too long; no setting needs it: take it out"
MISTAKES = {
    "a typo in a key": (
        '[daemon]\ninstanc = "x"' + WHOLE,
        "f.toml:2: daemon.instanc: unknown key; did you mean 'instance'?",
    ),
    "a key in the wrong table": (
        '[daemon]\nlisten = "127.0.0.1:1"' + WHOLE,
        "f.toml:2: daemon.listen: unknown key; it belongs in [http]",
    ),
    "a stream's key in the source": (
        BROKER + "horizons = [1]" + STREAM,
        "f.toml:6: source.horizons: unknown key; it belongs in [[stream]]",
    ),
    "a key of another kind of source": (
        BROKER.replace("url", "paths = []\nurl") + STREAM,
        "f.toml:5: source.paths: unknown key; it belongs in [[source]] of kind tail",
    ),
    "a key nobody knows": (
        "[model]\nzzz = 1" + WHOLE,
        "f.toml:2: model.zzz: unknown key; the keys here are units, seed, dtype, plasticity",
    ),
    "a missing key of an inline table": (
        WHOLE + "time = {}",
        "f.toml:10: stream.time.path: missing; add path = ...",
    ),
    "too many fields, one of which has a telling name": (
        WHOLE + "fields = { " + ", ".join(f'{name} = "x"' for name in FIELDS) + " }",
        "f.toml:10: stream.fields: a stream has 1 to 32 fields, not 33",
    ),
    "certificates that do not fit together": (
        BROKER.replace("mqtt:", "mqtts:") + 'tls = { ca = "", cert = "/c" }' + STREAM,
        "f.toml:6: source.tls.cert: cert and key belong together: give both or none",
    ),
    "a typo in an inline table": (
        WHOLE + 'time = { pth = "ts", path = "ts" }',
        "f.toml:10: stream.time.pth: unknown key; did you mean 'path'?",
    ),
    "a key before the first table": (
        'instance = "x"' + WHOLE,
        "f.toml:1: instance: unknown key; it belongs in [daemon] "
        "(it stands before the first table)",
    ),
    "a typo in a table": (
        "[modle]" + WHOLE,
        "f.toml:1: modle: unknown table; did you mean [model]?",
    ),
    "one bracket for two": (
        '[source]\nkind = "stdin"\n[[stream]]',
        "f.toml:1: source: there may be several: write [[source]], in two brackets",
    ),
    "two brackets for one": (
        "[[daemon]]" + WHOLE,
        "f.toml:1: daemon: there is one only: write [daemon], in single brackets",
    ),
    "an unknown kind": (
        '[[source]]\nkind = "mqt"\n[[stream]]\ntopic = "a"',
        "f.toml:2: source.kind: unknown source kind 'mqt'; did you mean 'mqtt'? "
        "(installed: mqtt, replay, stdin, tail)",
    ),
    "an unknown format": (
        BROKER + 'format = "cvs"' + STREAM,
        "f.toml:6: source.format: unknown codec kind 'cvs'; did you mean 'csv'? "
        "(installed: csv, influx, json)",
    ),
    "no kind": (
        '[[source]]\nurl = "mqtt://localhost"\n[[stream]]\ntopic = "a"',
        "f.toml:1: source.kind: missing; name one of mqtt, replay, stdin, tail",
    ),
    "a missing key": (
        '[[source]]\nkind = "mqtt"\n[[stream]]\ntopic = "a"',
        "f.toml:1: source.url: missing; add url = ... "
        "(mqtt, mqtts, ws, wss or unix, then ://HOST:PORT)",
    ),
    "a number for a duration": (
        "[daemon]\nkeep = 24" + WHOLE,
        'f.toml:2: daemon.keep: a duration is a string with a unit, such as "10s", not 24',
    ),
    "a duration in an unknown unit": (
        '[daemon]\nkeep = "3 fortnights"' + WHOLE,
        f"f.toml:2: daemon.keep: '3 fortnights' {NO_DURATION}",
    ),
    "a horizon in an unknown unit": (
        WHOLE + 'horizons = ["10s", "1x"]',
        f"f.toml:10: stream.horizons: '1x' {NO_DURATION}",
    ),
    "no time between snapshots": (
        '[daemon]\nsnapshot_every = "0s"' + WHOLE,
        'f.toml:2: daemon.snapshot_every: this must be greater than 0, not "0s"',
    ),
    "a size without a unit": (
        "[daemon]\nmax_size = 2000" + WHOLE,
        'f.toml:2: daemon.max_size: a size is a string with a unit, such as "2GB", not 2000',
    ),
    "a size in an unknown unit": (
        '[daemon]\nmax_size = "2 parsecs"' + WHOLE,
        "f.toml:2: daemon.max_size: '2 parsecs' is not a size: write a number and a unit, "
        'such as "2GB"',
    ),
    "text for a number": (
        '[model]\nunits = "many"' + WHOLE,
        'f.toml:2: model.units: expected a whole number, not "many"',
    ),
    "a word that is not among those known": (
        '[daemon]\nlog = { level = "warn" }' + WHOLE,
        "f.toml:2: daemon.log.level: expected 'debug', 'info', 'warning' or 'error', not \"warn\"; "
        "did you mean 'warning'?",
    ),
    "a name that no topic can hold": (
        '[daemon]\ninstance = "a/b"' + WHOLE,
        "f.toml:2: daemon.instance: 'a/b' will stand in topics; take letters, digits, _ . and - "
        "only, such as 'a-b'",
    ),
    "an address without a port": (
        '[http]\nlisten = "localhost"' + WHOLE,
        "f.toml:2: http.listen: 'localhost' is no address; write HOST:PORT, such as "
        '"127.0.0.1:8642", or false',
    ),
    "an open door": (
        '[http]\nlisten = "0.0.0.0:8642"' + WHOLE,
        "f.toml:2: http.listen: 0.0.0.0:8642 can be reached from other machines and has no token; "
        "give token_file, or listen on 127.0.0.1",
    ),
    "a token given twice": (
        '[http]\ntoken = "s3cret"\ntoken_file = "/t"' + WHOLE,
        "f.toml:3: http.token_file: token and token_file are both given; keep one of them",
    ),
    "a password given twice": (
        BROKER + 'username = "u"\npassword = "s3cret"\npassword_file = "/p"' + STREAM,
        "f.toml:7: source.password: password and password_file are both given: keep one of them",
    ),
    "QoS 2": (
        BROKER + "qos = 2" + STREAM,
        "f.toml:6: source.qos: QoS 2 would lose what was not yet stored when the process is "
        "killed: write qos = 1, which loses nothing and repeats at worst",
    ),
    "a variable that is not set": (
        '[daemon]\ninstance = "${NO_SUCH_VARIABLE}x"' + WHOLE,
        "f.toml:2: daemon.instance: the environment variable NO_SUCH_VARIABLE is not set; set it, "
        "or give a default: ${NO_SUCH_VARIABLE:-...}",
    ),
    "a variable that does not end": (
        '[daemon]\ninstance = "${HOME"' + WHOLE,
        "f.toml:2: daemon.instance: '${HOME' is no variable; write ${NAME}, or $$ for a literal $",
    ),
    "two sources of one name": (
        BROKER + BROKER + STREAM + 'from = "plant"',
        "f.toml:9: source.id: two sources are called 'plant'; give each its own id",
    ),
    "a stream that does not say where from": (
        BROKER + '[[source]]\nkind = "stdin"' + STREAM + '[[stream]]\nfrom = "stdin"\nid = "a"',
        "f.toml:8: stream.from: missing, and there are several sources; name one of plant, stdin",
    ),
    "a stream from nowhere": (
        BROKER + STREAM + 'from = "plnt"',
        "f.toml:10: stream.from: no [[source]] is called 'plnt'; did you mean 'plant'?",
    ),
    "a source that nobody reads": (
        BROKER + '[[source]]\nkind = "stdin"' + STREAM + 'from = "plant"',
        "f.toml:6: source: nothing reads from 'stdin'; add a [[stream]] with from = \"stdin\"",
    ),
    "no source": (
        STREAM,
        'f.toml:1: source: missing; add a [[source]] table with kind = "mqtt" and its url',
    ),
    "no stream": (
        BROKER,
        "f.toml:1: stream: missing; add a [[stream]] table that says what to follow",
    ),
    "a sink via nowhere": (
        WHOLE + '[[sink]]\nkind = "mqtt"\nvia = "plnt"',
        "f.toml:12: sink.via: no [[source]] is called 'plnt'; did you mean 'plant'?",
    ),
    "a sink via something else": (
        WHOLE
        + 'from = "plant"\n[[source]]\nkind = "stdin"\n[[stream]]\nfrom = "stdin"\nid = "a"\n'
        + '[[sink]]\nkind = "mqtt"\nvia = "stdin"',
        "f.toml:18: sink.via: the source 'stdin' is of kind stdin, which cannot publish; "
        "name one of plant",
    ),
    "a stream of a broker without a topic": (
        BROKER + '[[stream]]\nid = "a"',
        "f.toml:6: stream.topic: missing; 'plant' is a broker: add topic = \"sensors/{device}\"",
    ),
    "a topic for a file": (
        '[[source]]\nkind = "tail"\npaths = ["/a/*.csv"]\n[[stream]]\ntopic = "a"',
        "f.toml:5: stream.topic: 'tail' follows files, which have no topics; leave it out",
    ),
    "a shared subscription": (
        BROKER + '[[stream]]\ntopic = "$share/g/sensors/{device}"',
        "f.toml:7: stream.topic: a shared subscription would split one stream over several "
        "subscribers; leave out $share/GROUP/ and give each daemon topics of its own",
    ),
    "a name that stands twice in a topic": (
        BROKER + '[[stream]]\ntopic = "{a}/{a}"',
        "f.toml:7: stream.topic: the name {a} stands twice; give each level its own name",
    ),
    "a name of a level that is no name": (
        BROKER + '[[stream]]\ntopic = "{a b}"',
        "f.toml:7: stream.topic: {a b} is no name; take letters, digits and _ only",
    ),
    "a rest that is not the last level": (
        BROKER + '[[stream]]\ntopic = "{rest...}/a"',
        "f.toml:7: stream.topic: '#' and {name...} may only be the last level of a topic",
    ),
    "a level that is named in part": (
        BROKER + '[[stream]]\ntopic = "a/b+/c"',
        "f.toml:7: stream.topic: '+', '#' and {name} stand for whole levels; put nothing else "
        "between the slashes",
    ),
    "one stream fed by several topics": (
        BROKER + '[[stream]]\ntopic = "{site}/{device}/{field}"\nid = "{device}"',
        "f.toml:8: stream.id: '{device}' lacks {site} and {field}, so several topics would feed "
        "one stream; put it into the id",
    ),
    "one stream fed by a wildcard": (
        BROKER + '[[stream]]\ntopic = "sensors/+"\nid = "all"',
        "f.toml:8: stream.id: 'all' is one stream, but 'sensors/+' is many topics; name the "
        "levels, as in {device}, and put the names into the id",
    ),
    "one id in two tables": (
        WHOLE + '[[stream]]\ntopic = "actors/{device}"\nid = "{device}"',
        TWINS.format(line=12, id="{device}", apart="other-{device}"),
    ),
    "one topic in two tables": (
        BROKER + '[[stream]]\ntopic = "sensors/#"\n[[stream]]\ntopic = "sensors/{device}"',
        TWINS.format(line=8, id="{topic}", apart="other-{topic}"),
    ),
    "one id in two tables but for the variable's name": (
        BROKER + stream("s/{a}/x", "{a}") + stream("t/{b}/x", "{b}"),
        TWINS.format(line=12, id="{a}", apart="other-{b}"),
    ),
    "one id of the topics of two brokers": (
        BROKER
        + BROKER.replace("plant", "office")
        + stream("s/{a}", "{a}", 'from = "plant"')
        + stream("s/{a}", "{a}", 'from = "office"'),
        TWINS.format(line=17, id="{a}", apart="office-{a}"),
    ),
    "one topic of two brokers": (
        BROKER
        + BROKER.replace("plant", "office")
        + '[[stream]]\ntopic = "s/{a}"\nfrom = "plant"\n'
        + '[[stream]]\ntopic = "s/#"\nfrom = "office"\n',
        TWINS.format(line=14, id="{topic}", apart="office-{topic}"),
    ),
    "files of one name in two folders": (
        FOLDERS + '[[stream]]\nfrom = "north"\n[[stream]]\nfrom = "south"\n',
        TWINS.format(line=12, id="{stem}", apart="south-{stem}"),
    ),
    "columns of two folders": (
        FOLDERS + '[[stream]]\nfrom = "north"\nid = "{pump}"\n'
        '[[stream]]\nfrom = "south"\nid = "{device}"\n',
        TWINS.format(line=15, id="{pump}", apart="south-{device}"),
    ),
    "a topic that the source does not hear": (
        BROKER + 'topics = ["actors/#"]' + STREAM,
        "f.toml:8: stream.topic: no filter among the topics of 'plant' lets it in; add it there, "
        "or leave topics out: they are derived from the streams",
    ),
    "a target that is no field": (
        WHOLE + 'fields = { temp = "t" }\ntargets = ["tmp"]',
        "f.toml:11: stream.targets: 'tmp' is no field of this stream; did you mean 'temp'?",
    ),
    "a limit of what is no field": (
        WHOLE + 'fields = { temp = "t" }\nlimits = { x = [0, 1] }',
        "f.toml:11: stream.limits: 'x' is no field of this stream; the fields are temp",
    ),
    "limits the wrong way round": (
        WHOLE + "limits = { temp = [85, -20] }",
        "f.toml:10: stream.limits: 'temp' runs from 85 to -20; write the lower one first",
    ),
    "seasons of another kind than the horizons": (
        WHOLE + 'horizons = [1, 12]\nseasons = ["1d"]',
        "f.toml:11: stream.seasons: write seasons and horizons alike: both as durations or both as "
        "samples",
    ),
    "TOML that ends too soon": (
        BROKER + "topics = [",
        "f.toml:6: not TOML: Invalid value; write key = value, text in quotes: "
        'listen = "127.0.0.1:8642"',
    ),
    "TOML without quotes": (
        "[http]\nlisten = localhost:1\n",
        'f.toml:2: not TOML: Invalid value; text stands in quotes: listen = "localhost:1"',
    ),
    "brackets without end": ("\n\nx = " + 5_000 * "[", f"f.toml:3: {EXCESS}"),
    "lists in lists in lists": (
        "[model]\nunits = " + 200 * "[" + 200 * "]" + WHOLE,
        f"f.toml:2: {EXCESS}",
    ),
    "tables in tables in tables": (
        "[model]\n" + 5_000 * "a = {" + 5_000 * "}" + WHOLE,
        f"f.toml:2: {EXCESS}",
    ),
    "a key of very many names": ("a." * 3_000 + "a = 1" + WHOLE, f"f.toml:1: {EXCESS}"),
    "a number that is far too long": (
        "[model]\nunits = " + 5_000 * "1" + WHOLE,
        f"f.toml:2: {EXCESS}",
    ),
    "another number that is far too long": (
        "[model]\nunits = 0x" + 5_000 * "1" + WHOLE,
        f"f.toml:2: {EXCESS}",
    ),
    "TOML with a table twice": (
        "[http]\n[daemon]\n[http]\n",
        "f.toml:3: not TOML: [http] stands twice; write each key and table once, and "
        "[[source]], [[stream]], [[sink]] in two brackets",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_the_way_out_and_nothing_else_is(mistake: str):
    text, message = MISTAKES[mistake]
    assert problems(text) == [message]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = """[daemon]
keep = 1
[[source]]
kind = "mqtt"
id = "plant"
url = "http://localhost"
qos = 3
[[source]]
kind = "tial"
[[stream]]
from = "plant"
topic = "a/{b}"
id = "x"
level = 2
[[stream]]
from = "plan"
topic = "c"
[[sink]]
kind = "jsonl"
[http]
listen = 8642
"""
    found = problems(text)
    places = [message.split(": ")[0] + ": " + message.split(": ")[1] for message in found]
    assert places == [
        "f.toml:2: daemon.keep",
        "f.toml:6: source.url",
        "f.toml:7: source.qos",
        "f.toml:9: source.kind",
        "f.toml:13: stream.id",
        "f.toml:14: stream.level",
        "f.toml:16: stream.from",
        "f.toml:18: sink.path",
        "f.toml:21: http.listen",
    ]


def test_a_wrong_key_does_not_hide_what_is_wrong_with_the_others():
    """Only what the wrong key itself decides has to wait until it is put right."""
    text = (
        BROKER
        + stream("a/{b}/{b}", "x", 'from = "plnt"\nhorizons = [3, 1]\nseasons = ["1d"]')
        + stream("a/{b}", "{b}", "nonsense = 1\nfields = { t = 't' }\ntargets = ['u']")
        + stream("c/{d}", "{d}", "level = 2")
        + '[[sink]]\nkind = "mqtt"\nvia = "plnt"\nqos = 7\n'
    )
    assert [problem.split(": ")[1] for problem in problems(text)] == [
        "stream.topic",
        "stream.from",
        "stream.horizons",
        "stream.nonsense",
        "stream.targets",
        "stream.id",
        "stream.level",
        "sink.via",
        "sink.qos",
    ]


@pytest.mark.parametrize(
    "text",
    [
        BROKER + stream("s/{a}", "s-{a}") + stream("t/{a}", "t-{a}"),
        BROKER + stream("s/{a}", "{a}") + stream("t/{a}/{b}", "{a}/{b}"),
        BROKER + '[[stream]]\ntopic = "s/{a}"\n[[stream]]\ntopic = "t/{a}"\n',
        FOLDERS + '[[stream]]\nfrom = "north"\nid = "{path}"\n'
        '[[stream]]\nfrom = "south"\nid = "{path}"\n',
        FOLDERS.replace("north/*", "a/pump*").replace("south/*", "a/fan*")
        + '[[stream]]\nfrom = "north"\n[[stream]]\nfrom = "south"\n',
        FOLDERS + '[[stream]]\nfrom = "north"\n[[stream]]\nfrom = "south"\nid = "s-{stem}"\n',
    ],
)
def test_tables_whose_ids_cannot_be_the_same_are_let_be(text: str):
    assert len(loads(text).streams) == 2


def test_no_message_shows_a_secret(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MQTT_PASSWORD", "s3cret")
    wrong = (
        BROKER + 'username = "u"\npassword = "${MQTT_PASSWORD}"\nversion = "${MQTT_PASSWORD}"'
        '\npasswrd = "s3cret"' + STREAM,
        BROKER + 'username = 3\npassword = ["s3cret"]' + STREAM,
        '[http]\ntoken = ["s3cret"]' + WHOLE,
    )
    for text in wrong:
        assert not any("s3cret" in problem for problem in problems(text))


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory; name"):
        load(tmp_path / "f.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory; name"):
        load(tmp_path)


def test_a_file_that_is_not_utf_8_is_a_configuration_error_with_a_line(tmp_path: Path):
    file = tmp_path / "f.toml"
    file.write_bytes(b'[daemon]\ninstance = "\xfc"\n')
    with pytest.raises(ConfigError, match=r"f.toml:2: not UTF-8 text; save the file as UTF-8"):
        load(file)


# Topics


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/c", False),
        ("a/+", "+/b", True),
        ("a/+", "a/b/c", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "a/b", True),
        ("a", "a/b", False),
        ("a/b/#", "a/+", True),
        ("a/+/c", "a/#", True),
    ],
)
def test_two_filters_meet_when_a_topic_matches_both(one: str, other: str, expected: bool):
    assert meet(one, other) is meet(other, one) is expected


# Lines


def paths(tree: Any, at: tuple[str | int, ...] = ()) -> set[tuple[str | int, ...]]:
    found = {at} if at else set()
    if not isinstance(tree, dict | list):
        return found
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    return found.union(*(paths(branch, (*at, key)) for key, branch in items))


NASTY = r'''# [not] = a table
top = """
[[fake]]
x = 1 \""" still text""""
literal = '\'
multi = QQQ  # no " end
''
key = 2 [x]
QQQ
"quoted.key" = "a # b ] }"
'single' = 1.5
a.b."c d".e = [1, [2, 3], { x = 1, y = [ "}", ']' ] }]

[[source]]
kind = "one"   # comment = 1
[source.tls]
ca = "x"
[[source.deep]]
n = 1
[[source.deep]]
n = 2
m = [
  "first",   # a, b ]
  { k = 1979-05-27T07:32:00Z, l = +inf },

  -0.5e3,
]
[[source]]
[source.tls]
ca = "y"
[ x . "y z" ]
last = true'''.replace("QQQ", "'''")


def test_each_key_of_a_nasty_document_is_found_on_its_line():
    lines = key_lines(NASTY)
    assert set(lines) == paths(tomllib.loads(NASTY))
    written = NASTY.splitlines()
    for path, line in lines.items():
        if isinstance(path[-1], str) and path not in {("a",), ("x",)}:
            assert path[-1] in written[line - 1]
    assert "y" in written[lines["source", 1, "tls", "ca"] - 1]
    assert "n = 2" in written[lines["source", 0, "deep", 1, "n"] - 1]
    assert "-0.5e3" in written[lines["source", 0, "deep", 1, "m", 2] - 1]


def test_what_is_not_in_the_file_is_placed_at_the_table_around_it():
    lines = key_lines("[a]\nb = 1\n[[c]]\n[[c]]\n")
    assert line_of(lines, ("c", 1, "missing", "deeper")) == 4
    assert line_of(lines, ("nowhere",)) == 1


KEYS = st.sampled_from(["a", "b-c", '"d.e"', "'f g'", '"\\u00e4\\""', "1"])
TEXTS = st.sampled_from(
    ['"a"', "'b#'", '"]}\\""', '"""\n[x]\ny = "" 1\n"""', "'''a\n''b'''", '""', '"""a\\""""""']
)
PLAIN = st.sampled_from(["1", "-1.5e3", "true", "2020-01-02 03:04:05", "0x1f", "inf"])


def inline(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pairs = st.dictionaries(KEYS, values, max_size=3)
    tables = pairs.map(lambda found: "{" + ", ".join(f"{k} = {v}" for k, v in found.items()) + "}")
    gaps = st.sampled_from([", ", ",\n  ", ", # ]\n"])
    lists = st.tuples(st.lists(values, max_size=3), gaps)
    return tables | lists.map(lambda found: "[" + found[1].join(found[0]) + "]")


VALUES = st.recursive(TEXTS | PLAIN, inline, max_leaves=6)
PAIRS = st.dictionaries(KEYS, VALUES, max_size=3)


@settings(deadline=None)
@given(PAIRS, st.lists(st.tuples(st.sampled_from(["t", "u", "t.v"]), PAIRS), max_size=4))
def test_every_key_of_any_document_is_found(
    top: dict[str, str], tables: list[tuple[str, dict[str, str]]]
):
    def body(pairs: dict[str, str]) -> str:
        return "".join(f"{key} = {value}\n" for key, value in pairs.items())

    text = body(top) + "".join(f"[[{name}]]\n{body(pairs)}" for name, pairs in tables)
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        reject()
    assert set(key_lines(text)) == paths(tree)


# Schema


def test_the_schema_is_sound_and_takes_the_sample_configuration():
    found = config_schema()
    jsonschema.Draft202012Validator.check_schema(found)
    jsonschema.validate(tomllib.loads(SAMPLE.read_text()), found)


@pytest.mark.parametrize(
    "text",
    [
        "[daemon]\nkeep = 24" + WHOLE,
        "[daemon]\nzzz = 1" + WHOLE,
        WHOLE + "level = 2",
        BROKER + "qos = true" + STREAM,
        '[[source]]\nkind = "zzz"' + STREAM,
        "[zzz]" + WHOLE,
    ],
)
def test_the_schema_refuses_what_the_daemon_refuses(text: str):
    jsonschema.validate(tomllib.loads(WHOLE), config_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), config_schema())


# Whatever is written


def told(text: str) -> list[str]:
    try:
        loads(text, "f.toml")
    except ConfigError as error:
        return error.problems or ["nothing"]
    return []


def toml(value: Any) -> str:
    if isinstance(value, dict):
        pairs = (f"{json.dumps(key)} = {toml(inside)}" for key, inside in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


WORDS = st.sampled_from(
    ["mqtt", "stdin", "tail", "jsonl", "plant", "a/{b}", "{b}", "10s", "$share/a", "${X}", "", "#"]
)
LEAVES = WORDS | st.integers(-1, 2**70) | st.booleans() | st.floats(0, 1)
ANYTHING = st.recursive(
    LEAVES,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(WORDS, inside, max_size=3),
    max_leaves=5,
)
NAMES = sorted({key for inside in homes().values() for key in inside})
TABLE = st.dictionaries(st.sampled_from([*NAMES, "zzz"]), ANYTHING, max_size=6)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["daemon", "http", "source", "stream", "model", "sink", "zzz"]),
        st.lists(TABLE, max_size=3) | TABLE | ANYTHING,
    )
)
def test_whatever_is_written_is_either_read_or_refused_with_line_and_reason(document: Any):
    text = "".join(f"{key} = {toml(value)}\n" for key, value in document.items())
    for problem in told(text):
        place, _, what = problem.partition(": ")
        assert re.fullmatch(r"f.toml:[1-9][0-9]*", place)
        assert what
