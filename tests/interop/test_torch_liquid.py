"""The liquid cell: the equation it solves, its gradients, and that it can be trained."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from streamlnn.interop.torch import LiquidCell


def cell(inputs: int = 2, units: int = 5, **more: Any) -> LiquidCell:
    torch.manual_seed(0)
    return LiquidCell(inputs, units, dtype=torch.float64, **more)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def slope(model: LiquidCell, u: Tensor, x: Tensor) -> Tensor:
    """The right side of the liquid time-constant equation, as it is printed in the paper."""
    f = torch.sigmoid(u @ model.weight_ih.T + x @ model.weight_hh.T + model.bias)
    return -(1 / torch.exp(model.log_tau) + f) * x + f * model.pull


def runge_kutta(model: LiquidCell, u: Tensor, x: Tensor, dt: float, steps: int) -> Tensor:
    h = dt / steps
    for _ in range(steps):
        a = slope(model, u, x)
        b = slope(model, u, x + h / 2 * a)
        c = slope(model, u, x + h / 2 * b)
        x = x + h / 6 * (a + 2 * b + 2 * c + slope(model, u, x + h * c))
    return x


def test_many_substeps_solve_the_equation() -> None:
    u, x = drawn(3, 2), drawn(3, 5)
    with torch.no_grad():
        solution = runge_kutta(cell(), u, x, 2.0, steps=2000)
        errors = [
            float((cell(substeps=n)(u, x, 2.0) - solution).abs().max()) for n in (1, 10, 100, 1000)
        ]
    assert errors[0] < 0.5
    assert all(finer < coarse / 8 for coarse, finer in pairwise(errors))


def test_a_step_is_exact_where_nothing_is_fed_back() -> None:
    model, u, x = cell(), drawn(3, 2), drawn(3, 5)
    with torch.no_grad():
        model.weight_hh.zero_()
        once = model(u, x, 4.0)
        torch.testing.assert_close(once, runge_kutta(model, u, x, 4.0, steps=4000))
        torch.testing.assert_close(once, model(u, model(u, x, 1.5), 2.5))


def test_no_time_changes_nothing_and_any_time_is_stable() -> None:
    model, u, x = cell(), drawn(3, 2), drawn(3, 5)
    torch.testing.assert_close(model(u, x, 0.0), x, rtol=0, atol=0)
    f = torch.sigmoid(u @ model.weight_ih.T + x @ model.weight_hh.T + model.bias)
    settled = f * model.pull / (torch.exp(-model.log_tau) + f)
    torch.testing.assert_close(model(u, x, 1e9), settled)
    torch.testing.assert_close(model(u, x, float("inf")), settled)


@pytest.mark.parametrize("substeps", [1, 3])
def test_gradients_reach_input_state_time_and_all_weights(substeps: int) -> None:
    model = cell(substeps=substeps)
    given = drawn(3, 2), drawn(3, 5), drawn(3).abs()
    assert torch.autograd.gradcheck(model, tuple(each.requires_grad_() for each in given))
    model(*given).sum().backward()
    for name, weights in model.named_parameters():
        assert weights.grad is not None, name
        assert (weights.grad != 0).any(), name


def test_the_calls_are_those_of_an_rnn_cell() -> None:
    ours, theirs = LiquidCell(2, 5), nn.RNNCell(2, 5)
    for shape in ((3, 2), (2,)):
        u = torch.randn(shape)
        assert ours(u).shape == theirs(u).shape
        assert ours(u, ours(u)).shape == theirs(u, theirs(u)).shape
    assert repr(ours) == "LiquidCell(2, 5, substeps=1)"


def test_each_stream_of_a_batch_has_a_time_of_its_own() -> None:
    model, u, x, dt = cell(), drawn(3, 2), drawn(3, 5), torch.tensor([0.0, 1.0, 5.0]).double()
    together = model(u, x, dt)
    for i in range(3):
        torch.testing.assert_close(together[i], model(u[i], x[i], float(dt[i])))


def irregular(batch: int, time: int) -> tuple[Tensor, Tensor, Tensor]:
    """Waves sampled at random times: values, the time since the last, and the value to come.

    The input tells how long it will be until then.
    """
    random = torch.Generator().manual_seed(5)
    steps = 0.2 + 2.0 * torch.rand(batch, time + 1, generator=random)
    times = steps.cumsum(1) + 6 * torch.rand(batch, 1, generator=random)
    y = torch.sin(times)
    u = torch.stack([y[:, :-1], steps[:, 1:]], -1)
    return u, steps[:, :-1], y[:, 1:]


class Forecasting(nn.Module):
    """A cell and a readout over a sequence; the cell hears of time by its argument."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = LiquidCell(2, 24), nn.Linear(26, 1)

    def forward(self, u: Tensor, dt: Tensor) -> Tensor:
        x, said = None, []
        for t in range(u.shape[1]):
            x = self.cell(u[:, t], x, dt[:, t])
            said.append(self.head(torch.cat([x, u[:, t]], -1)))
        return torch.stack(said, 1)[..., 0]


def test_it_learns_to_forecast_what_is_sampled_at_random_times() -> None:
    torch.manual_seed(0)
    model, (u, dt, y) = Forecasting(), irregular(48, 25)
    train, test = slice(0, 32), slice(32, None)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(u[train], dt[train])[:, 5:], y[train, 5:]).backward()
        optimizer.step()
    with torch.no_grad():
        error = (model(u[test], dt[test]) - y[test])[:, 5:].abs().mean()
    persistence = (u[test, 5:, 0] - y[test, 5:]).abs().mean()
    assert error < 0.5 * persistence


@pytest.mark.parametrize(
    ("call", "wrong"),
    [
        (lambda c: c(drawn(3, 4)), r"input has shape \(3, 4\); \(batch, 2\) is wanted"),
        (lambda c: c(drawn(3, 2), drawn(2, 5)), r"hx has shape \(2, 5\); \(3, 5\) is wanted"),
        (lambda c: c(drawn(3, 2), None, drawn(2)), r"dt has shape \(2,\); \(3,\) is wanted, or"),
        (lambda c: c(drawn(3, 2).numpy()), "input is a numpy.ndarray; pass a tensor"),
        (lambda c: c(drawn(3, 2), (drawn(3, 5), drawn(3, 5))), "hx is a builtins.tuple; pass a"),
        (lambda c: c(drawn(3, 2), None, -1.0), "dt must be 0 or more, not -1.0"),
        (lambda _: LiquidCell(0, 5), "input_size must be 1 or more, not 0"),
        (lambda _: LiquidCell(2, 0), "hidden_size must be 1 or more, not 0"),
        (lambda _: LiquidCell(2, 5, substeps=0), "substeps must be 1 or more, not 0"),
    ],
)
def test_what_does_not_fit_is_told(call: Any, wrong: str) -> None:
    with pytest.raises((ValueError, TypeError), match=wrong):
        call(cell())
