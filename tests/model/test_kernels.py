"""The compiled loops: small parts that can be checked on paper, and how they are compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from streamlnn.model import kernels


def test_weights_fall_with_the_eighth_power_of_the_loss() -> None:
    """Half the squared loss is 256 times the weight; equal losses are equal weights."""
    out = np.zeros(3)
    kernels.power_weights(np.array([1.0, 2.0, 2.0]), out)
    np.testing.assert_allclose(out, np.array([256.0, 1.0, 1.0]) / 258.0)
    kernels.power_weights(np.zeros(3), out)
    np.testing.assert_allclose(out, 1.0 / 3.0)


@pytest.mark.parametrize("losses", [[0.0, 1e300, 1.0], [1e300, 1e300, 1e299], [1e-300, 0.0, 0.0]])
def test_weights_survive_losses_of_any_size(losses: list[float]) -> None:
    """They are finite and sum to one."""
    out = np.zeros(3)
    kernels.power_weights(np.array(losses), out)
    assert np.isfinite(out).all()
    assert out.sum() == pytest.approx(1.0)


def test_a_running_scale_learns_the_spread_and_ignores_no_change() -> None:
    """After 5,000 values mean, spread and step are those of the distribution, to 10 %."""
    random = np.random.default_rng(0)
    scale, last = np.zeros(10), 0.0
    for value in 3.0 + 2.0 * random.standard_normal(5000):
        kernels.update_scale(scale, value, last)
        scale[kernels.FRESH], last = 1.0, value
    assert scale[kernels.MEAN] == pytest.approx(3.0, abs=0.2)
    assert scale[kernels.SPREAD] == pytest.approx(2.0, rel=0.1)
    assert kernels.step_scale(scale) == pytest.approx(2.0 * np.sqrt(2.0), rel=0.1)


def test_one_wild_value_at_most_doubles_the_square_of_a_scale() -> None:
    """An outlier of a million sigma does not blind the model."""
    scale, last = np.zeros(10), 0.0
    for value in np.random.default_rng(0).standard_normal(2000):
        kernels.update_scale(scale, value, last)
        scale[kernels.FRESH], last = 1.0, value
    before = scale[kernels.STEP]
    kernels.update_scale(scale, 1e6, last)
    assert before < scale[kernels.STEP] <= before * np.sqrt(2.0)


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0, 9.0], [5.0, 5.0, 1.0, 7.0], [2.0] * 32])
def test_the_median_by_counting_is_the_upper_median(values: list[float]) -> None:
    """It is the middle of the sorted values, the upper one of two."""
    assert kernels.median(np.array(values)) == sorted(values)[len(values) // 2]


def test_the_model_works_where_nothing_can_be_cached(tmp_path: os.PathLike[str]) -> None:
    """Where numba finds no folder to cache in, functions are compiled without a cache."""
    program = (
        "from numba.core import caching\n"
        "caching.FunctionCache._impl_class._locator_classes = []\n"
        "from streamlnn.model import kernels\n"
        "import numpy as np\n"
        "print(kernels.median(np.array([1.0, 2.0, 3.0])), kernels.median.stats.cache_path)\n"
    )
    run = subprocess.run(  # the real interpreter, with this file's own program
        [sys.executable, "-P", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "2.0 None\n", "")


def test_warming_up_leaves_nothing_to_compile() -> None:
    """After warm() a new forecaster of any shape runs without another compilation."""
    kernels.warm()
    known = len(kernels.run.signatures)
    from streamlnn import Forecaster

    Forecaster([1, 7], fields=2, seasons=[5]).step(None, [1.0, 2.0])
    Forecaster(["10s"], every=1.0).step(3.0, 1.0)
    assert len(kernels.run.signatures) == known
