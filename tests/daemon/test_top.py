"""`top`, `tap` and `run` on a terminal, with a real daemon at the other end."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from brokers import free_port, wait_until
from daemons import command, streamlnn
from plants import NAMES, Works
from terminals import CTRL_C, CTRL_Z, SUSPENDED, Terminal

from streamlnn.daemon.config import loads
from streamlnn.daemon.http import serve
from streamlnn.daemon.live_board import wants_lines
from streamlnn.daemon.status import Status

STREAMS = [f"plant/{name}" for name in NAMES]


@pytest.fixture(scope="module")
def works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    """A daemon that runs for all tests which do not touch it."""
    with Works(tmp_path_factory.mktemp("works")) as works:
        works.start()
        wait_until(lambda: streams(works.port) == set(STREAMS), "all streams")
        wait_until(lambda: records(works.port) > 300 * len(NAMES), "what was written before")
        yield works


def streams(port: int) -> set[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/streams", timeout=5) as answer:
        return {one["stream"] for one in json.load(answer)["streams"]}


def records(port: int) -> float:
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(x.split()[1]) for x in lines if x.startswith("streamlnn_records_total"))


@contextmanager
def tapping(folder: Path, *words: object) -> Iterator[tuple[subprocess.Popen[bytes], Path, Path]]:
    """A tap that runs, and the files that it writes to."""
    out, err = folder / "tapped.out", folder / "tapped.err"
    with out.open("wb") as lines, err.open("wb") as errors:
        listening = subprocess.Popen(command("tap", *words), stdout=lines, stderr=errors)
    try:
        yield listening, out, err
    finally:
        listening.kill()
        listening.wait(20)


# top


def test_top_prints_one_table_where_nobody_looks(works: Works) -> None:
    done = streamlnn("top", works.config, "--sort", "name")
    assert (done.returncode, done.stderr) == (0, b"")
    head, state, columns, *rows = done.stdout.decode().splitlines()
    assert head.startswith("streamlnn works  12 streams")
    assert state == "ready"
    assert columns.split() == ["stream", "value", "latest", "score", "skill", "status"]
    assert [row.split()[0] for row in rows] == STREAMS
    assert all("l/s" in row and row.split()[-1] in ("ok", "warming", "drifting") for row in rows)


def test_top_prints_a_list_in_json(works: Works) -> None:
    done = streamlnn("top", works.config, "--json", "--sort", "skill")
    listed = json.loads(done.stdout)
    assert {one["stream"] for one in listed} == set(STREAMS)
    skills = [one["skill"] for one in listed]
    assert None not in skills
    assert skills == sorted(skills)
    assert set(listed[0]) >= {"status", "stale", "anomaly", "score", "y", "unit", "seq"}


def test_top_lives_on_every_terminal_and_leaves_it_as_it_was(works: Works) -> None:
    with Terminal("top", works.config, script=SUSPENDED) as terminal:
        terminal.wait_for("streamlnn works  12 streams", "ready", *STREAMS)
        assert (terminal.cursor_is_shown, terminal.is_on_second_screen) == (False, True)
        before = terminal.text
        wait_until(lambda: terminal.text != before, "news")
        terminal.resize(30, 8)
        terminal.wait_for("more")
        wait_until(lambda: terminal.lines[2].split() == ["stream", "value", "status"], "less")
        terminal.resize(120, 40)
        terminal.wait_for(*STREAMS, "records/s")
        suspended_and_taken_up(terminal)
        terminal.wait_for(*STREAMS, "ready")
        terminal.type(CTRL_C)
        assert terminal.ended() == 0
        assert (terminal.cursor_is_shown, terminal.is_on_second_screen) == (True, False)
        assert "Traceback" not in terminal.past


def test_colours_are_left_out_where_they_are_not_wanted(works: Works) -> None:
    with Terminal("top", works.config) as terminal:
        terminal.wait_for(*STREAMS)
        assert {"green", "cyan"} <= terminal.colours
    with Terminal("top", works.config, NO_COLOR="1") as terminal:
        terminal.wait_for(*STREAMS)
        assert terminal.colours == {"default"}


def suspended_and_taken_up(terminal: Terminal) -> None:
    terminal.type(CTRL_Z)
    terminal.wait_for("given back")
    assert (terminal.cursor_is_shown, terminal.is_on_second_screen) == (True, False)
    terminal.type("\n")
    wait_until(lambda: not terminal.cursor_is_shown, "it to go on")


def test_a_daemon_that_is_started_again_is_waited_for(tmp_path: Path) -> None:
    with Works(tmp_path, http='token = "open sesame"') as works:
        daemon = works.start()
        words = ("--samples", "plant/pump00", "--config", works.config)
        with (
            Terminal("top", works.config) as terminal,
            tapping(tmp_path, *words) as (listening, out, err),
        ):
            terminal.wait_for(*STREAMS, "ready")
            wait_until(lambda: "flow=" in out.read_text(), "samples")
            daemon.kill()
            terminal.wait_for("waiting for the daemon: no answer from", STREAMS[0])
            wait_until(lambda: "waiting for it" in err.read_text(), "the loss to be told")
            works.start()
            terminal.wait_for(*STREAMS, "ready")
            wait_until(lambda: "the daemon answers again" in err.read_text(), "the end of it")
            before = len(out.read_text())
            wait_until(lambda: len(out.read_text()) > before, "more samples")
            assert terminal.ended(signal.SIGTERM) == 0
            assert terminal.cursor_is_shown
            listening.send_signal(signal.SIGINT)
            assert listening.wait(20) == 0
        told = out.read_text().splitlines()
        assert len(told) == len(set(told))


@pytest.mark.parametrize("words", [("top",), ("tap", "--config")])
def test_whoever_has_no_token_is_told_where_it_is(tmp_path: Path, words: tuple[str, ...]) -> None:
    server = serve(Status(), "127.0.0.1:0", "open sesame")
    try:
        config = tmp_path / "pipeline.toml"
        listen = f'[http]\nlisten = "{server.address.removeprefix("http://")}"\n'
        for more, way_out in (("", "asks for a token"), ('token = "no"', "takes another token")):
            config.write_text(listen + more)
            refused = streamlnn(*words, config)
            assert (refused.returncode, refused.stdout) == (69, b"")
            assert way_out in refused.stderr.decode()
    finally:
        server.stop()


@pytest.mark.parametrize("words", [("top",), ("top", "--json"), ("tap", "--config")])
@pytest.mark.parametrize("listen", ['"127.0.0.1:{port}"', "false"])
def test_no_daemon_is_exit_69_with_the_way_out(
    tmp_path: Path, words: tuple[str, ...], listen: str
) -> None:
    config = tmp_path / "pipeline.toml"
    config.write_text(f"[http]\nlisten = {listen.format(port=free_port())}\n")
    done = streamlnn(*words, config)
    assert (done.returncode, done.stdout) == (69, b"")
    way_out = b"http.listen is off; give an address" if listen == "false" else b"`streamlnn run` up"
    assert way_out in done.stderr


# tap


def tapped(*words: object) -> tuple[list[str], str]:
    done = streamlnn("tap", *words)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().splitlines(), done.stderr.decode()


def test_tap_prints_forecasts_of_the_streams_that_fit(works: Works) -> None:
    lines, errors = tapped("plant/pump0[12]", "--config", works.config, "--for", "2s")
    assert errors == ""
    named = [line.split(" flow = ")[0] for line in lines if " flow = " in line]
    assert set(named) == {"plant/pump01", "plant/pump02"}
    assert named.count("plant/pump01") > 2
    assert "  +1 s " in lines[0]


def test_tap_prints_samples_and_events_as_json_each_once(works: Works, tmp_path: Path) -> None:
    words = ("--samples", "--events", "--json", "--for", "11s")  # longer than one answer
    with tapping(tmp_path, *words, "--config", works.config) as (listening, out, _):
        wait_until(lambda: "values" in out.read_text(), "samples")
        works.odd[NAMES[0]] = 500.0
        assert listening.wait(30) == 0
        read = [json.loads(line) for line in out.read_text().splitlines()]
    samples = [(one["stream"], one["epoch"], one["seq"]) for one in read if "values" in one]
    assert len(samples) == len(set(samples)) > 100
    events = [(one["id"], one["phase"], one["time"]) for one in read if "phase" in one]
    assert len(events) == len(set(events))
    begun = [one["y"] for one in read if "phase" in one and one["phase"] == "start"]
    assert len([y for y in begun if y is not None and y > 50]) == 1


def test_tap_says_that_no_stream_fits(works: Works) -> None:
    lines, errors = tapped("pump", "--config", works.config, "--for", "1s")
    assert lines == []
    assert "no stream fits 'pump' yet; there are: 'plant/pump00', 'plant/pump01'" in errors


class Other(BaseHTTPRequestHandler):
    """A server of another version, or of something else."""

    def do_GET(self) -> None:
        self.send_response(200 if "live" in self.path else 404)
        self.end_headers()
        self.wfile.write(b'event: streams\ndata: [{"name": "pump"}]\n\n')

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_is_not_understood_is_told(tmp_path: Path) -> None:
    config = tmp_path / "pipeline.toml"
    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever).start()
        config.write_text(f'[http]\nlisten = "127.0.0.1:{server.server_port}"\n')
        done, healthy = streamlnn("top", config), streamlnn("health", config)
        server.shutdown()
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is not understood" in done.stderr
    assert (healthy.returncode, healthy.stdout) == (1, b"")
    assert b"answers 404" in healthy.stderr
    assert b"Traceback" not in done.stderr + healthy.stderr


# run


def test_run_shows_a_table_below_its_logs_and_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with (
        Works(tmp_path) as works,
        Terminal("run", works.config, columns=100, lines=40, script=SUSPENDED) as terminal,
    ):
        terminal.wait_for("ready", *STREAMS)
        assert not terminal.cursor_is_shown
        terminal.send(signal.SIGHUP)
        terminal.wait_for("the new configuration is taken over", "ready", STREAMS[0])
        text = terminal.text
        assert text.index("is taken over") < text.index("streamlnn works  12 streams")
        assert '"forecast"' not in terminal.past
        suspended_and_taken_up(terminal)
        terminal.type(CTRL_C)
        assert terminal.ended() == 0
        assert terminal.cursor_is_shown
        last = [line for line in terminal.lines if line]
        assert "has stopped" in last[-1]
        assert "Traceback" not in terminal.past


def test_run_does_not_wait_for_a_terminal_that_stands_still(tmp_path: Path) -> None:
    with Works(tmp_path) as works, Terminal("run", works.config) as terminal:
        terminal.wait_for("ready", STREAMS[0])
        terminal.stand_still()
        # More than a terminal holds: a sound line a second and source comes, and many a warning.
        with (tmp_path / "pump00.jsonl").open("a") as file:
            file.writelines("no sample at all\n" for _ in range(500))
        before = records(works.port)
        wait_until(lambda: records(works.port) > before + 200, "records", secs=30)
        assert terminal.ended(signal.SIGTERM) == 0


def test_run_prints_lines_where_no_table_is_wanted(tmp_path: Path) -> None:
    with (
        Works(tmp_path, past=2) as works,
        Terminal("run", works.config, "--plain", columns=200) as terminal,
    ):
        wait_until(lambda: '"yhat_lower"' in terminal.past, "forecasts", secs=60)
        assert "12 streams" not in terminal.past
        assert terminal.ended(signal.SIGTERM) == 0


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ("", False),
        ('[[sink]]\nkind = "jsonl"\npath = "f.jsonl"', False),
        ('[[sink]]\nkind = "stdout"', True),
        ('[daemon.log]\nformat = "json"', True),
    ],
)
def test_lines_are_wanted_where_they_are_asked_for(more: str, wanted: bool) -> None:
    source = '[[source]]\nkind = "{}"\n[[stream]]\nid = "pump"\n'
    files = source.format('tail"\npaths = ["*.csv"]\nid = "logs')
    assert wants_lines(loads(files + more)) == wanted
    assert wants_lines(loads(source.format("stdin") + more))


def test_where_nothing_can_be_drawn_top_prints_one_table(works: Works) -> None:
    with Terminal("top", works.config, TERM="dumb") as terminal:
        assert terminal.ended() == 0
        assert all(name in terminal.text for name in STREAMS)
