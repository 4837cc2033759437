"""Where the daemon keeps its data: by default, and where it cannot."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from daemons import command
from invoked import run

from streamlnn.daemon.config import loads
from streamlnn.daemon.disk import examine_disk

WHOLE = '[[source]]\nkind = "stdin"\n[[stream]]\nid = "a"\nhorizons = [1]\n'
UNIT = Path("docker/streamlnn.service")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("/var/lib/streamlnn", "/var/lib/streamlnn"),
        ("/var/lib/one:/var/lib/two", "/var/lib/one"),
        ("", "/state/streamlnn"),
    ],
)
def test_the_state_directory_of_a_systemd_unit_is_the_default(
    monkeypatch: pytest.MonkeyPatch, given: str, expected: str
):
    monkeypatch.setenv("STATE_DIRECTORY", given)
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert loads(WHOLE).daemon.data_dir == Path(expected)
    named = '[daemon]\ndata_dir = "/mine"\n' + WHOLE
    assert loads(named).daemon.data_dir == Path("/mine")


def test_the_daemon_keeps_everything_in_the_state_directory(tmp_path: Path):
    config = tmp_path / "f.toml"
    config.write_text("[http]\nlisten = false\n" + WHOLE)
    done = subprocess.run(
        command("run", config),
        input=b'{"v": 1}\n',
        env=os.environ | {"STATE_DIRECTORY": f"{tmp_path}/state:/nowhere", "HOME": "/nowhere"},
        capture_output=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "state" / "journal.db").exists()


@pytest.mark.parametrize("place", ["/proc/foo", "/sys/foo"])
def test_a_place_that_keeps_no_files_is_a_mistake_in_the_configuration(tmp_path: Path, place: str):
    """78, after which systemd does not start the daemon again and again."""
    config = tmp_path / "f.toml"
    config.write_text(f'[daemon]\ndata_dir = "{place}"\n[http]\nlisten = false\n{WHOLE}')
    for name in ("check", "doctor"):
        said = run(name, config, code=78).stderr
        assert f"f.toml:2: daemon.data_dir: {place} cannot be made (" in said
        assert "is no disk); give another data_dir" in said
    ended = run("run", config, code=78)
    assert f"cannot use the data directory {place}: " in ended.stderr
    assert "set data_dir in [daemon]" in ended.stderr
    assert "RestartPreventExitStatus=78" in UNIT.read_text()


def test_a_place_that_even_root_may_not_write_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """As on a disk that is mounted to be read only; the system's answer is played."""
    config = tmp_path / "f.toml"
    config.write_text(f'[daemon]\ndata_dir = "{tmp_path}/data"\n{WHOLE}')
    may = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and may(path, mode))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    problems = json.loads(run("check", config, "--json", code=78).stdout)["problems"]
    assert problems == [
        f"{config}:2: daemon.data_dir: {tmp_path}/data cannot be made, even by root; "
        "give another data_dir"
    ]


def test_a_disk_that_takes_no_file_is_found_and_the_rest_examined():
    """A folder of a file system without files of its own stands for a disk that is full."""
    config = loads('[daemon]\ndata_dir = "/proc/x"\n' + WHOLE)
    found = {one.what: one for one in examine_disk(config)}
    assert found["commit"].state == "problem"
    assert "no file can be written into /proc" in found["commit"].said
    assert {"rights", "room"} < found.keys()


MISTAKES = {
    "a list without a value": (
        WHOLE.replace("[1]", "[]"),
        "stream.horizons: expected at least one value in the list, not []; "
        'write horizons = ["10s", "1m"] or [1, 12]',
    ),
    "a list without a comma": (
        WHOLE.replace("[1]", '["10s" "1m"]'),
        "a comma stands between two values of a list, and ] after the last",
    ),
    "a misspelt level": (
        '[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\n'
        '[[stream]]\ntopic = "z/{device}"\nid = "{dev}"',
        "stream.id: {dev} is no level of 'z/{device}'; did you mean 'device'?",
    ),
    "what others call a format": (
        '[[source]]\nkind = "stdin"\nformat = "line"\n[[stream]]\nid = "a"',
        "expected 'json', 'csv' or 'influx', not \"line\"; did you mean 'influx'?",
    ),
    "what others call a codec": (
        '[[source]]\nkind = "mqtt"\nurl = "mqtt://x"\nformat = "line"\n[[stream]]\ntopic = "a"',
        "unknown codec kind 'line'; did you mean 'influx'? (installed: csv, influx, json)",
    ),
}


@pytest.mark.parametrize(("text", "problem"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_told_with_its_way_out(tmp_path: Path, text: str, problem: str):
    config = tmp_path / "f.toml"
    config.write_text(text)
    said = run("check", config, code=78).stderr
    assert said.count("\n") == 1
    assert problem in said


def test_one_problem_is_one(tmp_path: Path):
    config = tmp_path / "f.toml"
    config.write_text(f'[daemon]\ndata_dir = "{tmp_path}/data"\nmax_size = "900TB"\n{WHOLE}')
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o777)
    assert "\n1 problem, " in run("doctor", config, code=1).stdout
