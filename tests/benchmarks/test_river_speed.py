"""The speed behind River's interfaces: every line is measured on both sides."""

from __future__ import annotations

import re

import pytest
from click.testing import CliRunner

pytest.importorskip("river")

from benchmarks import river_speed


def test_the_table_sets_each_of_ours_beside_one_of_rivers() -> None:
    done = CliRunner().invoke(river_speed.main, ["--quick"], catch_exceptions=False)
    rows = [line for line in done.output.splitlines() if line.endswith("x |")]
    assert len(rows) == 5
    for line in rows:
        ours, theirs, ratio = map(
            float, re.findall(r"([\d.]+) us .* ([\d.]+) us .* ([\d.]+)x", line)[0]
        )
        assert 0.0 < ours < 1e5
        assert 0.0 < theirs < 1e5
        assert 0.2 < ratio / (theirs / ours) < 5.0
