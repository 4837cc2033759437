"""A streaming forecaster's reservoir as a module, and a module's under a forecaster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamlnn import Forecaster
from streamlnn.interop.torch import ESN

Array = np.ndarray[Any, Any]
N = 10_000


def waves(n: int, fields: int = 1) -> Array:
    """Noisy waves around 50, (n, fields)."""
    random = np.random.default_rng(0)
    t = np.arange(n)[:, None]
    return (
        50.0
        + 9.0 * np.sin(t / (5.0 + np.arange(fields)))
        + 0.5 * random.standard_normal((n, fields))
    )


def warmed(times: Array | None, rows: Array, **more: Any) -> Forecaster:
    model = Forecaster([1, 12], fields=rows.shape[1], **more)
    for i, row in enumerate(rows):
        model.step(None if times is None else float(times[i]), row)
    return model


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("fields", [1, 2])
def test_the_states_are_equal_over_ten_thousand_steps(fields: int, dtype: str) -> None:
    rows = waves(2000 + N, fields)
    live = warmed(None, rows[:2000], dtype=dtype)
    model = ESN.from_forecaster(live)
    assert (model.input_size, model.output_size) == (fields, 2 * fields)
    assert str(model.W_in.dtype) == f"torch.{dtype}"
    begin = torch.tensor(live.reservoir_state)
    states = model.states(torch.from_numpy(rows[2000:]), begin).numpy()
    for row, state in zip(rows[2000:], states, strict=True):
        live.step(None, row)
        np.testing.assert_allclose(state, live.reservoir_state, rtol=0, atol=1e-5)
    assert np.abs(states).max() > 0.1


def test_they_are_equal_where_the_times_between_samples_vary() -> None:
    rows, random = waves(2000 + N), np.random.default_rng(1)
    times = np.cumsum(random.uniform(5.0, 15.0, len(rows)))
    live = Forecaster([1], every=10.0)
    for time, row in zip(times[:2000], rows[:2000], strict=True):
        live.step(time, row)
    model = ESN.from_forecaster(live, 1)
    dt = torch.from_numpy(np.diff(times)[1999:] / live.cadence)
    begin = torch.tensor(live.reservoir_state)
    states = model.states(torch.from_numpy(rows[2000:]), begin, dt=dt).numpy()
    for time, row, state in zip(times[2000:], rows[2000:], states, strict=True):
        live.step(time, row)
        np.testing.assert_allclose(state, live.reservoir_state, rtol=0, atol=1e-5)


def test_a_forecaster_goes_on_with_a_modules_reservoir(tmp_path: Path) -> None:
    """And is the same forecaster after it was saved."""
    model = ESN(1, 60, 1, tau=(0.5, 30.0), liquid=True, seed=7)
    live = warmed(None, waves(1000), reservoir=model.to_reservoir(), units=60)
    again = ESN.from_forecaster(live)
    for name in ("W_res", "W_in", "bias", "tau"):
        torch.testing.assert_close(getattr(again, name), getattr(model, name), rtol=0, atol=1e-6)
    live.save(tmp_path / "pump.slnn")
    twin = Forecaster.load(tmp_path / "pump.slnn")
    for row in waves(1100)[1000:]:
        np.testing.assert_array_equal(twin.step(None, row).yhat, live.step(None, row).yhat)


def test_a_readout_on_a_forecasters_reservoir_forecasts() -> None:
    rows = waves(4000)
    live = warmed(None, rows[:1000])
    model = ESN.from_forecaster(live, 1)
    x, state = torch.from_numpy(rows), torch.tensor(live.reservoir_state)
    model.fit(x[1000:2999], x[1001:3000], state)
    said = model(x[1000:-1], state, every_step=True).detach()[2000:]
    error = (said - x[3001:]).abs().mean()
    assert error < 0.5 * (x[3000:-1] - x[3001:]).abs().mean()


def test_a_forecaster_that_has_heard_nothing_hears_nothing() -> None:
    """No scale is known yet: every input counts as 0, as it does there."""
    model = ESN.from_forecaster(Forecaster([1]))
    nothing, something = torch.zeros(1, 5, 1), torch.full((1, 5, 1), 50.0)
    assert torch.equal(model.states(something), model.states(nothing))


def test_a_modules_float64_values_are_standardised_before_they_are_rounded() -> None:
    """A level of a million with waves of 1 on it."""
    rows = 1e6 + (waves(2200) - 50.0) / 9.0
    live = warmed(None, rows[:2000])
    model, begin = ESN.from_forecaster(live), torch.tensor(live.reservoir_state)
    states = model.states(torch.from_numpy(rows[2000:]), begin).numpy()
    for row, state in zip(rows[2000:], states, strict=True):
        live.step(None, row)
        np.testing.assert_allclose(state, live.reservoir_state, rtol=0, atol=1e-5)


def test_the_scaling_is_saved_and_stays_in_float64(tmp_path: Path) -> None:
    rows = 1e6 + (waves(600) - 50.0) / 9.0
    model = ESN.from_forecaster(warmed(None, rows[:500]), 1)
    torch.save(model.state_dict(), tmp_path / "esn.pt")
    again = ESN(1, 100, 1, liquid=True, seed=9)
    again.load_state_dict(torch.load(tmp_path / "esn.pt", weights_only=True))
    x = torch.from_numpy(rows[500:])
    assert torch.equal(again.states(x), model.states(x))
    before = model.states(x)
    assert torch.equal(model.to(torch.float32).states(x), before)
    torch.testing.assert_close(model.double().states(x).float(), before, rtol=0, atol=1e-5)
    plain = ESN(1, 100, 1, liquid=True)
    again.load_state_dict(plain.state_dict())
    assert again.location is None
    assert torch.equal(again.states(x.float()), plain.states(x.float()))
