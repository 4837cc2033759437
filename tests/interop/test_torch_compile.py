"""`torch.compile` takes the module whole: the compiled loops are one operator to it."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from streamlnn.interop.torch import ESN, LiquidCell

BACKENDS = ["eager", "aot_eager"]
needs_a_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")


@pytest.fixture(autouse=True)
def _compiler() -> Iterator[None]:
    """The compiler's own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.compiler.reset()
        yield


def compiled(model: Any, backend: str) -> Any:
    return torch.compile(model, fullgraph=True, backend=backend)


@pytest.mark.parametrize(
    ("liquid", "backend"),
    [
        (False, "eager"),
        (True, "eager"),
        (True, "aot_eager"),
        pytest.param(False, "inductor", marks=needs_a_compiler),
    ],
)
def test_a_compiled_network_answers_and_trains_as_it_does_uncompiled(
    liquid: bool, backend: str
) -> None:
    torch.manual_seed(0)
    model, x = ESN(2, 40, 3, tau=(0.5, 5.0), liquid=liquid), torch.randn(4, 30, 2)
    faster = compiled(model, backend)
    torch.testing.assert_close(faster(x), model(x), rtol=0, atol=1e-5)
    faster(x).square().sum().backward()
    gradient = model.W_out.weight.grad
    assert gradient is not None
    expected = torch.autograd.grad(model(x).square().sum(), model.W_out.weight)[0]
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-5)


def test_times_states_and_every_step_are_compiled_too() -> None:
    model, x, dt = ESN(2, 40, 1, tau=5.0), torch.randn(4, 30, 2), torch.rand(4, 30)
    faster = compiled(model, "aot_eager")
    more = {"dt": dt, "every_step": True, "return_state": True}
    for got, wanted in zip(
        faster(x, torch.rand(4, 40).mul_(0), **more), model(x, **more), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize("inputs_learn", [False, True])
def test_the_operator_is_sound_for_the_compiler(inputs_learn: bool) -> None:
    model, x = ESN(2, 10, 1, dtype=torch.float64), torch.randn(3, 6, 2, dtype=torch.float64)
    x.requires_grad_(inputs_learn)
    torch.testing.assert_close(compiled(model, "aot_eager")(x), model(x), rtol=0, atol=1e-7)
    if inputs_learn:
        torch.autograd.grad(compiled(model, "aot_eager")(x).sum(), x)
    units = model._units()
    torch.library.opcheck(
        torch.ops.streamlnn.reservoir_states.default,
        (
            x.detach().transpose(0, 1),
            torch.ones(6, 3, dtype=torch.float64),
            torch.zeros(3, 10, dtype=torch.float64),
            4,
            *units[:5],
            None,
            None,
            None,
        ),
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_liquid_cell_is_compiled(backend: str) -> None:
    cell, u, x = LiquidCell(3, 8, substeps=2), torch.randn(5, 3), torch.rand(5, 8)
    faster = compiled(cell, backend)
    torch.testing.assert_close(faster(u, x, 0.5), cell(u, x, 0.5), rtol=0, atol=1e-6)
