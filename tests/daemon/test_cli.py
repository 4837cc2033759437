"""The commands take their options, say what is wrong on stderr, and exit with the agreed code."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import click
import jsonschema
import pytest
from brokers import free_port
from click.testing import CliRunner, Result

from streamlnn.daemon import logs, options
from streamlnn.daemon.cli import cli
from streamlnn.daemon.shell import Commands
from streamlnn.errors import ConfigError, InputUnavailable, StoreError

PIPELINE = '[[source]]\nkind = "stdin"\n[[stream]]\nid = "pump7"\n[http]\nlisten = false\n'


@pytest.fixture(autouse=True)
def no_configuration_from_outside(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("STREAMLNN_CONFIG", raising=False)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "f.toml"
    path.write_text(f'[daemon]\ndata_dir = "{tmp_path / "data"}"\n{PIPELINE}')
    return path


def run(*words: object) -> Result:
    result = CliRunner().invoke(cli, [str(word) for word in words])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


# Help, version, start


def test_the_version_is_that_of_the_package():
    result = run("--version")
    assert (result.exit_code, result.stdout) == (0, f"streamlnn, version {version('streamlnn')}\n")


def test_every_command_of_the_contract_is_there_and_explains_itself():
    contract = {"demo", "run", "check", "replay", "eval", "state", "health", "schema"}
    contract |= {"doctor", "record", "info", "init", "top", "tap"}
    assert {*cli.commands} >= contract
    actions = {"ls", "show", "export", "import", "reset", "dead-letters", "forget-sink"}
    assert {*cli.commands["state"].commands} == actions
    for name, command in cli.commands.items():
        result = run(name, "--help")
        assert result.exit_code == 0
        assert command.help is not None
        assert all(
            isinstance(option, click.Argument) or option.help for option in command.params
        ), name


@pytest.mark.parametrize(
    ("words", "needed"),
    [(["--help"], ()), (["run", "--help"], ()), (["check", "CONFIG"], ("numba",))],
)
def test_what_is_slow_to_import_is_left_out_until_it_is_needed(
    config: Path, words: list[str], needed: tuple[str, ...]
):
    """To say how large a model is, check lays out its arrays, for which numba is imported."""
    script = f"""
import sys
from streamlnn.daemon.cli import cli
from streamlnn.daemon.shell import Commands
from streamlnn.errors import ConfigError, InputUnavailable, StoreError
try:
    cli({[str(config) if word == "CONFIG" else word for word in words]!r})
except SystemExit as end:
    assert end.code == 0
slow = {{"numba", "river", "torch", "amqtt", "uvicorn", "starlette", "matplotlib"}}
found = slow & {{*sys.modules}} - {{*{needed!r}}}
assert not found, found
"""
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("words", [(), ("--help",), ("state", "--help")])
def test_the_commands_are_listed_with_their_whole_first_sentences(words: tuple[str, ...]):
    result = run(*words)
    listed = (result.stdout + result.stderr).partition("Commands:\n")[2]
    assert "..." not in listed
    group = cli.commands["state"] if "state" in words else cli
    assert isinstance(group, click.Group)
    assert all(f"\n  {name} " in f"\n{listed}" for name in group.commands)


def test_who_is_new_is_told_the_first_steps_in_their_order():
    listed = run("--help").stdout
    steps = [listed.index(f"  streamlnn {name} ") for name in ("demo", "init", "check", "run")]
    assert steps == sorted(steps)
    commands = listed.partition("Commands:\n")[2]
    assert [line.split()[0] for line in commands.splitlines()[:4]] == [
        "demo",
        "init",
        "check",
        "run",
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["inti"], "Did you mean 'init'?"),
        (["state", "sho"], "Did you mean 'show'?"),
        (["check", "--conect", "f"], "Did you mean '--connect'?"),
        (["run"], "To make one: streamlnn init -o FILE."),
    ],
)
def test_wrong_usage_names_what_was_meant(words: list[str], said: str):
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr


# Exit codes


@pytest.mark.parametrize(
    "words",
    [
        ["no-such-command"],
        ["run"],
        ["check"],
        ["replay"],
        ["replay", "f.csv", "--speed", "fast"],
        ["replay", "f.csv", "--speed", "0"],
        ["replay", "f.csv", "--from", "yesterday"],
        ["replay", "f.csv", "--publish"],
        ["replay", "f.csv", "--loop"],
        ["replay", "f.csv", "--loop", "--time", "now", "--expect", "e.jsonl"],
        ["replay", "f.csv", "--format", "parchment"],
        ["eval", "f.csv", "--horizons", "12,1"],
        ["eval", "f.csv", "--horizons", "0"],
        ["eval", "f.csv", "--horizons", "1,,2"],
        ["eval", "f.csv", "--horizons", "10s"],
        ["eval", "f.csv", "--season", "1"],
        ["demo", "--speed", "-1"],
        ["demo", "--for", "soon"],
        ["schema", "zzz"],
        ["check", "f.toml", "--topic", "a"],
    ],
)
def test_wrong_usage_exits_with_2_and_says_so_on_stderr(words: list[str]):
    result = run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: " in result.stderr


@pytest.mark.parametrize("command", ["run", "check", "health", "replay", "eval", "doctor"])
def test_a_wrong_configuration_exits_with_78_and_tells_all_problems(tmp_path: Path, command: str):
    path = tmp_path / "f.toml"
    path.write_text(f"[daemon]\nkeep = 1\nzzz = 1\n{PIPELINE}")
    given = ["x.csv", "--config", path] if command in ("replay", "eval") else [path]
    result = run(command, *given)
    assert result.exit_code == 78
    assert result.stdout == ""
    assert [line.split(": ")[1] for line in result.stderr.splitlines()] == [
        "daemon.keep",
        "daemon.zzz",
    ]


def test_a_configuration_that_is_not_there_exits_with_78(tmp_path: Path):
    result = run("run", tmp_path / "f.toml")
    assert result.exit_code == 78
    assert "cannot be read: No such file or directory; name another file" in result.stderr


@pytest.mark.parametrize("command", ["replay", "eval"])
def test_a_recording_that_is_not_there_exits_with_69(tmp_path: Path, command: str):
    result = run(command, tmp_path / "f.csv")
    assert result.exit_code == 69
    assert result.stdout == ""
    assert "f.csv" in result.stderr


def test_what_fails_otherwise_exits_with_1(tmp_path: Path, config: Path):
    (tmp_path / "data").write_text("in the way")
    result = run("run", config)
    assert result.exit_code == 1
    assert result.stderr.startswith("streamlnn: ")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError(["a", "b"]), 78, "a\nb\n"),
        (InputUnavailable("no broker"), 69, "streamlnn: no broker\n"),
        (StoreError("locked"), 1, "streamlnn: locked\n"),
        (OSError(28, "No space left on device", "/data"), 1, "streamlnn: /data: No space left on"),
        (OSError("odd"), 1, "streamlnn: odd\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_a_command_raises_becomes_a_message_and_a_code(
    error: BaseException, code: int, said: str
):
    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise error

    result = CliRunner().invoke(group, ["fail"])
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith(said)


def test_a_mistake_in_the_program_is_not_hidden():
    @click.group(cls=Commands)
    def group() -> None: ...

    @group.command()
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, ZeroDivisionError)


def test_health_exits_with_1_when_nobody_answers(tmp_path: Path):
    path = tmp_path / "f.toml"
    path.write_text(f'[http]\nlisten = "127.0.0.1:{free_port()}"\n')
    assert run("health", path).exit_code == 1


def test_the_configuration_may_come_from_the_environment(
    config: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("STREAMLNN_CONFIG", str(config))
    result = run("check", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["ok"] is True


def test_nothing_is_said_when_the_reader_of_stdout_has_gone():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "streamlnn", "schema", "config"],
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_daemon_ends_with_0_when_it_is_told_to(config: Path, number: signal.Signals):
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "streamlnn", "run", str(config)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stderr is not None
        assert any("follows stdin" in line for line in daemon.stderr)
        daemon.send_signal(number)
        _, rest = daemon.communicate(timeout=30)
    assert daemon.returncode == 0
    assert "Traceback" not in rest


# Schemas


@pytest.mark.parametrize("what", ["config", "forecast", "event"])
def test_each_schema_is_sound(what: str):
    result = run("schema", what)
    assert result.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(result.stdout))


# Values


def test_durations_are_seconds_or_have_a_unit():
    assert [options.seconds(text) for text in ("10", "2.5", "10s", "2m")] == [10, 2.5, 10, 120]
    for wrong in ("0", "-1", "nan", "inf", "soon", ""):
        with pytest.raises(click.BadParameter, match="duration"):
            options.seconds(wrong)


def test_speeds_are_factors_or_max():
    assert [options.speed(text) for text in ("max", "1", "0.5")] == [None, 1.0, 0.5]


def test_moments_are_nanoseconds():
    assert options.moment("1970-01-02") == 86_400 * 10**9
    assert options.moment("1970-01-01T01:00:00+01:00") == 0


# Logs


def test_logs_are_lines_of_text_on_stderr(capsys: pytest.CaptureFixture[str]):
    logs.set_up()
    logging.getLogger("streamlnn.mqtt").info("lost %s", "plant")
    logging.getLogger("streamlnn.mqtt").debug("noise")
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.endswith("Z info streamlnn.mqtt: lost plant")
    assert abs(time.time() - options.moment(line.split()[0]) / 1e9) < 60


def test_logs_are_json_when_asked_for(capsys: pytest.CaptureFixture[str]):
    logs.set_up("debug", "json")
    try:
        raise OSError("no such disk")
    except OSError:
        logging.getLogger("streamlnn.journal").exception("cannot\nwrite")
    (line,) = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["level"], entry["logger"]) == ("error", "streamlnn.journal")
    assert entry["message"] == "cannot\nwrite"
    assert "OSError: no such disk" in entry["exception"]


def test_libraries_are_heard_only_when_they_warn(capsys: pytest.CaptureFixture[str]):
    logs.set_up("debug")
    logging.getLogger("some.package").info("hello")
    logging.getLogger("some.package").warning("beware")
    assert [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()] == ["beware"]


def test_the_command_line_has_the_last_word_on_how_much_is_logged(config: Path):
    for words, level in (
        (["check", config], logging.INFO),
        (["check", config, "-v"], logging.DEBUG),
        (["-q", "check", config], logging.WARNING),
    ):
        assert run(*words).exit_code == 0
        assert logging.getLogger("streamlnn").level == level
