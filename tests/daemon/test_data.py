"""Real recordings, where they are at hand: every one replays to its end with the known count.

Those of fewer than `LONG` forecasts replay a second time, forecast by forecast the same; the
longer ones run once, as a second run would take minutes more and tell nothing new.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from daemons import digest, streamlnn

# Name and how many forecasts it gives: messages less repeats, clashes and what has no numbers.
RECORDINGS = {
    "ETTh1.csv.gz": 17_420,
    "ETTm1_prefix.csv.gz": 19_557,
    "WTH.csv.gz": 35_064,
    "helium_ems.ndjson.gz": 8_110,
    "mqtt_cutter_partial.csv.gz": 86,
    "mqtt_print_apply_run7.csv.gz": 1_392,
    "nab_machine_temperature.csv.gz": 22_691,
    "occupancy_datatraining.txt.gz": 8_143,
    "skab_anomaly-free.csv.gz": 9_405,
    "skab_valve1_0.csv.gz": 1_147,
    "skab_valve1_1.csv.gz": 1_145,
    "skab_valve1_2.csv.gz": 1_075,
    "skab_valve1_3.csv.gz": 1_148,
    "vic_electricity.csv.gz": 52_608,
    "well_log.txt.gz": 4_050,
}
LONG = 5_000


@pytest.fixture
def data() -> Path:
    folder = os.environ.get("STREAMLNN_DATA")
    if not folder:
        pytest.skip("needs the recordings: set STREAMLNN_DATA to their folder")
    assert Path(folder).is_dir(), f"STREAMLNN_DATA is {folder}, which is no folder"
    return Path(folder)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", RECORDINGS)
def test_a_real_recording_replays_to_its_end_and_a_shorter_one_twice_the_same(
    data: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "forecasts.jsonl"
    first = streamlnn("replay", data / name, "-o", out)
    assert first.returncode == 0, first.stderr.decode()
    assert out.read_bytes().count(b"\n") == RECORDINGS[name]
    if RECORDINGS[name] < LONG:
        second = streamlnn("replay", data / name, "--expect", out, "-o", tmp_path / "again.jsonl")
        assert second.returncode == 0, second.stderr.decode()
        assert digest(second.stderr) == digest(first.stderr)


@pytest.mark.parametrize(
    ("name", "target", "options", "reference"),
    [
        ("ETTh1.csv.gz", "OT", ["--season", 24], (0.5892, 1.800, 2.691)),
        ("skab_anomaly-free.csv.gz", "Volume Flow RateRMS", [], (0.3395, 0.4142, 0.5114)),
        ("well_log.txt.gz", "value", [], (2318, 3810, 5673)),
    ],
)
def test_eval_gives_the_known_figures_of_the_autoregression(
    data: Path, name: str, target: str, options: list[object], reference: tuple[float, ...]
) -> None:
    """The baseline beside ours is an honest one: within 2 % of figures computed elsewhere."""
    done = streamlnn("eval", data / name, "--target", target, "--json", *options)
    assert done.returncode == 0, done.stderr.decode()
    rows = json.loads(done.stdout)
    assert [row["h"] for row in rows] == [1, 12, 48]
    assert [row["mae_ar"] for row in rows] == pytest.approx(reference, rel=0.02)
    assert all(row["mae"] < 1.08 * row["mae_persistence"] for row in rows)
