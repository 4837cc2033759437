"""River's own estimator checks, over all of ours: each is a test of its own, none is left out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("river")
pytest.importorskip("sklearn", reason="River's checks import scikit-learn")

from river import base, checks, linear_model, preprocessing

from streamlnn.interop.river import ReservoirFeatures, StreamForecaster


def _ours() -> Iterator[tuple[str, base.Estimator]]:
    for kind in (StreamForecaster, ReservoirFeatures):
        for params in kind._unit_test_params():
            told = ",".join(f"{name}={value}" for name, value in params.items())
            yield f"{kind.__name__}({told})", kind(**params)
    regressor = linear_model.BayesianLinearRegression()
    yield "reservoir|regressor", ReservoirFeatures(units=20) | regressor.clone()
    scaled = preprocessing.StandardScaler() | ReservoirFeatures(units=20)
    yield "scaler|reservoir|regressor", scaled | regressor.clone()


def _each() -> Iterator[Any]:
    for name, model in _ours():
        for check in checks.yield_checks(model):
            yield pytest.param(model, check, id=f"{name}-{check.__name__}")


@pytest.mark.parametrize(("model", "check"), list(_each()))
def test_a_check_of_rivers_passes(
    model: base.Estimator, check: Callable[[base.Estimator], None]
) -> None:
    check(model.clone())


def test_no_check_is_left_out() -> None:
    """Beside those for all estimators, those of forecasters and of transformers are among them."""
    found = {name: {check.__name__ for check in checks.yield_checks(m)} for name, m in _ours()}
    assert all("check_clone_changes_memory_addresses" in names for names in found.values())
    assert "check_forecast" in found["StreamForecaster()"]
    assert "check_transform_one" in found["ReservoirFeatures(units=20)"]
    assert not any(model._unit_test_skips() for _, model in _ours())
