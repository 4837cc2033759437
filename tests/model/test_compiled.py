"""The compiled loops: small parts that can be checked on paper, and how they are compiled."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from streamlnn.model import stepping
from streamlnn.model.clock import median
from streamlnn.model.mixture import power_weights
from streamlnn.model.scaling import FRESH, MEAN, SCALES, SPREAD, STEP, step_scale, update_scale
from streamlnn.model.squash import squash


def test_weights_fall_with_the_eighth_power_of_the_loss() -> None:
    """Half the squared loss is 256 times the weight; equal losses are equal weights."""
    out, answers = np.zeros(3), np.zeros(3)
    power_weights(np.array([1.0, 2.0, 2.0]), answers, 8, out)
    np.testing.assert_allclose(out, np.array([256.0, 1.0, 1.0]) / 258.0)
    power_weights(np.array([1.0, 2.0, 2.0]), answers, 12, out)
    np.testing.assert_allclose(out, np.array([4096.0, 1.0, 1.0]) / 4098.0)
    power_weights(np.zeros(3), answers, 8, out)
    np.testing.assert_allclose(out, 1.0 / 3.0)


def test_who_has_no_answer_is_not_heard() -> None:
    """However small its loss was, and also when no loss is known."""
    out, answers = np.zeros(3), np.array([1.0, np.nan, 3.0])
    for losses in (np.array([2.0, 1.0, 2.0]), np.zeros(3)):
        power_weights(losses, answers, 8, out)
        np.testing.assert_allclose(out, [0.5, 0.0, 0.5])


@pytest.mark.parametrize("losses", [[0.0, 1e300, 1.0], [1e300, 1e300, 1e299], [1e-300, 0.0, 0.0]])
def test_weights_survive_losses_of_any_size(losses: list[float]) -> None:
    """They are finite and sum to one."""
    out = np.zeros(3)
    power_weights(np.array(losses), np.zeros(3), 8, out)
    assert np.isfinite(out).all()
    assert out.sum() == pytest.approx(1.0)


def test_a_running_scale_learns_the_spread_and_ignores_no_change() -> None:
    """After 5,000 values mean, spread and step are those of the distribution, to 10 %."""
    random = np.random.default_rng(0)
    scale, last = np.zeros(SCALES), 0.0
    for value in 3.0 + 2.0 * random.standard_normal(5000):
        update_scale(scale, value, last)
        scale[FRESH], last = 1.0, value
    assert scale[MEAN] == pytest.approx(3.0, abs=0.2)
    assert scale[SPREAD] == pytest.approx(2.0, rel=0.1)
    assert step_scale(scale) == pytest.approx(2.0 * np.sqrt(2.0), rel=0.1)


def test_one_wild_value_at_most_doubles_the_square_of_a_scale() -> None:
    """An outlier of a million sigma does not blind the model."""
    scale, last = np.zeros(SCALES), 0.0
    for value in np.random.default_rng(0).standard_normal(2000):
        update_scale(scale, value, last)
        scale[FRESH], last = 1.0, value
    before = scale[STEP]
    update_scale(scale, 1e6, last)
    assert before < scale[STEP] <= before * np.sqrt(2.0)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 4e-7), ("float64", 3e-7)])
def test_the_rational_function_is_tanh(dtype: str, error: float) -> None:
    """Over all numbers, the infinite ones among them."""
    x = np.concatenate([np.linspace(-12.0, 12.0, 100_001), [-np.inf, np.inf, 1e-30, 1e30]])
    made = x.astype(dtype)
    squash(made)
    assert np.abs(made - np.tanh(x)).max() < error
    tiny = np.array([1e-5], dtype)
    squash(tiny)
    assert tiny[0] == pytest.approx(1e-5, rel=1e-6)


@pytest.mark.parametrize("values", [[3.0], [1.0, 2.0, 9.0], [5.0, 5.0, 1.0, 7.0], [2.0] * 32])
def test_the_median_by_counting_is_the_upper_median(values: list[float]) -> None:
    """It is the middle of the sorted values, the upper one of two."""
    assert median(np.array(values)) == sorted(values)[len(values) // 2]


def test_the_model_works_where_nothing_can_be_cached(tmp_path: os.PathLike[str]) -> None:
    """Where numba finds no folder to cache in, functions are compiled without a cache."""
    program = (
        "from numba.core import caching\n"
        "caching.FunctionCache._impl_class._locator_classes = []\n"
        "from streamlnn.model.readout import refresh, unit_factor\n"
        "import numpy as np\n"
        "gain = np.zeros(2)\n"
        "refresh(unit_factor(2, 'float64'), np.ones(2), 1, 1.0, gain)\n"
        "print(gain, refresh.stats.cache_path)\n"
    )
    run = subprocess.run(  # the real interpreter, with this file's own program
        [sys.executable, "-P", "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "[0.  0.5] None\n", "")


def test_warming_up_leaves_nothing_to_compile() -> None:
    """After warm() a new forecaster of any shape runs without another compilation."""
    stepping.warm()
    known = len(stepping.observe.signatures)
    from streamlnn import Forecaster

    Forecaster([1, 7], fields=2, seasons=[5]).step(None, [1.0, 2.0])
    Forecaster(["10s"], every=1.0).step(3.0, 1.0)
    assert len(stepping.observe.signatures) == known
