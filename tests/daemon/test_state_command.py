"""`streamlnn state`: what streams have learned, looked into, moved and forgotten."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brokers import wait_until
from click.testing import CliRunner
from daemons import Daemon, streamlnn

from streamlnn import Forecaster, Reservoir
from streamlnn.daemon.cli import cli
from streamlnn.pipeline.contract import Output
from streamlnn.pipeline.journal import Journal

START = 1_700_000_000


def rows(first: int, last: int) -> str:
    lines = [
        f"{START + 60 * n},{math.sin(n / 5) + 0.1 * math.cos(n * n)!r},{math.cos(n / 9)!r}"
        for n in range(first, last)
    ]
    return "\n".join(["time,flow,temp", *lines, ""])


def play(folder: Path, store: Path, first: int, last: int) -> bytes:
    """The forecasts of records `first` to `last`, whose state is left in `store`."""
    (folder / "pump7.csv").write_text(rows(first, last))
    done = streamlnn("replay", folder / "pump7.csv", "--into", store)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("learned")
    play(folder, folder / "store", 0, 120)
    return folder / "store"


@pytest.fixture
def store(tmp_path: Path, learned: Path) -> Path:
    return Path(shutil.copytree(learned, tmp_path / "store"))


def state(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(cli, ["state", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.stderr if code else result.stdout


def told(*words: object) -> Any:
    return json.loads(state(*words, "--json"))


def test_the_streams_of_a_store_are_listed(store: Path) -> None:
    (one,) = told("ls", store)
    assert (one["stream"], one["epoch"], one["settled"]) == ("pump7", 0, True)
    assert one["time"] == "2023-11-15T00:12:20Z"
    assert (one["targets"], one["horizons"]) == (["flow", "temp"], [1, 12, 48])
    assert one["bytes"] > 100_000
    heads, line = state("ls", store).splitlines()
    assert heads.split()[:2] == ["stream", "epoch"]
    assert line.startswith("pump7")
    assert "2023-11-15T00:12:20Z  flow, temp  1, 12, 48" in line


def test_a_stream_is_shown_as_it_stands(store: Path, tmp_path: Path) -> None:
    """Its numbers are those of a forecaster that saw the same records."""
    values = np.genfromtxt(rows(0, 120).splitlines()[1:], delimiter=",")
    model = Forecaster([1, 12, 48], fields=2)
    for row in values:
        forecast = model.step(row[0], row[1:])
    report = told("show", "pump7", store)
    assert report["records"] == 120
    assert report["usual_step_secs"] == 60.0
    assert report["settings"]["model"]["units"] == 100
    for m, name in enumerate(("flow", "temp")):
        weights = [one["weights"] for one in report["explanation"]["targets"][name]]
        assert tuple(weights[0]) == model.experts
        np.testing.assert_array_equal(
            [list(one.values()) for one in weights], model.weights()[:, m]
        )
        skills = [one["skill"] for one in report["scores"][name]]
        np.testing.assert_array_equal(skills, forecast.skill[:, m])
        maes = [(one["mae"], one["mae_persistence"]) for one in report["scores"][name]]
        np.testing.assert_allclose(skills, [1 - ours / naive for ours, naive in maes])
    text = state("show", "pump7", store)
    assert "epoch      0, 120 records" in text
    assert "flow: how much each expert is heard, at each horizon" in text
    (line,) = [line for line in text.splitlines() if line.startswith("persistence ")][:1]
    assert (
        line.split()[1]
        == f"{report['explanation']['targets']['flow'][0]['weights']['persistence']:.1%}"
    )


def test_a_configuration_stands_for_its_store(store: Path, tmp_path: Path) -> None:
    config = tmp_path / "f.toml"
    config.write_text(f"[daemon]\ndata_dir = '{store}'\n")
    assert [one["stream"] for one in told("ls", config)] == ["pump7"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["show", "pump8"], 69, "the store has no stream 'pump8'; did you mean 'pump7'?"),
        (["reset", "zzz"], 69, "no stream 'zzz'; `streamlnn state ls` lists those there are"),
        (["import", "none.slnn"], 69, "cannot read none.slnn: No such file or directory"),
    ],
)
def test_what_is_not_there_is_told(store: Path, words: list[str], code: int, said: str) -> None:
    assert said in state(*words, store, code=code)


def test_a_folder_without_a_journal_is_left_as_it_is(tmp_path: Path) -> None:
    assert "holds no journal.db: no daemon has run on it yet" in state("ls", tmp_path, code=69)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(240)
def test_an_exported_stream_goes_on_elsewhere_as_if_nothing_had_happened(
    store: Path, tmp_path: Path
) -> None:
    """The same forecasts, bit for bit; also from Python, where the file is a forecaster."""
    file, other = tmp_path / "pump7.slnn", tmp_path / "other"
    state("export", "pump7", file, store)
    state("import", file, other)
    assert told("ls", other) == told("ls", store)
    model = Forecaster.load(file)
    values = np.genfromtxt(rows(120, 121).splitlines()[1:], delimiter=",")
    yhat = model.step(values[0], values[1:]).yhat
    there, here = play(tmp_path, other, 110, 150), play(tmp_path, store, 110, 150)
    assert there.count(b"\n") == 30, "records that the exporting store had seen are not new"
    assert there == here
    first = json.loads(there.splitlines()[0])["targets"]["flow"]["forecast"]
    assert [one["yhat"] for one in first] == yhat[:, 0].tolist()


def test_a_stream_that_is_replaced_or_reset_begins_a_new_epoch(store: Path, tmp_path: Path) -> None:
    """Its forecasts are others now: they must not bear the identities of those before."""
    file = tmp_path / "pump7.slnn"
    state("export", "pump7", file, store)
    state("reset", "pump7", store)
    assert (told("ls", store)[0]["epoch"], told("ls", store)[0]["bytes"]) == (1, 0)
    assert told("show", "pump7", store)["records"] == 0
    lines = play(tmp_path, store, 110, 130).splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(10))
    assert {json.loads(line)["epoch"] for line in lines} == {1}
    state("import", file, store)
    assert (told("ls", store)[0]["epoch"], told("show", "pump7", store)["records"]) == (2, 120)


def trained(folder: Path, *, horizons: tuple[int, ...] = (1, 12, 48)) -> tuple[Forecaster, Path]:
    """A model in Python on somebody else's reservoir, and its file."""
    random = np.random.default_rng(5)
    W, W_in = random.standard_normal((100, 100)), random.uniform(-1, 1, (100, 2))
    reservoir = Reservoir.from_arrays(0.09 * W, W_in, leak=0.3)
    model = Forecaster(horizons, fields=2, reservoir=reservoir)
    for row in np.genfromtxt(rows(0, 120).splitlines()[1:], delimiter=","):
        model.step(row[0], row[1:])
    model.save(folder / "model.slnn")
    return model, folder / "model.slnn"


def config_of(store: Path, flow: str = "flow", **stream: object) -> Path:
    table = "".join(f"{key} = {json.dumps(value)}\n" for key, value in stream.items())
    file = store.parent / "f.toml"
    file.write_text(
        f"[daemon]\ndata_dir = '{store}'\n[[stream]]\ntime = {{ path = 'time' }}\n"
        f"fields = {{ flow = '{flow}', temp = 'temp' }}\n{table}"
    )
    return file


def test_an_imported_model_stays_where_a_field_is_found_at_another_place_by_now(
    store: Path, tmp_path: Path
) -> None:
    _, file = trained(tmp_path)
    config = config_of(store, flow="speed")
    state("import", file, config, "--stream", "pump7")
    (tmp_path / "pump7.csv").write_text(rows(110, 130).replace("flow", "speed"))
    done = streamlnn("replay", tmp_path / "pump7.csv", "--config", config, "--into", store)
    first = json.loads(done.stdout.splitlines()[0])
    assert (first["epoch"], first["seq"], set(first["targets"])) == (1, 120, {"flow", "temp"})


@pytest.mark.timeout(240)
@pytest.mark.parametrize("horizons", [(1, 12, 48), (2, 7)], ids=["as it was", "as it is now"])
def test_a_model_that_python_made_goes_on_as_a_streams(
    store: Path, tmp_path: Path, horizons: tuple[int, ...]
) -> None:
    """Bit for bit what it says there, under the horizons that the configuration has by now."""
    model, file = trained(tmp_path, horizons=horizons)
    config = config_of(store, horizons=horizons)
    assert "120 records, in place of one with 120, epoch 1" in replaced(file, config)
    shown = told("show", "pump7", store)
    assert (shown["epoch"], shown["records"]) == (1, 120)
    assert shown["explanation"]["reservoir"]["fan_in"] == 100
    (tmp_path / "pump7.csv").write_text(rows(0, 150))
    again = ("replay", tmp_path / "pump7.csv", "--config", config, "--into", store)
    done = streamlnn(*again)
    assert done.returncode == 0, done.stderr.decode()
    told_lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(one["epoch"], one["seq"]) for one in told_lines] == [(1, n) for n in range(120, 150)]
    values = np.genfromtxt(rows(120, 150).splitlines()[1:], delimiter=",")
    for one, row in zip(told_lines, values, strict=True):
        yhat = model.step(row[0], row[1:]).yhat
        forecast = one["targets"]["temp"]["forecast"]
        assert [each["yhat"] for each in forecast] == yhat[:, 1].tolist()
    assert told("show", "pump7", store)["records"] == 150
    assert "read up to 2023-11-15T00:42:20Z: what came between is not" in replaced(file, config)


def replaced(file: Path, config: Path) -> str:
    result = CliRunner().invoke(cli, ["state", "import", f"{file}", f"{config}", "--stream=pump7"])
    assert result.exit_code == 0, result.output
    return result.stderr


def test_a_model_that_cannot_be_the_streams_is_refused_with_the_way_out(
    store: Path, tmp_path: Path
) -> None:
    _, file = trained(tmp_path)
    assert "model.slnn: it holds a model that `Forecaster.save` wrote" in (
        said := state("import", file, store, code=1)
    )
    assert "name the one that is to go on with it: --stream ID" in said
    to_pump7 = ("--stream", "pump7")
    config = config_of(store, horizons=[1, 5], level=0.8)
    said = " ".join(state("import", file, config, *to_pump7, code=1).split())
    assert "horizons: [1, 12, 48] in the file, [1, 5] asked for; level: 0.9 in the file, 0." in said
    assert "make it as Forecaster([1, 5], fields=2, level=0.8), or change horizons of its " in said
    assert "did you mean 'pump7'" in state("import", file, store, "--stream", "pump", code=69)
    said = state("import", file, tmp_path, *to_pump7, code=69)
    assert "no daemon has run on it yet; run the daemon once, or `streamlnn replay" in said
    with closing(Journal(store)):
        assert "is in use by another streamlnn" in state("import", file, store, *to_pump7, code=1)
    assert told("ls", store)[0]["epoch"] == 0


def test_the_call_that_makes_a_streams_model_in_python_is_shown(store: Path) -> None:
    call = told("show", "pump7", store)["in_python"]
    assert call == "Forecaster([1, 12, 48], fields=2)"
    assert f"in Python  {call}" in state("show", "pump7", store).splitlines()


def test_a_store_in_use_is_read_and_not_changed(store: Path, tmp_path: Path) -> None:
    file = tmp_path / "pump7.slnn"
    with closing(Journal(store)):
        state("export", "pump7", file, store)
        assert told("show", "pump7", store)["records"] == 120
        for words in (["reset", "pump7"], ["import", file]):
            assert "is in use by another streamlnn" in state(*words, store, code=1)
    assert told("ls", store)[0]["epoch"] == 0


def keep_for(store: Path, sink: str) -> None:
    with closing(Journal(store)) as journal, journal.transaction():
        outputs = [Output("forecast", bytes(10_000), "pump7", n) for n in (1, 2)]
        journal.keep_outputs(sink, outputs)
        journal.keep_notice(sink, Output("event", b"{}", "pump7", 2))
        journal.save_watermark(sink, 0)


def test_a_sink_that_is_gone_is_forgotten_with_all_that_is_kept_for_it(store: Path) -> None:
    keep_for(store, "old")
    keep_for(store, "other")
    with closing(Journal(store)):
        assert "is in use by another streamlnn" in state("forget-sink", "old", store, code=1)
    assert "no sink 'odl'; did you mean 'old'?" in state("forget-sink", "odl", store, code=69)
    done = CliRunner().invoke(cli, ["state", "forget-sink", "old", str(store)])
    assert done.exit_code == 0
    assert re.search(r"old: forgotten, with 3 outputs that it had not .* \(\d+ KB\)", done.stderr)
    with closing(Journal(store)) as journal:
        assert (journal.waiting(), journal.watermark("old")) == ({"other": 3}, None)
        assert journal.watermark("other") == 0
    assert "the store has no sink 'old'" in state("forget-sink", "old", store, code=69)
    assert told("ls", store)[0]["stream"] == "pump7"


def test_what_is_kept_for_sinks_that_are_gone_is_told_once_at_the_start(
    store: Path, tmp_path: Path
) -> None:
    for sink in ("old", "out"):
        keep_for(store, sink)
    config = tmp_path / "f.toml"
    config.write_text(
        f"[daemon]\ndata_dir = '{store}'\n[http]\nlisten = false\n[[source]]\nkind = 'stdin'\n"
        "[[stream]]\n[[sink]]\nkind = 'stdout'\nid = 'out'\n"
    )
    words = "3 for 'old'; they fill the journal"
    way_out = f"'streamlnn state forget-sink ID {config}'"
    done = streamlnn("run", config, stdin=b"").stderr.decode()
    assert done.count("kept for sinks") == 1
    assert words in done
    assert way_out in done
    state("forget-sink", "old", config)
    assert "kept for sinks" not in streamlnn("run", config, stdin=b"").stderr.decode()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Path]:
    """A store whose daemon has written nothing down yet but the log."""
    (tmp_path / "pump7.csv").write_text(rows(0, 120))
    config, out = tmp_path / "f.toml", tmp_path / "out.jsonl"
    config.write_text(
        f"[daemon]\ndata_dir = '{tmp_path / 'store'}'\n[http]\nlisten = false\n"
        f"[[source]]\nkind = 'tail'\nid = 'logs'\npaths = ['{tmp_path / 'pump7.csv'}']\n"
        f"start = 'begin'\n[[sink]]\nkind = 'jsonl'\npath = '{out}'\n"
        "[[stream]]\ntime = { path = 'time' }\n"
    )
    daemon = Daemon(config)
    try:
        wait_until(
            lambda: daemon.has_said("") and out.exists() and out.read_bytes().count(b"\n") >= 120,
            "all forecasts",
            secs=60,
        )
        shown = told("show", "pump7", config)
        assert shown["records"] == 120
        yield config
    finally:
        daemon.kill()


def test_a_crashed_or_running_store_is_shown_with_its_newest_records_and_not_changed(
    running: Path, tmp_path: Path
) -> None:
    """The log after the snapshot is stepped to show it; a restart has to settle it first."""
    assert told("ls", running)[0]["settled"] is False
    assert "has records after its snapshot" in state("ls", running)
    assert "is in use by another streamlnn" in state("reset", "pump7", running, code=1)
    copy = tmp_path / "copy"
    copy.mkdir(0o700)
    for name in ("journal.db", "journal.db-wal"):
        (copy / name).write_bytes((tmp_path / "store" / name).read_bytes())
    assert told("show", "pump7", copy)["records"] == 120
    said = state("reset", "pump7", copy, code=1)
    assert "the last run did not end in order" in said
    assert "start the daemon and stop it, then try again" in said
